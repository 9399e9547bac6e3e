import { z } from 'zod';
import type { Notify } from './notify.js';
import type { Handler } from './observe.js';
import { part, type RunAnswer, type RunDecision, type RunPlan } from './parts.js';
import type { RunStore } from './runs.js';

const event = z.object({
  workflow: z.enum(['detect', 'expire', 'reconcile', 'rotate-key']),
  run: z.string().min(1),
  outcome: z.enum(['done', 'failed']),
  state: z.looseObject({}).optional(),
  fault: z.object({ Error: z.string().optional(), Cause: z.string().optional() }).optional(),
});
type ReportEvent = z.infer<typeof event>;

export interface ReportOptions {
  readonly runs: RunStore;
  readonly notify: Notify;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const answerOf = (state: ReportEvent['state'], name: string): Record<string, unknown> =>
  (state?.[name] as { answer?: Record<string, unknown> } | undefined)?.answer ?? {};

/** Which targets have it: `done`, or `later` where the reconciliation must finish. */
function carried(state: ReportEvent['state']): Record<string, string> {
  if (!state) return {};
  const of = (name: string): string | undefined =>
    `${name}Fault` in state ? 'later' : name in state ? 'done' : undefined;
  return Object.fromEntries(
    (['stores', 'waf'] as const).flatMap((name) => {
      const value = of(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function approvalOf(answer: RunAnswer | undefined): string {
  if (!answer || answer.silence) return 'unanswered';
  return answer.approved ? 'granted' : 'refused';
}

async function detailOf(runs: RunStore, { workflow, run, state }: ReportEvent): Promise<Record<string, unknown>> {
  if (workflow === 'detect') {
    const plan = await runs.get<RunPlan>(run, part.plan);
    const decision = await runs.get<RunDecision>(run, part.decision);
    const answer = await runs.get<RunAnswer>(run, part.answer);
    const carriedOut = (decision?.readyCount ?? 0) + (answer?.approved ? (decision?.heldCount ?? 0) : 0);
    return {
      ...(plan ? { window: plan.window, dryRun: plan.dryRun } : {}),
      ...(decision
        ? {
            sessions: decision.sessions,
            watched: decision.watched,
            actions: carriedOut,
            held: decision.heldCount,
            ...(decision.heldCount > 0 ? { approval: approvalOf(answer) } : {}),
          }
        : {}),
    };
  }
  if (workflow === 'expire') return { expired: answerOf(state, 'expired')['expired'] ?? 0 };
  if (workflow === 'reconcile') {
    const [keys, sets] = [answerOf(state, 'drift')['keys'] ?? 0, answerOf(state, 'waf')['repaired'] ?? 0];
    return { differences: Number(keys) + Number(sets) };
  }
  return { kid: answerOf(state, 'next')['kid'] ?? null, retireAt: answerOf(state, 'signing')['retireAt'] ?? null };
}

/** Nothing happened and nothing is open: nobody needs to hear of it. */
function isQuiet(workflow: ReportEvent['workflow'], detail: Record<string, unknown>): boolean {
  if (Object.values((detail['targets'] ?? {}) as Record<string, string>).includes('later')) return false;
  if (workflow === 'detect') return detail['actions'] === 0 && detail['held'] === 0 && detail['dryRun'] !== true;
  if (workflow === 'expire') return detail['expired'] === 0;
  return workflow === 'reconcile' && detail['differences'] === 0;
}

/** Tells once how a run ended. */
export function report(options: ReportOptions): Handler<unknown, { readonly sent: boolean }> {
  const { runs, notify } = options;
  return async (given, scope) => {
    const parsed = event.parse(given);
    const { workflow, run, outcome, fault } = parsed;
    if (await runs.get(run, part.reported(outcome))) return { sent: false };
    const detail: Record<string, unknown> = {
      workflow,
      run,
      outcome,
      targets: carried(parsed.state),
      ...(await detailOf(runs, parsed)),
      // A cause may quote what it choked on; the error's name is enough here, the log has the rest.
      ...(fault ? { error: fault.Error ?? 'unknown' } : {}),
    };
    scope.log('run ended', detail);
    const sent = outcome === 'failed' || !isQuiet(workflow, detail);
    if (sent) await notify({ id: `${run}/${outcome}`, type: `Portcullis ${workflow} ${outcome}`, detail });
    await runs.put(run, part.reported(outcome), { at: Math.floor(options.now() / 1000) });
    scope.count(`runs.${outcome}`);
    return { sent };
  };
}
