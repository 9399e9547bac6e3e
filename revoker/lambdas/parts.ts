import type { RevocationRequest } from '../ledger/entry.js';
import type { Candidate, Window } from './judge.js';

/** The parts of a run, and where they are kept. */
export interface RunPlan {
  readonly window: Window;
  /** Epoch seconds: the run's one "now", so that a repeated step gives the same cut-offs and ends. */
  readonly at: number;
  readonly dryRun: boolean;
}

/** Whose a window is: the run that came first for a scheduled time. Kept as a run of its own. */
export interface WindowClaim {
  readonly run: string;
}

export interface RunPage {
  readonly sessions: number;
  readonly candidates: readonly Candidate[];
}

export interface RunDecision {
  /** Indexes of the batches to carry out at once, and of those that wait for an answer. */
  readonly ready: readonly number[];
  readonly held: readonly number[];
  readonly readyCount: number;
  readonly heldCount: number;
  readonly watched: number;
  readonly sessions: number;
}

export interface RunBatch {
  readonly requests: readonly RevocationRequest[];
  /** Why each was held; empty where none was. */
  readonly why: readonly string[];
}

export interface RunAnswer {
  readonly approved: boolean;
  readonly by: string;
  /** Epoch seconds. */
  readonly at: number;
  readonly reason?: string;
  /** Nobody answered in time: the workflow closed the question. */
  readonly silence?: true;
}

/** Names of executions have no slash, so no run is called like this. */
export const claimOf = ({ from, to }: Window): string => `window/${from}-${to}`;

export const part = {
  plan: 'plan',
  claim: 'claim',
  page: (number: number): string => `page/${String(number).padStart(6, '0')}`,
  decision: 'decision',
  batch: (kind: 'ready' | 'held', number: number): string => `batch/${kind}/${String(number).padStart(6, '0')}`,
  token: 'approval/token',
  answer: 'approval/answer',
  /** That the workflow has the answer. */
  taken: 'approval/taken',
  rotation: 'rotation',
  reported: (outcome: string): string => `reported/${outcome}`,
} as const;

/** Requests in a batch: so many are written to the ledger with a condition each. */
export const batchSize = 25;
