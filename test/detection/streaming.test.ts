import { type DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseDetectionConfig } from '../../revoker/detection/config.js';
import { ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import {
  dynamoAggregates,
  type SetAside,
  streamHandler,
  streamingConfigSchema,
  type StreamVerdict,
} from '../../revoker/streaming/index.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { deliver, payload, restreamed, segment, session, start, token } from './real-time.js';

const config = parseDetectionConfig();
const streaming = streamingConfigSchema.parse({});

describe('the streaming path', () => {
  let client: DynamoDBClient;
  let database: LoopbackDynamoDb;
  let table: string;
  let tables = 0;
  let clock = start;
  const verdicts: StreamVerdict[] = [];
  const aside: SetAside[] = [];

  const rung = ({ score }: { score: number }): number => (score < config.actions.revokeSession ? 1 : 2);
  const handler = () =>
    streamHandler({
      config,
      streaming,
      store: dynamoAggregates(client, table),
      rung,
      convict: (verdict) => Promise.resolve(void verdicts.push(verdict)),
      setAside: (records) => Promise.resolve(void aside.push(...records)),
      now: () => clock,
    });
  const setClock = (at: number): void => void (clock = at);

  beforeAll(async () => {
    database = await startDynamoDb();
    ({ client } = database);
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    table = `aggregates-${++tables}`;
    verdicts.length = 0;
    aside.length = 0;
    await ensureLedgerTable(client, table);
  });

  const stored = async (): Promise<unknown> => {
    const answer = await client.send(new ScanCommand({ TableName: table }));
    return (answer.Items ?? [])
      .filter((item) => item['sk']?.S?.startsWith('SET#'))
      .map((item) => ({ id: `${item['pk']?.S} ${item['sk']?.S}`, entries: [...(item['entries']?.SS ?? [])].sort() }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  };

  it('convicts a session fetched from forty networks within a minute, and nobody else', async () => {
    await deliver(handler(), restreamed(60), setClock);
    expect(verdicts.map((verdict) => verdict.session)).toEqual([session(1)]);
    expect((verdicts[0] as StreamVerdict).decidedAt - start).toBeLessThanOrEqual(60);
    expect((verdicts[0] as StreamVerdict).verdict.contributions.length).toBeGreaterThan(1);
  });

  it('comes to the same sets and one verdict under redelivery, duplicates and disorder', async () => {
    const records = restreamed(60);
    await deliver(handler(), records, setClock);
    const expected = await stored();
    table = `aggregates-${++tables}`;
    verdicts.length = 0;
    await ensureLedgerTable(client, table);
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
      rung,
      convict: (verdict) => {
        if (crashes-- > 0) return Promise.reject(new Error('the ledger is away'));
        verdicts.push(verdict);
        return Promise.resolve();
      },
      setAside: () => Promise.resolve(),
      now: () => clock,
    });
    const records = restreamed(40).map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
    const batch = { Records: records, isFinalInvokeForWindow: true, shardId: 'shard-0' };
    clock = start + 45;
    await expect(crashing(batch)).rejects.toThrow('the ledger is away');
    await crashing(batch);
    await crashing(batch);
    expect(verdicts.map((verdict) => verdict.session)).toEqual([session(1)]);
  });

  it('keeps no session back for another whose telling fails', async () => {
    const failing = streamHandler({
      config,
      streaming,
      store: dynamoAggregates(client, table),
      rung,
      convict: (verdict) =>
        verdict.session === session(1)
          ? Promise.reject(new Error('the ledger is away'))
          : Promise.resolve(void verdicts.push(verdict)),
      setAside: () => Promise.resolve(),
      now: () => clock,
    });
    const others = Array.from({ length: 60 }, (_, i) => 20 + i);
    const made = [1, ...others].flatMap((fill) =>
      Array.from({ length: 32 }, (_, i) => segment(fill, start + i, `203.0.${i % 4}.9`, 1000 + (i >> 2))),
    );
    const Records = made.map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
    clock = start + 45;
    await expect(failing({ Records, isFinalInvokeForWindow: true })).rejects.toThrow('the ledger is away');
    expect(new Set(verdicts.map((verdict) => verdict.session))).toEqual(new Set(others.map(session)));
    expect((await stored()) as unknown[]).toHaveLength(61);
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
    await deliver(handler(), restreamed(20), setClock);
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
