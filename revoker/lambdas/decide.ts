import { z } from 'zod';
import { chunks } from '../parallel.js';
import type { Candidate, Judge } from './judge.js';
import { PermanentFault, type Handler } from './observe.js';
import { batchSize, part, type RunBatch, type RunDecision, type RunPage, type RunPlan } from './parts.js';
import type { RunStore } from './runs.js';

const event = z.object({ run: z.string().min(1), pages: z.int().min(0) });

export interface DecideOptions {
  readonly runs: RunStore;
  readonly judge: Pick<Judge, 'decide'>;
}

/** Judges all candidates of a run together, because ceilings hold for the run, and cuts the requests into batches. */
export function decide(options: DecideOptions): Handler<unknown, RunDecision> {
  const { runs, judge } = options;
  return async (given, scope) => {
    const { run, pages } = event.parse(given);
    const plan = await runs.get<RunPlan>(run, part.plan);
    if (!plan) throw new PermanentFault(`Run ${run} was never planned.`);
    const standing = await runs.get<RunDecision>(run, part.decision);
    if (standing) return standing;
    const candidates: Candidate[] = [];
    let sessions = 0;
    for (let number = 0; number < pages; number++) {
      const page = await runs.get<RunPage>(run, part.page(number));
      if (!page) throw new PermanentFault(`Page ${number} of run ${run} is missing.`);
      candidates.push(...page.candidates);
      sessions += page.sessions;
    }
    const judged = judge.decide(candidates, { sessions, window: plan.window, at: plan.at });
    const kept = plan.dryRun ? { ...judged, ready: [], held: [] } : judged;
    const ready = chunks(kept.ready, batchSize);
    const held = chunks(kept.held, batchSize);
    for (const [number, requests] of ready.entries()) {
      await runs.put(run, part.batch('ready', number), { requests, why: [] } satisfies RunBatch);
    }
    for (const [number, batch] of held.entries()) {
      await runs.put(run, part.batch('held', number), {
        requests: batch.map(({ request }) => request),
        why: batch.map(({ why }) => why),
      } satisfies RunBatch);
    }
    scope.log('run decided', {
      run,
      sessions,
      candidates: candidates.length,
      ready: judged.ready.length,
      held: judged.held.length,
      watched: judged.watched,
      dryRun: plan.dryRun,
    });
    scope.count('actionsReady', kept.ready.length);
    scope.count('actionsHeld', kept.held.length);
    return runs.putOnce<RunDecision>(run, part.decision, {
      ready: ready.map((_, number) => number),
      held: held.map((_, number) => number),
      readyCount: kept.ready.length,
      heldCount: kept.held.length,
      watched: judged.watched,
      sessions,
    });
  };
}
