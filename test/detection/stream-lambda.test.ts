import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseDetectionConfig } from '../../revoker/detection/config.js';
import { silent } from '../../revoker/lambdas/observe.js';
import { connectRevoker, revokerConfigSchema, type RevokerConnection } from '../../revoker/index.js';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import type { LedgerEntry } from '../../revoker/ledger/entry.js';
import {
  type AggregateStore,
  dynamoAggregates,
  memoryAggregates,
  stream,
  streamActs,
  streamingConfigSchema,
  type KinesisWindowEvent,
  type WindowAnswer,
  type WindowState,
} from '../../revoker/streaming/index.js';
import { createKvsApi, memoryStorage, type KvsApi, type KvsFaults } from '../../scripts/local-edge/kvs-api.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { deliver, type Made, payload, restreamed, segment, session, start, token } from './real-time.js';

const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';

type Invoke = (event: KinesisWindowEvent) => Promise<WindowAnswer>;

let database: LoopbackDynamoDb;
let table: string;
let kvs: KvsApi;
let pairs: Map<string, string>;
let faults: KvsFaults;
const lines: Record<string, unknown>[] = [];
const before = { ...process.env };
const setClock = (seconds: number): void => void vi.setSystemTime(seconds * 1000);

beforeAll(async () => {
  database = await startDynamoDb();
});
afterAll(() => database.close());
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: start * 1000 });
  table = `ledger-${randomUUID()}`;
  await ensureLedgerTable(database.client, table);
  const storage = memoryStorage();
  pairs = storage.map;
  faults = () => undefined;
  kvs = await createKvsApi({ storage, arn, faults: (call) => faults(call) });
  lines.length = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  process.env = { ...before };
  await kvs.close();
});

/** The Lambda as AWS loads it: a fresh module, everything else from its environment. */
async function lambda(variables: Record<string, string> = {}): Promise<Invoke> {
  Object.assign(process.env, {
    LEDGER_TABLE: table,
    REVOKER_CONFIG: JSON.stringify({
      stores: [{ name: 'main', arn, endpoint: kvs.endpoint }],
      ledger: { endpoint: database.endpoint },
    }),
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'loopback',
    AWS_SECRET_ACCESS_KEY: 'loopback',
    ...variables,
  });
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    for (const line of String(text).split('\n').filter(Boolean)) {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
    }
    return true;
  });
  vi.resetModules();
  const { handler } = await import('../../revoker/streaming/lambda.js');
  return (event) => handler(event, { awsRequestId: randomUUID() });
}

const recordsOf = (made: readonly Made[]): NonNullable<KinesisWindowEvent['Records']> =>
  made.map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
const metric = (name: string): number => lines.reduce((sum, line) => sum + Number(line[name] ?? 0), 0);

async function entries(): Promise<LedgerEntry[]> {
  const list: LedgerEntry[] = [];
  for await (const entry of createDynamoLedger({ client: database.client, table }).scan()) list.push(entry);
  return list;
}

/** What the stream keeps, in an order of its own; when it was written is left out. */
async function kept(): Promise<unknown[]> {
  const { Items = [] } = await database.client.send(new ScanCommand({ TableName: table }));
  return Items.filter((item) => item['pk']?.S?.startsWith('STREAM#'))
    .map(({ pk, sk, entries: members, state, acts }) => ({
      id: `${pk?.S} ${sk?.S}`,
      members: [...(members?.SS ?? acts?.SS ?? [])].sort(),
      state: state?.S,
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

describe("the stream's Lambda", () => {
  it('revokes a session fetched from forty networks in ledger and store, within a minute by the records’ clock', async () => {
    await deliver(await lambda(), restreamed(60), setClock);
    const found = await entries();
    expect(found.map(({ scope, id, version, state }) => [scope, id, version, state])).toEqual([
      ['session', session(1), 1, 'active'],
    ]);
    expect(found[0]).toMatchObject({ by: 'detection: stream', evidence: { score: 100 } });
    expect((found[0] as LedgerEntry).at - start).toBeLessThanOrEqual(60);
    expect(pairs.size).toBe(1);
    expect(metric('verdicts')).toBe(1);
    expect(metric('acted')).toBe(1);
  });

  it('answers every batch of a window with its state, each shard its own, and an empty one at the end', async () => {
    const invoke = await lambda();
    const halves = [segment(2, start, '198.51.100.7', 5), segment(3, start, '192.0.2.10', 5)];
    const states: WindowState[] = [];
    for (const [shard, made] of halves.entries()) {
      const answer = await invoke({ Records: recordsOf([made]), state: {}, shardId: `shard-${shard}` });
      expect(answer.batchItemFailures).toEqual([]);
      states.push(answer.state);
    }
    expect(states.map(({ pending }) => Object.keys(pending ?? {}).map((key) => JSON.parse(key) as unknown))).toEqual([
      [[session(2), 'session', start - (start % 120)]],
      [[session(3), 'session', start - (start % 120)]],
    ]);
    expect(await kept()).toEqual([]);
    for (const [shard, state] of states.entries()) {
      const end = { Records: [], state, isFinalInvokeForWindow: true, shardId: `shard-${shard}` };
      expect(await invoke(end)).toEqual({ state: {}, batchItemFailures: [] });
    }
    expect(await kept()).toHaveLength(2);
  });

  it('comes to the same sets and the same revocation under redelivery, duplicates and disorder', async () => {
    const records = restreamed(60);
    await deliver(await lambda(), records, setClock);
    const wanted = { kept: await kept(), entries: (await entries()).length, pairs: [...pairs.keys()] };
    table = `ledger-${randomUUID()}`;
    await ensureLedgerTable(database.client, table);
    pairs.clear();
    const disorderly = [...records, ...records.filter((_, i) => i % 3 === 0)]
      .map((made, i) => ({ made, order: (i * 7919) % 1009 }))
      .sort((a, b) => a.order - b.order)
      .map(({ made }) => made);
    await deliver(await lambda(), disorderly, setClock, { shards: 5, repeat: 2 });
    const found = await entries();
    expect({ kept: await kept(), entries: found.length, pairs: [...pairs.keys()] }).toEqual(wanted);
    expect(found[0]).toMatchObject({ version: 1 });
  });

  it('keeps its sessions in a table of their own where one is named', async () => {
    const aggregates = `aggregates-${randomUUID()}`;
    await ensureLedgerTable(database.client, aggregates);
    await deliver(await lambda({ AGGREGATES_TABLE: aggregates }), restreamed(60), setClock);
    expect(await kept()).toEqual([]);
    const { Items = [] } = await database.client.send(new ScanCommand({ TableName: aggregates }));
    expect(new Set(Items.map((item) => item['pk']?.S?.split('#')[0]))).toEqual(new Set(['STREAM']));
    expect(await entries()).toMatchObject([{ id: session(1), version: 1 }]);
  });

  it('says the same when the answer to a written batch is lost, and changes nothing', async () => {
    const invoke = await lambda();
    const batch = { Records: recordsOf(restreamed(24)), isFinalInvokeForWindow: true, shardId: 'shard-0' };
    setClock(start + 30);
    await invoke(batch);
    const [first, sets] = [await entries(), await kept()];
    setClock(start + 90);
    await invoke(batch);
    expect([await entries(), await kept()]).toEqual([first, sets]);
    expect(pairs.size).toBe(1);
  });

  it('has the records come again where the store cannot be written, and then revokes what it recorded', async () => {
    const invoke = await lambda();
    const batch = { Records: recordsOf(restreamed(24)), isFinalInvokeForWindow: true, shardId: 'shard-0' };
    setClock(start + 30);
    faults = ({ operation }) =>
      operation === 'UpdateKeys' ? { kind: 'error', code: 'AccessDeniedException' } : undefined;
    await expect(invoke(batch)).rejects.toMatchObject({ name: 'TransientFault' });
    const recorded = await entries();
    expect(recorded).toMatchObject([{ id: session(1), version: 1 }]);
    expect(pairs.size).toBe(0);
    faults = () => undefined;
    setClock(start + 40);
    await invoke(batch);
    expect(await entries()).toEqual(recorded);
    expect(pairs.size).toBe(1);
  });

  it('sets poison aside by its place, counts it, and goes on with the rest', async () => {
    const invoke = await lambda();
    const poison = [
      'not base64 at all !!',
      '%%%%',
      '',
      Buffer.from([0xff, 0xfe, 0x00]).toString('base64'),
      Buffer.from('three\tcolumns\tonly').toString('base64'),
      segment(2, start, 'not an address', 6).data,
      segment(2, start + 1_000_000, '198.51.100.7', 7).data,
      segment(2, start, '198.51.100.7', 8, { 'sc-status': 'x' }).data,
      Buffer.alloc(900_000, 'A').toString('base64'),
    ];
    const odd = [{ kinesis: { sequenceNumber: 'odd-1' } }, { kinesis: { data: 7, sequenceNumber: 'odd-2' } }];
    const Records = [
      ...poison.map((data, i) => ({ kinesis: { data, sequenceNumber: `poison-${i}` } })),
      ...(odd as unknown as NonNullable<KinesisWindowEvent['Records']>),
      ...recordsOf(restreamed(24)),
    ];
    setClock(start + 30);
    await invoke({ Records, isFinalInvokeForWindow: true, shardId: 'shard-9' });
    const aside = lines
      .filter(({ message }) => message === 'records set aside')
      .flatMap((line) => line['records'] as { shard: string; sequenceNumber: string }[]);
    expect(aside.map(({ sequenceNumber }) => sequenceNumber)).toEqual([
      ...poison.map((_, i) => `poison-${i}`),
      'odd-1',
      'odd-2',
    ]);
    expect(new Set(aside.map(({ shard }) => shard))).toEqual(new Set(['shard-9']));
    expect(metric('poison')).toBe(poison.length + odd.length);
    expect(await entries()).toMatchObject([{ id: session(1) }]);
  });

  it('writes before its state outgrows what Lambda carries', async () => {
    const invoke = await lambda();
    const made = Array.from({ length: 2800 }, (_, i) =>
      segment(0, start, `10.${i >> 8}.${i & 255}.9`, 1000, {
        'cs-uri-stem': `/live/eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify({ sid: `${i}`.padEnd(190, '-') })).toString('base64url')}.${'S'.repeat(43)}/ch1/v5/seg_1.m4s`,
      }),
    );
    const { state } = await invoke({ Records: recordsOf(made), state: {}, shardId: 'shard-0' });
    expect(JSON.stringify(state).length).toBeLessThan(1_000_000);
    expect(await kept()).toHaveLength(made.length);
  });

  it('survives a session of more networks and segments than an item holds, and still hears the others', async () => {
    const invoke = await lambda();
    setClock(start + 30);
    for (let round = 0; round < 12; round++) {
      const flood = Array.from({ length: 1990 }, (_, i) =>
        segment(1, start + (i % 20), `203.${round}.${i >> 3}.9`, 10 ** 14 + (i & 7), { 'cmcd-session-id': `p${i}` }),
      );
      await invoke({
        Records: recordsOf([...flood, segment(2, start + round, '198.51.100.7', round)]),
        isFinalInvokeForWindow: true,
        shardId: 'shard-0',
      });
    }
    const { Items = [] } = await database.client.send(new ScanCommand({ TableName: table }));
    for (const item of Items) expect(JSON.stringify(item).length).toBeLessThan(400_000);
    expect(await entries()).toMatchObject([{ id: session(1), version: 1 }]);
    const honest = (await kept()).find((item) => (item as { id: string }).id.includes(session(2)));
    expect((honest as { members: string[] }).members).toHaveLength(12);
  });

  it('acts on no more sessions in an hour than the ceiling says, and says who waits', async () => {
    const invoke = await lambda({ DETECTION_CONFIG: JSON.stringify({ ceilings: { revokeSession: 2 } }) });
    const made = [11, 12, 13, 14].flatMap((fill) =>
      Array.from({ length: 240 }, (_, i) =>
        segment(fill, start + (i % 20), `203.0.${i % 40}.9`, 1000 + Math.floor(i / 40)),
      ),
    );
    const batch = { Records: recordsOf(made), isFinalInvokeForWindow: true, shardId: 'shard-0' };
    setClock(start + 30);
    await invoke(batch);
    await invoke(batch);
    expect(await entries()).toHaveLength(2);
    const waits = lines.filter(({ waits: why }) => String(why).includes('over the ceiling of 2 sessions'));
    expect(waits).toHaveLength(2);
    setClock(start + 3700);
    const later = made.map((_, i) =>
      segment(15, start + 3600 + (i % 20), `203.0.${i % 40}.9`, 1000 + Math.floor(i / 40)),
    );
    await invoke({ ...batch, Records: recordsOf(later) });
    expect((await entries()).map(({ id }) => id)).toContain(session(15));
  });

  it('leaves allowed sessions, accounts and networks alone', async () => {
    const invoke = await lambda({
      DETECTION_CONFIG: JSON.stringify({
        allow: { sessions: [session(1)], subjects: ['viewer-21'], networks: ['10.20.0.0/16'] },
      }),
    });
    const partner = Array.from({ length: 240 }, (_, i) =>
      segment(22, start + (i % 20), `10.20.${i % 40}.9`, 1000 + Math.floor(i / 40)),
    );
    const account = Array.from({ length: 240 }, (_, i) =>
      segment(21, start + (i % 20), `203.0.${i % 40}.9`, 1000 + Math.floor(i / 40)),
    );
    setClock(start + 30);
    await invoke({
      Records: recordsOf([...restreamed(24), ...partner, ...account]),
      isFinalInvokeForWindow: true,
      shardId: 'shard-0',
    });
    expect(await entries()).toEqual([]);
    // Requests of allowed accounts and networks are no evidence; an allowed session is told, and left alone.
    const told = lines.filter(({ message }) => message === 'session convicted');
    expect(told.map((line) => [line['session'], line['waits']])).toEqual([[session(1), 'on the allow list']]);
  });

  it('acts on nothing that it is not sure enough of, and says so', async () => {
    const invoke = await lambda({
      DETECTION_CONFIG: JSON.stringify({ actions: { remint: 100, revokeSession: 100 }, approvalBelow: 1 }),
    });
    setClock(start + 30);
    await invoke({ Records: recordsOf(restreamed(24)), isFinalInvokeForWindow: true, shardId: 'shard-0' });
    expect(await entries()).toEqual([]);
    expect(metric('waiting')).toBe(1);
    expect(lines.find(({ waits }) => String(waits).includes('confidence'))).toBeDefined();
  });

  it('acts on a session that waited for more evidence as soon as there is enough of it', async () => {
    const invoke = await lambda({ DETECTION_CONFIG: JSON.stringify({ approvalBelow: 0.8 }) });
    const shared = (from: number, until: number) =>
      Array.from({ length: 3 * (until - from) }, (_, i) => {
        const second = from + Math.floor(i / 3);
        return segment(1, start + second, `203.0.${i % 3}.9`, 1000 + second);
      });
    const judge = async (from: number, until: number): Promise<void> => {
      setClock(start + until);
      await invoke({ Records: recordsOf(shared(from, until)), isFinalInvokeForWindow: true, shardId: 'shard-0' });
    };
    await judge(0, 12);
    expect(await entries()).toEqual([]);
    await judge(12, 18);
    await judge(18, 30);
    expect(await entries()).toMatchObject([{ id: session(1), version: 1 }]);
    const told = lines.filter(({ message }) => message === 'session convicted').map(({ waits }) => waits);
    expect(told).toEqual([expect.stringContaining('confidence'), undefined]);
  });

  it('hears of a session that fills its set with requests to hide the rest', async () => {
    const invoke = await lambda();
    setClock(start + 15);
    const flood = Array.from({ length: 2000 }, (_, i) =>
      segment(1, start + (i % 10), '203.0.1.9', 1000, { 'cs-method': 'HEAD', 'cmcd-session-id': `p${i}` }),
    );
    await invoke({ Records: recordsOf(flood), isFinalInvokeForWindow: true, shardId: 'shard-0' });
    setClock(start + 30);
    await invoke({ Records: recordsOf(restreamed(24)), isFinalInvokeForWindow: true, shardId: 'shard-0' });
    expect(await entries()).toMatchObject([{ id: session(1), remint: true, cutoff: start + 15 }]);
    expect((await entries())[0]?.reason).toContain('2000 media requests in 120 s, 2000 are the limit');
  });

  it('leaves a verdict alone whose telling was cut short so long ago that its time is over', async () => {
    const told: unknown[] = [];
    let clock = start + 45;
    const act = vi.fn(() => Promise.reject(new Error('the ledger is away')));
    const handle = stream({
      config: parseDetectionConfig(),
      streaming: streamingConfigSchema.parse({}),
      store: dynamoAggregates(database.client, table),
      act,
      told: (conviction) => told.push(conviction.waits),
      now: () => clock,
    });
    const batch = { Records: recordsOf(restreamed(40)), isFinalInvokeForWindow: true, shardId: 'shard-0' };
    await expect(handle(batch, silent)).rejects.toThrow('the ledger is away');
    clock += parseDetectionConfig().actions.revokeSessionSeconds + 60;
    await handle(batch, silent);
    expect(told).toEqual(['its time is over']);
    expect(act).toHaveBeenCalledTimes(1);
  });

  it('writes no token and no address, neither into a log nor into the table', async () => {
    await deliver(await lambda(), restreamed(30), setClock);
    const { Items } = await database.client.send(new ScanCommand({ TableName: table }));
    for (const text of [JSON.stringify(lines), JSON.stringify(Items)]) {
      expect(text).not.toContain(payload(1));
      expect(text).not.toContain(token(1).slice(-40));
      expect(text).not.toContain('203.0.');
    }
  });

  it.each([
    [{ LOG_FIELDS: 'timestamp,c-ip,cs-uri-stem,cs-method' }, /lack status/],
    [{ DETECTION_CONFIG: '{"threshold":0}' }, /detection.threshold/],
    [{ REVOKER_CONFIG: '{' }, /REVOKER_CONFIG/],
  ])('says what is wrong with its environment: %j', async (variables, message) => {
    const invoke = await lambda(variables);
    await expect(invoke({ Records: recordsOf([segment(2, start, '198.51.100.7', 5)]) })).rejects.toThrow(message);
  });
});

describe('a crash at any point of the way', () => {
  const config = parseDetectionConfig();
  const streaming = streamingConfigSchema.parse({});
  const folder = join(tmpdir(), `portcullis-stream-${randomUUID()}`);
  let connection: RevokerConnection;
  afterEach(() => connection.close());
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** The steps of one batch with a verdict, in their order; each can fail before it is done, or after. */
  const steps = ['add', 'begin', 'claimAct', 'act', 'finish'] as const;

  it.each(steps.flatMap((step) => [{ step, when: 'before' } as const, { step, when: 'after' } as const]))(
    'dies $when "$step": the batch comes again, and nothing is lost or doubled',
    async ({ step, when }) => {
      connection = await connectRevoker({
        config: revokerConfigSchema.parse({
          stores: [{ name: 'main', arn, endpoint: kvs.endpoint }],
          ledger: { table, endpoint: database.endpoint },
        }),
        secretsFolder: folder,
      });
      let crashes = 1;
      const dying = async <Value>(name: (typeof steps)[number], work: () => Promise<Value>): Promise<Value> => {
        const dies = name === step && crashes > 0;
        if (dies) crashes--;
        if (dies && when === 'before') throw new Error(`died before ${name}`);
        const value = await work();
        if (dies) throw new Error(`died after ${name}`);
        return value;
      };
      const store = dynamoAggregates(database.client, table);
      const fragile: AggregateStore = {
        add: (...all) => dying('add', () => store.add(...all)),
        begin: (key, verdict, until) => dying('begin', () => store.begin(key, verdict, until)),
        claimAct: (...all) => dying('claimAct', () => store.claimAct(...all)),
        finish: (...all) => dying('finish', () => store.finish(...all)),
      };
      const act = streamActs(connection, { by: 'test' });
      const told: string[] = [];
      const handle = stream({
        config,
        streaming,
        store: fragile,
        act: (requests) => dying('act', () => act(requests)),
        ceiling: 1,
        told: ({ verdict }) => told.push(verdict.session),
      });
      const batch = { Records: recordsOf(restreamed(24)), isFinalInvokeForWindow: true, shardId: 'shard-0' };
      setClock(start + 30);
      await expect(handle(batch, silent)).rejects.toThrow(`died ${when} ${step}`);
      setClock(start + 35);
      await handle(batch, silent);
      setClock(start + 50);
      await handle(batch, silent);
      expect(await entries()).toMatchObject([{ scope: 'session', id: session(1), version: 1, state: 'active' }]);
      expect((await entries())[0]?.history).toHaveLength(1);
      expect(pairs.size).toBe(1);
      expect(await connection.ledger.jobs()).toEqual([]);
      expect(told.length).toBeLessThanOrEqual(2);
    },
  );
});

describe.each([
  ['in DynamoDB', () => dynamoAggregates(database.client, table)],
  ['in memory', () => memoryAggregates()],
] as const)('verdicts kept %s', (_name, make) => {
  const key = { session: 'a', sessionKind: 'session', windowStart: 1000 } as const;

  it('are told once, again where the telling was cut short, further when they lead further, and anew when abuse goes on', async () => {
    const store = make();
    const first = { rung: 1, decidedAt: 1060 };
    expect(await store.begin(key, first, 5000)).toEqual(first);
    expect(await store.begin(key, { rung: 1, decidedAt: 1070 }, 5000)).toEqual(first);
    await store.finish(key, first);
    expect(await store.begin(key, { rung: 1, decidedAt: 1080 }, 5000)).toBeUndefined();
    // The stretch began before the verdict: what it holds may be from before it.
    expect(await store.begin({ ...key, windowStart: 1050 }, { rung: 1, decidedAt: 1180 }, 5000)).toBeUndefined();
    const second = { rung: 2, decidedAt: 1100 };
    expect(await store.begin(key, second, 5000)).toEqual(second);
    // The end of the first telling does not end the second.
    await store.finish(key, first);
    expect(await store.begin(key, { rung: 2, decidedAt: 1110 }, 5000)).toEqual(second);
    await store.finish(key, second);
    const again = { rung: 1, decidedAt: 1240 };
    expect(await store.begin({ ...key, windowStart: 1120 }, again, 5000)).toEqual(again);
  });

  it('count a session once against the ceiling', async () => {
    const store = make();
    const claims: boolean[] = [];
    for (const session_ of ['a', 'a', 'b', 'c', 'a', 'c']) {
      claims.push(await store.claimAct('1', session_, 2, 5000));
    }
    expect(claims).toEqual([true, true, true, false, true, false]);
    expect(await store.claimAct('2', 'c', 2, 5000)).toBe(true);
    expect(await store.claimAct('3', 'c', 0, 5000)).toBe(false);
  });
});
