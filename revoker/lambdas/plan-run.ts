import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Judge, Query, Window } from './judge.js';
import { PermanentFault, type Handler } from './observe.js';
import { claimOf, part, type RunPlan, type WindowClaim } from './parts.js';
import type { RunStore } from './runs.js';

const time = z.iso.datetime({ offset: true });
const event = z.object({
  run: z.string().min(1).max(80),
  input: z.union([
    z.strictObject({ from: time, to: time, dryRun: z.boolean().optional() }),
    z.strictObject({ time: time.optional(), dryRun: z.boolean().optional() }),
  ]),
});
export type PlanRunEvent = z.input<typeof event>;

export interface PlanRunAnswer {
  readonly run: string;
  readonly query: Query & { readonly requestToken: string };
  readonly approvalSeconds: number;
  /** Another run has the window of this scheduled time: there is nothing to do. */
  readonly taken: boolean;
}

export interface PlanRunOptions {
  readonly runs: RunStore;
  readonly judge: Pick<Judge, 'query'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Length of a window that a schedule asks for, seconds. */
  readonly windowSeconds: number;
  /** How long after the fact the logs are complete, seconds. */
  readonly delaySeconds: number;
  /** How long a person has to answer. */
  readonly approvalSeconds: number;
}

/** Fixes what a run is about: its window, and the moment that its decisions count from. */
export function planRun(options: PlanRunOptions): Handler<unknown, PlanRunAnswer> {
  return async (given, scope) => {
    const { run, input } = event.parse(given);
    const now = Math.floor(options.now() / 1000);
    const seconds = (text: string): number => Math.floor(Date.parse(text) / 1000);
    const lastBefore = (moment: number): Window => {
      const { windowSeconds, delaySeconds } = options;
      const to = Math.floor((moment - delaySeconds) / windowSeconds) * windowSeconds;
      return { from: to - windowSeconds, to };
    };
    const window: Window =
      'from' in input
        ? { from: seconds(input.from), to: seconds(input.to) }
        : lastBefore(input.time === undefined ? now : seconds(input.time));
    if (window.to <= window.from)
      throw new PermanentFault('The window ends before it begins: "to" must lie after "from".');
    const plan = await options.runs.putOnce<RunPlan>(run, part.plan, {
      window,
      at: now,
      dryRun: input.dryRun ?? false,
    });
    // A schedule may deliver a time twice, and its times are no windows. Who names a window wants it, and a rehearsal
    // takes it from nobody.
    const scheduled = 'time' in input && input.time !== undefined && !plan.dryRun;
    const claim = scheduled
      ? await options.runs.putOnce<WindowClaim>(claimOf(plan.window), part.claim, { run })
      : { run };
    const taken = claim.run !== run;
    if (taken) scope.log('window taken', { run, by: claim.run, ...plan.window });
    else scope.log('run planned', { run, ...plan.window, dryRun: plan.dryRun });
    const query = options.judge.query(plan.window);
    return {
      run,
      // Athena takes 32 to 128 characters; the same text and values under the same run are the same query.
      query: {
        ...query,
        requestToken: createHash('sha256')
          .update([run, query.text, ...query.parameters].join('\n'))
          .digest('hex'),
      },
      approvalSeconds: options.approvalSeconds,
      taken,
    };
  };
}
