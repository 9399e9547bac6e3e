import type { DetectionConfig } from '../detection/config.js';
import { realTimeFields } from '../detection/fields.js';
import type { SessionKind } from '../detection/features.js';
import type { Verdict } from '../detection/verdict.js';
import { entryOf, judgeEntries } from './aggregate.js';
import type { StreamingConfig } from './config.js';
import { PoisonRecord, recordReader } from './record.js';
import type { AggregateStore, ToldVerdict } from './store.js';

/** What Lambda hands over of a Kinesis batch with a tumbling window. */
export interface KinesisWindowEvent {
  readonly Records?: readonly { readonly kinesis: { readonly data: string; readonly sequenceNumber: string } }[];
  readonly state?: WindowState;
  readonly isFinalInvokeForWindow?: boolean;
  readonly isWindowTerminatedEarly?: boolean;
  readonly shardId?: string;
}

/** What is carried from one batch of a window to the next: by session and stretch, members not yet written. Empty at a window's start. */
export interface WindowState {
  readonly pending?: Readonly<Record<string, readonly string[]>>;
}

/** What Lambda takes back: the state for the next batch, and the records to deliver again, which are never single ones. */
export interface WindowAnswer {
  readonly state: WindowState;
  readonly batchItemFailures: readonly never[];
}

/** A session that the stream convicts. */
export interface StreamVerdict extends ToldVerdict {
  readonly session: string;
  readonly sessionKind: SessionKind;
  readonly score: number;
  readonly windowStart: number;
  /** Last request that the verdict rests on, seconds since 1970. */
  readonly lastAt: number;
  readonly verdict: Verdict;
}

/** A record set aside: where it stands in the stream, so that it can be fetched again, and why; nothing of its content. */
export interface SetAside {
  readonly shard: string;
  readonly sequenceNumber: string;
  readonly why: string;
}

export interface StreamHandlerOptions {
  readonly config: DetectionConfig;
  readonly streaming: StreamingConfig;
  readonly store: AggregateStore;
  /**
   * How far up the ladder a verdict leads: 0 where it waits. One that leads further than what was told of the session is
   * told as well, so a verdict that waited is told again when it has become certain.
   */
  readonly rung: (verdict: Verdict, decidedAt: number) => number;
  /** Acts on a verdict. May be called again after a crash, with the same verdict to the letter; the ledger takes that once. */
  readonly convict: (verdict: StreamVerdict) => Promise<void>;
  readonly setAside: (records: readonly SetAside[]) => Promise<void>;
  readonly count?: (metric: 'records' | 'poison' | 'sessions' | 'verdicts', value: number) => void;
  /** Seconds since 1970. */
  readonly now?: () => number;
}

/** Lambda takes a state of 1 MB; well before that, what is pending is written. */
const largestState = 600_000;
const actsAtOnce = 32;

/**
 * Makes the Lambda handler of the streaming path. Configure its event source with a tumbling window of 15 seconds,
 * `BisectBatchOnFunctionError` and a destination on failure. A throw has the batch delivered again, which changes nothing
 * that was written: aggregates are sets.
 */
export function streamHandler(options: StreamHandlerOptions): (event: KinesisWindowEvent) => Promise<WindowAnswer> {
  const { streaming, store } = options;
  const config: DetectionConfig = {
    ...options.config,
    windowSeconds: streaming.windowSeconds,
    evidence: streaming.evidence,
    bufferSeconds: options.config.bufferSeconds,
  };
  const read = recordReader(streaming.fields ?? realTimeFields, config);
  const now = options.now ?? (() => Date.now() / 1000);
  return async (event) => {
    const pending = new Map<string, Set<string>>(
      Object.entries(event.state?.pending ?? {}).map(([key, entries]) => [key, new Set(entries)]),
    );
    const aside: SetAside[] = [];
    for (const { kinesis } of event.Records ?? []) {
      try {
        const request = read(kinesis.data, now());
        if (request === undefined) continue;
        const windowStart = Math.floor(request.at / streaming.windowSeconds) * streaming.windowSeconds;
        const key = JSON.stringify([request.session, request.sessionKind, windowStart]);
        const entries = pending.get(key) ?? new Set<string>();
        pending.set(key, entries);
        if (entries.size < streaming.mostEntries) entries.add(entryOf(request, config.momentSeconds));
      } catch (error) {
        // Reading is pure: what fails once fails each time, and would keep back everything behind it.
        const why = error instanceof PoisonRecord ? error.message : 'cannot be read';
        aside.push({ shard: event.shardId ?? '', sequenceNumber: kinesis.sequenceNumber, why });
      }
    }
    if (aside.length > 0) await options.setAside(aside);
    options.count?.('records', event.Records?.length ?? 0);
    options.count?.('poison', aside.length);
    const last = event.isFinalInvokeForWindow === true || event.isWindowTerminatedEarly === true;
    if (!last) {
      const state = { pending: Object.fromEntries([...pending].map(([key, entries]) => [key, [...entries]])) };
      if (Buffer.byteLength(JSON.stringify(state)) < largestState) return { state, batchItemFailures: [] };
    }
    await flush([...pending]);
    return { state: {}, batchItemFailures: [] };
  };

  /** Writes every session's members before any verdict is told: what fails for one keeps no other back. */
  async function flush(pending: readonly (readonly [string, ReadonlySet<string>])[]): Promise<void> {
    const written = await each(pending, ([key, entries]) => settle(key, [...entries]));
    // Two stretches of one session may both bring up the verdict that stands.
    const verdicts = new Map(
      written.done.flatMap((verdict) =>
        verdict === undefined ? [] : [[`${verdict.session} ${verdict.decidedAt} ${verdict.rung}`, verdict] as const],
      ),
    );
    const told = await each([...verdicts.values()], async (verdict) => {
      await options.convict(verdict);
      await store.finish(verdict, verdict);
    });
    options.count?.('sessions', pending.length);
    options.count?.('verdicts', told.done.length);
    const failed = [...written.failed, ...told.failed];
    if (failed.length > 0) throw failed[0];
  }

  /** Writes one session's members, judges the whole set, and gives a verdict that is to be told. */
  async function settle(text: string, entries: readonly string[]): Promise<StreamVerdict | undefined> {
    const [session, sessionKind, windowStart] = JSON.parse(text) as [string, SessionKind, number];
    const key = { session, sessionKind, windowStart };
    const until = windowStart + streaming.windowSeconds + streaming.keepSeconds;
    const whole = await store.add(key, entries, until, streaming.mostEntries);
    const verdict = judgeEntries(key, whole, config, streaming.mostEntries);
    if (verdict.score < config.threshold) return undefined;
    const decidedAt = Math.floor(now());
    return store.begin<StreamVerdict>(
      key,
      {
        ...key,
        score: verdict.score,
        rung: options.rung(verdict, decidedAt),
        lastAt: verdict.lastSeen,
        decidedAt,
        verdict,
      },
      until,
    );
  }
}

/** Does a thing for each of a list, some at a time, to the end of the list whatever fails. */
async function each<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
): Promise<{ readonly done: Result[]; readonly failed: unknown[] }> {
  const done: Result[] = [];
  const failed: unknown[] = [];
  for (let at = 0; at < items.length; at += actsAtOnce) {
    for (const outcome of await Promise.allSettled(items.slice(at, at + actsAtOnce).map(act))) {
      if (outcome.status === 'fulfilled') done.push(outcome.value);
      else failed.push(outcome.reason);
    }
  }
  return { done, failed };
}
