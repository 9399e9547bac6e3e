import { type ActionPlan, decide, type PlannedAction } from '../detection/actions.js';
import type { DetectionConfig } from '../detection/config.js';
import type { Verdict } from '../detection/verdict.js';
import type { Handler, Scope } from '../lambdas/observe.js';
import type { RevocationRequest } from '../ledger/entry.js';
import type { StreamingConfig } from './config.js';
import { type KinesisWindowEvent, type StreamVerdict, streamHandler, type WindowAnswer } from './handler.js';
import type { AggregateStore } from './store.js';

const hour = 3600;

/** What became of a verdict. */
export interface Conviction {
  readonly verdict: StreamVerdict;
  /** What the ladder asks for and is certain enough to be done. */
  readonly actions: readonly PlannedAction[];
  /** Why nothing was done; undefined where `actions` were carried out. */
  readonly waits: string | undefined;
}

export interface StreamOptions {
  readonly config: DetectionConfig;
  readonly streaming: StreamingConfig;
  readonly store: AggregateStore;
  /**
   * Carries requests out and throws where it could not: the records then come again, with the same requests. Absent:
   * verdicts are told, and nothing is changed.
   */
  readonly act?: (requests: readonly RevocationRequest[]) => Promise<void>;
  /** Most sessions acted upon in an hour. Default: the configuration's ceiling of revoked sessions in a run. */
  readonly ceiling?: number;
  readonly told?: (conviction: Conviction) => void;
  /** Seconds since 1970. */
  readonly now?: () => number;
}

/**
 * The streaming path as a whole: records of a tumbling window in, verdicts judged, decided upon and carried out. The Lambda
 * runs it behind Kinesis, `portcullis detect watch` behind a log file.
 */
export function stream(options: StreamOptions): Handler<KinesisWindowEvent, WindowAnswer> {
  const { config, store, act } = options;
  const ceiling = options.ceiling ?? config.ceilings.revokeSession;
  const now = options.now ?? (() => Date.now() / 1000);

  const planOf = (verdict: Verdict, decidedAt: number): ActionPlan =>
    decide([verdict], config, { now: decidedAt, sessions: Number.MAX_SAFE_INTEGER });

  async function convict(verdict: StreamVerdict, scope: Scope): Promise<void> {
    const { session, score, decidedAt } = verdict;
    const plan = planOf(verdict.verdict, decidedAt);
    const waits = await whyNot(verdict, plan);
    scope.log('session convicted', { session, score, reasons: verdict.verdict.reasons, waits });
    if (waits === undefined) {
      await act?.(plan.ready.map(({ request }) => request));
      scope.count('acted');
    } else scope.count('waiting');
    options.told?.({ verdict, actions: plan.ready, waits });
  }

  /** Why nothing is done about a verdict; undefined where something is. */
  async function whyNot(
    { session, decidedAt }: StreamVerdict,
    { ready, held, allowed }: ActionPlan,
  ): Promise<string | undefined> {
    if (allowed.length > 0) return 'on the allow list';
    if (ready.length === 0) return held[0]?.why ?? 'watched: the ladder asks for nothing more';
    if (act === undefined) return 'nothing is changed here';
    // A telling that was cut short long ago: what it asks for is over, and the ledger would refuse it each time.
    if (ready.some(({ request }) => request.until !== undefined && request.until <= now())) return 'its time is over';
    const period = String(Math.floor(decidedAt / hour));
    if (await store.claimAct(period, session, ceiling, decidedAt + 2 * hour)) return undefined;
    return `over the ceiling of ${ceiling} sessions in an hour`;
  }

  return (event, scope) =>
    streamHandler({
      config,
      streaming: options.streaming,
      store,
      count: (metric, value) => scope.count(metric, value),
      setAside: (records) => Promise.resolve(scope.log('records set aside', { records })),
      rung: (verdict, decidedAt) =>
        planOf(verdict, decidedAt).ready.length === 0 ? 0 : verdict.score < config.actions.revokeSession ? 1 : 2,
      convict: (verdict) => convict(verdict, scope),
      ...(options.now === undefined ? {} : { now: options.now }),
    })(event);
}
