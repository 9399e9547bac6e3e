import type { RevocationRequest } from '../ledger/entry.js';

/** A stretch of the logs, epoch seconds; `to` is not in it. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** A query's text, and the values of its question marks as SQL literals, in their order. */
export interface Query {
  readonly text: string;
  readonly parameters: readonly string[];
}

/** A session that is worth a second look, as JSON. */
export type Candidate = Readonly<Record<string, unknown>>;

/** A request that waits for a person, and why. */
export interface HeldRequest {
  readonly request: RevocationRequest;
  readonly why: string;
}

export interface Judgement {
  /** What is certain, and within the ceilings. */
  readonly ready: readonly RevocationRequest[];
  readonly held: readonly HeldRequest[];
  /** Sessions that are only watched. */
  readonly watched: number;
}

/**
 * Detection as the workflow needs it: the query, its rows, the decision. The same rows make the same judgement, so a
 * step that is repeated decides the same.
 */
export interface Judge {
  query(window: Window): Query;
  /** Rows of the query's result, keyed by column; those kept are candidates. */
  read(rows: readonly Readonly<Record<string, string | null>>[]): {
    readonly sessions: number;
    readonly candidates: Candidate[];
  };
  /** `at`: epoch seconds that cut-offs and ends are counted from. */
  decide(
    candidates: readonly Candidate[],
    about: { readonly sessions: number; readonly window: Window; readonly at: number },
  ): Judgement;
}
