import { type AddressInfo, createServer } from 'node:net';
import { CreateTableCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseDetectionConfig } from '../detection/config.js';
import { realTimeFields } from '../detection/fields.js';
import { streamingConfigSchema } from './config.js';
import {
  type KinesisWindowEvent,
  type SetAside,
  streamHandler,
  type StreamVerdict,
  type WindowState,
} from './handler.js';
import { dynamoAggregates } from './store.js';

const config = parseDetectionConfig();
const streaming = streamingConfigSchema.parse({});
const start = 1_790_000_040;

const payload = (fill: number): string =>
  Buffer.from(JSON.stringify({ sid: Buffer.alloc(16, fill).toString('base64url'), sub: `viewer-${fill}` })).toString(
    'base64url',
  );
const session = (fill: number): string => Buffer.alloc(16, fill).toString('base64url');
const token = (fill: number, renewal = 0): string =>
  `eyJhbGciOiJIUzI1NiJ9.${payload(fill)}.${String(renewal).padEnd(43, 'S')}`;

interface Made {
  readonly at: number;
  readonly data: string;
  readonly sequenceNumber: string;
}

let sequence = 0;

function record(values: Partial<Record<string, string | number>>): Made {
  const line = realTimeFields.map((field) => String(values[field] ?? '-')).join('\t');
  return {
    at: Number(values['timestamp']),
    data: Buffer.from(`${line}\n`).toString('base64'),
    sequenceNumber: String(++sequence),
  };
}

function segment(
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
function event(seconds: number): Made[] {
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
async function deliver(
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

describe('the streaming path', () => {
  let client: DynamoDBClient;
  let server: ReturnType<typeof dynalite>;
  let table: string;
  let tables = 0;
  let clock = start;
  const verdicts: StreamVerdict[] = [];
  const aside: SetAside[] = [];

  const handler = () =>
    streamHandler({
      config,
      streaming,
      store: dynamoAggregates(client, table),
      convict: (verdict) => Promise.resolve(void verdicts.push(verdict)),
      setAside: (records) => Promise.resolve(void aside.push(...records)),
      now: () => clock,
    });
  const setClock = (at: number): void => void (clock = at);

  beforeAll(async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    server = dynalite({ createTableMs: 0 });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
    client = new DynamoDBClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    });
  });
  afterAll(async () => {
    client.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  beforeEach(async () => {
    table = `aggregates-${++tables}`;
    verdicts.length = 0;
    aside.length = 0;
    await client.send(
      new CreateTableCommand({
        TableName: table,
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
  });

  const stored = async (): Promise<unknown> => {
    const answer = await client.send(new ScanCommand({ TableName: table }));
    return (answer.Items ?? [])
      .filter((item) => item['sk']?.S?.startsWith('SET#'))
      .map((item) => ({ id: `${item['pk']?.S} ${item['sk']?.S}`, entries: [...(item['entries']?.SS ?? [])].sort() }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  };

  it('convicts a session fetched from forty networks within a minute, and nobody else', async () => {
    await deliver(handler(), event(60), setClock);
    expect(verdicts.map((verdict) => verdict.session)).toEqual([session(1)]);
    expect((verdicts[0] as StreamVerdict).decidedAt - start).toBeLessThanOrEqual(60);
    expect((verdicts[0] as StreamVerdict).verdict.contributions.length).toBeGreaterThan(1);
  });

  it('comes to the same sets and one verdict under redelivery, duplicates and disorder', async () => {
    const records = event(60);
    await deliver(handler(), records, setClock);
    const expected = await stored();
    table = `aggregates-${++tables}`;
    verdicts.length = 0;
    await client.send(
      new CreateTableCommand({
        TableName: table,
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    const disorderly = [...records, ...records.filter((_, i) => i % 3 === 0)]
      .map((made, i) => ({ made, order: (i * 7919) % 1009 }))
      .sort((a, b) => a.order - b.order)
      .map(({ made }) => made);
    await deliver(handler(), disorderly, setClock, { shards: 5, repeat: 2 });
    expect(await stored()).toEqual(expected);
    expect(verdicts.map((verdict) => verdict.session)).toEqual([session(1)]);
  });

  it('tells a verdict again when the telling crashed, and then no more', async () => {
    let crashes = 1;
    const crashing = streamHandler({
      config,
      streaming,
      store: dynamoAggregates(client, table),
      convict: (verdict) => {
        if (crashes-- > 0) return Promise.reject(new Error('the ledger is away'));
        verdicts.push(verdict);
        return Promise.resolve();
      },
      setAside: () => Promise.resolve(),
      now: () => clock,
    });
    const records = event(40).map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
    const batch = { Records: records, isFinalInvokeForWindow: true, shardId: 'shard-0' };
    clock = start + 45;
    await expect(crashing(batch)).rejects.toThrow('the ledger is away');
    await crashing(batch);
    await crashing(batch);
    expect(verdicts.map((verdict) => verdict.session)).toEqual([session(1)]);
  });

  it('sets poison records aside by their place in the stream, with nothing of their content', async () => {
    const good = segment(2, start, '198.51.100.7', 5);
    const poison = [
      { ...good, data: Buffer.from('three\tcolumns\tonly').toString('base64'), sequenceNumber: 'a' },
      { ...good, data: Buffer.from([0xff, 0x00, 0xfe]).toString('base64'), sequenceNumber: 'b' },
      { ...segment(2, start, 'not an address', 6), sequenceNumber: 'c' },
      { ...segment(2, start + 1_000_000, '198.51.100.7', 7), at: start, sequenceNumber: 'd' },
      { ...segment(2, start, '198.51.100.7', 8, { 'sc-status': 'x' }), sequenceNumber: 'e' },
    ];
    await deliver(handler(), [good, ...poison], setClock, { shards: 1 });
    expect(aside.map((record) => record.sequenceNumber).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(JSON.stringify(aside)).not.toContain(token(2).slice(30));
    expect((await stored()) as unknown[]).toHaveLength(1);
  });

  it('keeps no token, and no address in the clear', async () => {
    await deliver(handler(), event(20), setClock);
    const kept = JSON.stringify((await client.send(new ScanCommand({ TableName: table }))).Items);
    expect(kept).not.toContain(payload(1));
    expect(kept).not.toContain('203.0.');
  });

  it('takes no notice of refused requests, which anybody can write a session into', async () => {
    const forged = Array.from({ length: 400 }, (_, i) =>
      segment(2, start + (i % 20), `203.0.${i % 40}.9`, 1000 + Math.floor(i / 40), { 'sc-status': 401 }),
    );
    await deliver(handler(), [...forged, segment(2, start, '198.51.100.7', 1000)], setClock);
    expect(verdicts).toEqual([]);
  });
});
