import { normaliseFieldName } from '../detection/fields.js';
import type { Handler, Scope } from '../lambdas/observe.js';
import type { KinesisWindowEvent, WindowAnswer, WindowState } from './handler.js';
import type { LogTail } from './tail.js';

export interface FollowOptions {
  readonly tail: LogTail;
  /** Columns of the records, in the order that the handler was given. */
  readonly fields: readonly string[];
  readonly handle: Handler<KinesisWindowEvent, WindowAnswer>;
  readonly scope: Scope;
  /** Seconds of a tumbling window: how often sessions are judged. */
  readonly windowSeconds: number;
  /** How the tail is called in what is set aside. */
  readonly shard: string;
  /** Ends following, with a last judgement. */
  readonly signal: AbortSignal;
  /** Ends when there is nothing more to read, instead of waiting for it. */
  readonly once?: boolean;
  readonly onRetry?: (error: Error) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Lambda takes as many records at a time from a stream. */
const batchRecords = 10_000;
const pollMilliseconds = 500;
const longestPause = 30_000;

/**
 * Hands the lines of a log to the streaming path as Kinesis and Lambda would: in batches, with the state of a tumbling
 * window, the same batch again where the handler failed. Nothing is lost meanwhile: the log itself is the queue.
 */
export async function follow(options: FollowOptions): Promise<{ readonly records: number }> {
  const { tail, fields, handle, scope, windowSeconds, shard, signal } = options;
  const now = options.now ?? Date.now;
  const sleep = options.sleep ?? pause;
  let state: WindowState = {};
  let windowEnd = now() + windowSeconds * 1000;
  let records = 0;

  async function deliver(event: KinesisWindowEvent): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        ({ state } = await handle({ ...event, state, shardId: shard }, scope));
        return;
      } catch (error) {
        options.onRetry?.(error as Error);
        // Somebody who ends it does not wait for a store that is away.
        if (signal.aborted) throw error;
        await sleep(Math.min(longestPause, pollMilliseconds * 2 ** attempt), signal);
      }
    }
  }

  for (;;) {
    const lines = await tail.next(batchRecords);
    if (lines.length > 0) {
      records += lines.length;
      await deliver({
        Records: lines.map(({ at, text }) => ({
          kinesis: { data: recordOfLine(text, fields), sequenceNumber: String(at) },
        })),
      });
    }
    const over = signal.aborted || (options.once === true && lines.length === 0);
    if (over || now() >= windowEnd) {
      await deliver({ Records: [], isFinalInvokeForWindow: true });
      state = {};
      windowEnd = now() + windowSeconds * 1000;
    }
    if (over) return { records };
    if (lines.length < batchRecords && options.once !== true) await sleep(pollMilliseconds, signal);
  }
}

/**
 * A line as a record of the real-time log: columns between tabs, in base64. A line of JSON is laid out in the order of
 * `fields`, whichever of CloudFront's names its members have; any other is taken as it is.
 */
export function recordOfLine(line: string, fields: readonly string[]): string {
  return Buffer.from(line.startsWith('{') ? columnsOf(line, fields) : line, 'utf8').toString('base64');
}

function columnsOf(line: string, fields: readonly string[]): string {
  let members: Record<string, unknown>;
  try {
    members = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const values = new Map(Object.entries(members).map(([name, value]) => [normalised(name), value]));
  return fields
    .map((field) => {
      const name = normalised(field);
      const value = values.get(name) ?? (name === 'timestamp' ? secondsOf(values) : undefined);
      if (typeof value === 'number') return String(value);
      return typeof value === 'string' && value !== '' ? value.replace(/[\t\r\n]/g, ' ') : '-';
    })
    .join('\t');
}

/** The time of a standard log's line, which has no seconds since 1970. */
function secondsOf(values: ReadonlyMap<string, unknown>): number | undefined {
  const milliseconds = Number(values.get('timestamp-ms') ?? NaN);
  const time = Number.isFinite(milliseconds)
    ? milliseconds
    : Date.parse(`${String(values.get('date'))}T${String(values.get('time'))}Z`);
  return Number.isFinite(time) ? time / 1000 : undefined;
}

/** A log has a few dozen names; lines made up to have ever new ones fill no memory. */
const mostNames = 1000;
const names = new Map<string, string>();

function normalised(name: string): string {
  let known = names.get(name);
  if (known === undefined) {
    known = normaliseFieldName(name);
    if (names.size < mostNames && name.length < 100) names.set(name, known);
  }
  return known;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
