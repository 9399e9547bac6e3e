import { decide, type ActionPlan } from './actions.js';
import type { AddressRange } from './addresses.js';
import type { DetectionConfig } from './config.js';
import { type Audience, type ReadingReport, readLogs, type SessionPlace, type TimelineCell } from './duckdb.js';
import { findLogs } from './sources.js';
import { judge, type Verdict } from './verdict.js';

export interface DetectionOptions {
  /** Files, folders or globs. */
  readonly logs: readonly string[];
  readonly config: DetectionConfig;
  /** The clock, seconds since 1970. */
  readonly now: number;
  /** Columns of logs without a header line, in their order. */
  readonly fields?: readonly string[];
  readonly addresses?: readonly AddressRange[];
  /** Only these sessions, whatever they score; they are then judged and described whole. */
  readonly sessions?: readonly string[];
  readonly progress?: (share: number) => void;
}

/** What a run found. Holds no token. */
export interface Detection {
  readonly reading: ReadingReport;
  readonly audience: Audience;
  /** Sessions with a score of `actions.watch` or of `threshold` and above, highest first. */
  readonly verdicts: readonly Verdict[];
  /** By session: where it was used from. */
  readonly places: ReadonlyMap<string, readonly SessionPlace[]>;
  /** By session: media by moment and network. */
  readonly timelines: ReadonlyMap<string, readonly TimelineCell[]>;
  /** By session: its account, where the token names one. */
  readonly subjects: ReadonlyMap<string, string>;
  readonly plan: ActionPlan;
}

/** Timelines are drawn for at most this many sessions. */
const describedSessions = 200;

/**
 * Reads logs, judges their sessions and plans what to do; changes nothing.
 *
 * @throws {LogSourceError} when there is no log to read.
 * @example
 * const found = await detect({ logs: ['logs/'], config: parseDetectionConfig(), now: Date.now() / 1000 });
 */
export async function detect(options: DetectionOptions): Promise<Detection> {
  const { config, now, sessions } = options;
  const logs = await findLogs(options.logs, options.fields);
  const database = await readLogs(logs, {
    config,
    now: Math.floor(now),
    ...(options.addresses === undefined ? {} : { addresses: options.addresses }),
    ...(sessions === undefined ? {} : { focus: sessions }),
    ...(options.progress === undefined ? {} : { progress: options.progress }),
  });
  try {
    const { reading, audience } = database;
    const rows = await database.rows(sessions === undefined ? {} : { sessions });
    const judged = judge(rows, await database.accounts(), config, audience);
    const told = Math.min(config.actions.watch, config.threshold);
    const verdicts = judged.filter((verdict) => sessions !== undefined || verdict.score >= told);
    const texts = verdicts.map((verdict) => verdict.sessionText);
    const bySession = <Value>(found: ReadonlyMap<string, Value>): Map<string, Value> =>
      new Map(
        verdicts.flatMap((verdict) => {
          const value = found.get(verdict.sessionText);
          return value === undefined ? [] : [[verdict.session, value] as const];
        }),
      );
    const places = bySession(await database.places(texts));
    const timelines = bySession(await database.timeline(texts.slice(0, describedSessions)));
    const subjects = bySession(await database.subjects(texts));
    const plan = decide(verdicts, config, { now: Math.floor(now), sessions: audience.sessions, places, subjects });
    return { reading, audience, verdicts, places, timelines, subjects, plan };
  } finally {
    await database.close();
  }
}
