import { z } from 'zod';
import type { Ledger } from '../ledger/ledger.js';
import type { Target } from '../targets.js';
import { createRevoker } from '../writer.js';
import { deferred } from './deferred.js';
import { PermanentFault, type Handler } from './observe.js';
import { part, type RunAnswer, type RunBatch } from './parts.js';
import type { RunStore } from './runs.js';

const event = z.object({ run: z.string().min(1), kind: z.enum(['ready', 'held']), batch: z.int().min(0) });

export interface RecordAnswer {
  readonly recorded: number;
  /** Entries that the ledger had already, as far-reaching. */
  readonly unchanged: number;
  /** Requests whose time was over before they could be carried out. */
  readonly lapsed: number;
  /** Requests that the ledger cannot take, such as one with an id that is too long. */
  readonly setAside: number;
}

export interface RecordOptions {
  readonly runs: RunStore;
  readonly ledger: Ledger;
  readonly targets: readonly Target[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Writes one batch of a run's requests to the ledger, with its evidence. The targets follow in steps of their own. */
export function record(options: RecordOptions): Handler<unknown, RecordAnswer> {
  const { runs, ledger, targets, now } = options;
  return async (given, scope) => {
    const { run, kind, batch } = event.parse(given);
    const found = await runs.get<RunBatch>(run, part.batch(kind, batch));
    if (!found) throw new PermanentFault(`Batch ${kind} ${batch} of run ${run} is missing.`);
    let by = `detect ${run}`;
    if (kind === 'held') {
      const answer = await runs.get<RunAnswer>(run, part.answer);
      // The state machine's word is not enough: whoever may start executions must not thereby approve.
      if (!answer?.approved) throw new PermanentFault(`Run ${run} has no approval on record.`);
      by = `detect ${run}, approved by ${answer.by}`;
    }
    const seconds = Math.floor(now() / 1000);
    const live = found.requests.filter((request) => request.until === undefined || request.until > seconds);
    const revoker = createRevoker({ ledger, targets: targets.map(deferred), now });
    const aside: { readonly scope: string; readonly reason: string }[] = [];
    const outcomes = await revoker.revoke(live, {
      by,
      setAside: ({ scope: of }, error) => aside.push({ scope: of, reason: error.anonymous }),
    });
    const unchanged = outcomes.filter((outcome) => outcome.result === 'unchanged').length;
    const answer = {
      recorded: outcomes.length - unchanged,
      unchanged,
      lapsed: found.requests.length - live.length,
      setAside: aside.length,
    };
    if (aside.length > 0) scope.log('requests set aside', { run, kind, batch, requests: aside });
    scope.log('batch recorded', { run, kind, batch, ...answer });
    scope.count('recorded', answer.recorded);
    scope.count('setAside', answer.setAside);
    return answer;
  };
}
