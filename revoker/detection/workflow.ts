import type { RevocationRequest } from '../ledger/entry.js';
import { decide } from './actions.js';
import { athenaQuery, type LogTable, type Stretch } from './athena.js';
import type { DetectionConfig } from './config.js';
import { type FeatureRow, readFeatureRow } from './features.js';
import { judge } from './verdict.js';

/** A row that was judged worth a second look, small enough to be handed from step to step. */
export type CandidateRow = Readonly<Record<string, unknown>>;

/**
 * Detection as a workflow needs it: the query's text, its rows, the decision. Pure, so that a repeated step decides the
 * same. Structurally the `Judge` of the workflow's Lambdas.
 */
export interface WorkflowJudge {
  query(window: Stretch): string;
  read(rows: readonly Readonly<Record<string, string | null>>[]): {
    readonly sessions: number;
    readonly candidates: CandidateRow[];
  };
  decide(
    candidates: readonly CandidateRow[],
    about: { readonly sessions: number; readonly window: Stretch; readonly at: number },
  ): {
    readonly ready: readonly RevocationRequest[];
    readonly held: readonly { readonly request: RevocationRequest; readonly why: string }[];
    readonly watched: number;
  };
}

/**
 * Makes the workflow's judge over a lake.
 *
 * @example
 * const judge = workflowJudge(config.detection, { database: 'logs', table: 'cloudfront' });
 */
export function workflowJudge(config: DetectionConfig, table: LogTable): WorkflowJudge {
  return {
    query: (window) => athenaQuery(config, table, window),
    read: (rows) => ({
      // Every row tells the same number; a page without rows tells none, and counts none.
      sessions: pageSessions(rows),
      candidates: rows.map((row) => ({ ...row })),
    }),
    decide(candidates, about) {
      const rows: FeatureRow[] = candidates.map((candidate) => readFeatureRow(candidate));
      const first = candidates[0];
      const media = Number(first?.['audience_media'] ?? 0);
      const usual = {
        cmcdShare: media > 0 ? Number(first?.['audience_cmcd'] ?? 0) / media : 0,
        segmentSeconds: undefined,
      };
      const verdicts = judge(rows, [], config, usual);
      const sessions = Math.max(about.sessions, Number(first?.['audience_sessions'] ?? 0), verdicts.length);
      const plan = decide(verdicts, config, { now: about.at, sessions });
      return {
        ready: plan.ready.map((entry) => entry.request),
        held: plan.held.map(({ request, why }) => ({ request, why })),
        watched: plan.watched.length,
      };
    },
  };
}

/** The audience is told once in a run, by the first page's first row that is the first of its window. */
function pageSessions(rows: readonly Readonly<Record<string, string | null>>[]): number {
  return rows.filter((row) => row['first_row'] === '1').length;
}
