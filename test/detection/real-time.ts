import { realTimeFields } from '../../revoker/detection/fields.js';
import type { KinesisWindowEvent, WindowState } from '../../revoker/streaming/index.js';

/** When what is told here begins, seconds since 1970. */
export const start = 1_700_000_040;

export const payload = (fill: number): string =>
  Buffer.from(JSON.stringify({ sid: Buffer.alloc(16, fill).toString('base64url'), sub: `viewer-${fill}` })).toString(
    'base64url',
  );
/** A session as it is printed. */
export const session = (fill: number): string => Buffer.alloc(16, fill).toString('base64url');
/** A token of a session; renewals of a session differ. */
export const token = (fill: number, renewal = 0): string =>
  `eyJhbGciOiJIUzI1NiJ9.${payload(fill)}.${String(renewal).padEnd(43, 'S')}`;

/** A record and what a stream knows of it. */
export interface Made {
  readonly at: number;
  readonly data: string;
  readonly sequenceNumber: string;
}

let sequence = 0;

/** A record of the real-time log. */
export function record(values: Partial<Record<string, string | number>>): Made {
  const line = realTimeFields.map((field) => String(values[field] ?? '-')).join('\t');
  return {
    at: Number(values['timestamp']),
    data: Buffer.from(`${line}\n`).toString('base64'),
    sequenceNumber: String(++sequence),
  };
}

/** A segment that a session fetched. */
export function segment(
  fill: number,
  at: number,
  address: string,
  number: number,
  more: Partial<Record<string, string | number>> = {},
): Made {
  return record({
    timestamp: at.toFixed(3),
    'c-ip': address,
    'sc-status': 200,
    'sc-bytes': 900_000,
    'cs-method': 'GET',
    'cs-uri-stem': `/live/${token(fill, Math.floor(at / 60))}/ch1/v5/seg_${number}.m4s`,
    'cs-user-agent': 'Mozilla/5.0',
    'c-country': 'US',
    asn: 7922,
    ...more,
  });
}

/** One session fetched from forty networks, and two honest ones: at home, and through a carrier's changing addresses. */
export function restreamed(seconds: number): Made[] {
  const made: Made[] = [];
  for (let second = 0; second < seconds; second += 4) {
    const number = 1000 + second / 4;
    for (let network = 0; network < 40; network++)
      made.push(segment(1, start + second + (network % 4), `203.0.${network}.9`, number));
    made.push(segment(2, start + second, '198.51.100.7', number));
    made.push(segment(3, start + second, `192.0.${second % 6}.10`, number));
  }
  return made.sort((a, b) => a.at - b.at);
}

/** Delivers records as Lambda does: by shard, in batches, with a tumbling window's state. */
export async function deliver(
  handler: (event: KinesisWindowEvent) => Promise<{ state: WindowState }>,
  records: readonly Made[],
  setClock: (at: number) => void,
  options: { shards?: number; windowSeconds?: number; repeat?: number } = {},
): Promise<void> {
  const { shards = 3, windowSeconds = 15, repeat = 1 } = options;
  const windows = new Map<number, Made[]>();
  for (const made of records) {
    const window = Math.floor((Number.isFinite(made.at) ? made.at : start) / windowSeconds);
    windows.set(window, [...(windows.get(window) ?? []), made]);
  }
  for (const [window, members] of [...windows].sort((a, b) => a[0] - b[0])) {
    setClock((window + 1) * windowSeconds + 5);
    for (let shard = 0; shard < shards; shard++) {
      const own = members.filter((_, i) => i % shards === shard);
      let state: WindowState = {};
      for (let at = 0; at < own.length; at += 50) {
        const batch = {
          Records: own.slice(at, at + 50).map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } })),
          state,
          shardId: `shard-${shard}`,
        };
        const before = state;
        for (let again = 0; again < repeat; again++) ({ state } = await handler({ ...batch, state: before }));
      }
      for (let again = 0; again < repeat; again++)
        await handler({ Records: [], state, isFinalInvokeForWindow: true, shardId: `shard-${shard}` });
    }
  }
}
