import { SendTaskSuccessCommand, type SFNClient } from '@aws-sdk/client-sfn';
import { z } from 'zod';
import type { Notify } from './notify.js';
import { PermanentFault, type Handler } from './observe.js';
import { part, type RunAnswer, type RunBatch, type RunDecision } from './parts.js';
import type { RunStore } from './runs.js';

const askEvent = z.object({ run: z.string().min(1), token: z.string().min(1) });
const settleEvent = z.object({ run: z.string().min(1) });
const answerEvent = z.object({
  run: z.string().min(1),
  approved: z.boolean(),
  by: z.string().min(1).max(256),
  reason: z.string().max(1024).optional(),
});
export type AnswerApprovalEvent = z.input<typeof answerEvent>;

export interface ApprovalOptions {
  readonly runs: RunStore;
  readonly steps: SFNClient;
  readonly notify: Notify;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Hands the answer over; false where nobody waits for it. */
async function deliver(
  { runs, steps }: Pick<ApprovalOptions, 'runs' | 'steps'>,
  run: string,
  token: string,
  answer: RunAnswer,
): Promise<boolean> {
  const output = JSON.stringify({ answer: { approved: answer.approved, by: answer.by } });
  try {
    await steps.send(new SendTaskSuccessCommand({ taskToken: token, output }));
  } catch (error) {
    // The attempt that this token belonged to is over: the next one, or the closing of the question, reads the answer
    // where it is kept.
    if (!['TaskTimedOut', 'TaskDoesNotExist'].includes((error as Error).name)) throw error;
    return false;
  }
  await runs.put(run, part.taken, { at: answer.at });
  return true;
}

/** How often each reason to hold was met. */
async function reasonsOf(runs: RunStore, run: string, decision: RunDecision): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const number of decision.held) {
    const batch = await runs.get<RunBatch>(run, part.batch('held', number));
    for (const why of batch?.why ?? []) counts[why] = (counts[why] ?? 0) + 1;
  }
  return counts;
}

/**
 * Asks people for an answer. The task token stays in the run's own records: who reads the notification cannot answer
 * with it. A run that was answered before is answered the same at once.
 */
export function askApproval(options: ApprovalOptions): Handler<unknown, { readonly asked: boolean }> {
  const { runs, notify } = options;
  return async (given, scope) => {
    const { run, token } = askEvent.parse(given);
    const decision = await runs.get<RunDecision>(run, part.decision);
    if (!decision) throw new PermanentFault(`Run ${run} has no decision to ask about.`);
    await runs.put(run, part.token, { token });
    const standing = await runs.get<RunAnswer>(run, part.answer);
    if (standing) {
      await deliver(options, run, token, standing);
      return { asked: false };
    }
    if (await runs.get(run, part.reported('asked'))) return { asked: true };
    await notify({
      id: `${run}/asked`,
      type: 'Portcullis approval needed',
      detail: { run, actions: decision.heldCount, reasons: await reasonsOf(runs, run, decision) },
    });
    await runs.put(run, part.reported('asked'), { at: Math.floor(options.now() / 1000) });
    scope.log('approval asked', { run, actions: decision.heldCount });
    scope.count('approvalsAsked');
    return { asked: true };
  };
}

/**
 * Takes a person's answer: keeps it, then lets the workflow go on. The first answer counts. After the time was up there
 * is nothing to answer any more (`accepted: false`). An answer that nobody waits for is kept, and `note` says so.
 */
export function answerApproval(
  options: Omit<ApprovalOptions, 'notify'>,
): Handler<unknown, { readonly accepted: boolean; readonly note?: string }> {
  const { runs } = options;
  return async (given, scope) => {
    const { run, approved, by, reason } = answerEvent.parse(given);
    const waiting = await runs.get<{ token: string }>(run, part.token);
    if (!waiting) throw new PermanentFault(`Run ${run} asks for no approval.`);
    const at = Math.floor(options.now() / 1000);
    const mine: RunAnswer = { approved, by, at, ...(reason === undefined ? {} : { reason }) };
    const answer = await runs.putOnce(run, part.answer, mine);
    if (answer.silence) return { accepted: false };
    if (answer.approved !== approved) {
      throw new PermanentFault(`Run ${run} was ${answer.approved ? 'approved' : 'refused'} by ${answer.by} before.`);
    }
    const delivered = await deliver(options, run, waiting.token, answer);
    scope.log('approval answered', { run, approved, delivered });
    if (delivered || (await runs.get(run, part.taken))) return { accepted: true };
    return {
      accepted: true,
      note: `The answer is kept, but no execution waits for it. If run ${run} does not end within some minutes, start its execution again under its name: it goes on with this answer.`,
    };
  };
}

/** Closes the question when the time is up. An answer that came in the same moment still counts. */
export function settleApproval(
  options: Pick<ApprovalOptions, 'runs' | 'now'>,
): Handler<unknown, { readonly approved: boolean; readonly by: string }> {
  return async (given, scope) => {
    const { run } = settleEvent.parse(given);
    const at = Math.floor(options.now() / 1000);
    const silence: RunAnswer = { approved: false, by: 'nobody', at, silence: true };
    const { approved, by } = await options.runs.putOnce<RunAnswer>(run, part.answer, silence);
    await options.runs.put(run, part.taken, { at });
    scope.log('approval settled', { run, approved });
    return { approved, by };
  };
}
