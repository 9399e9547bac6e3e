import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import type { LedgerEntry } from '../../revoker/ledger/entry.js';
import type { Ledger, ScanFilter } from '../../revoker/ledger/ledger.js';
import { createMemoryLedger } from '../../revoker/ledger/memory.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';

const noon = 1_800_000_000;
const entry = (ref: Pick<LedgerEntry, 'scope' | 'id'>, state: LedgerEntry['state'], at: number): LedgerEntry => ({
  ...ref,
  state,
  at,
  version: 1,
  by: 'test',
  reason: 'test',
  history: [],
});
const entries = [
  entry({ scope: 'network', id: '192.88.99.1/32' }, 'active', noon - 9000),
  entry({ scope: 'network', id: '192.88.99.2/32' }, 'lifted', noon - 9000),
  entry({ scope: 'network', id: '192.88.99.3/32' }, 'expired', noon),
  entry({ scope: 'asn', id: '64500' }, 'expired', noon - 1),
  entry({ scope: 'session', id: 'old' }, 'expired', noon - 1),
  entry({ scope: 'session', id: 'new' }, 'lifted', noon + 1),
];

let dynamo: LoopbackDynamoDb;
/** Items that the database gave away. */
let given = 0;
beforeAll(async () => {
  dynamo = await startDynamoDb();
  await ensureLedgerTable(dynamo.client, 'ledger');
  for (const pk of ['STREAM#a', 'RUN#b']) {
    await dynamo.client.send(
      new PutItemCommand({ TableName: 'ledger', Item: { pk: { S: pk }, sk: { S: 'x' }, at: { N: String(noon) } } }),
    );
  }
  dynamo.client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      given += (result.output as { Items?: unknown[] }).Items?.length ?? 0;
      return result;
    },
    { step: 'initialize' },
  );
});
afterAll(() => dynamo.close());

describe.each([
  ['in memory', () => createMemoryLedger()],
  ['in DynamoDB', () => createDynamoLedger({ client: dynamo.client, table: 'ledger' })],
])('scanning a ledger %s', (where, create) => {
  let ledger: Ledger;
  beforeAll(async () => {
    ledger = create();
    await ledger.writeMany(entries);
  });
  const scanned = async (filter: ScanFilter): Promise<string[]> => {
    const ids: string[] = [];
    for await (const { id } of ledger.scan(filter)) ids.push(id);
    return ids.sort();
  };

  it.each<[string, ScanFilter, string[]]>([
    ['everything', {}, entries.map(({ id }) => id).sort()],
    ['what is active', { states: ['active'] }, ['192.88.99.1/32']],
    ['nothing', { states: [] }, []],
    ['networks alone', { scopes: ['network'], states: ['lifted', 'expired'] }, ['192.88.99.2/32', '192.88.99.3/32']],
    ['what is active or ended lately', { endedSince: noon }, ['192.88.99.1/32', '192.88.99.3/32', 'new']],
    [
      'networks and systems, active or ended lately',
      { scopes: ['network', 'asn'], endedSince: noon },
      ['192.88.99.1/32', '192.88.99.3/32'],
    ],
    ['what ended lately', { states: ['lifted', 'expired'], endedSince: noon }, ['192.88.99.3/32', 'new']],
    ['sessions', { scopes: ['session'], endedSince: noon }, ['new']],
  ])('gives %s', async (_what, filter, wanted) => {
    given = 0;
    expect(await scanned(filter)).toEqual(wanted);
    // What else lives in the table, and what is passed over, does not leave the database.
    if (where === 'in DynamoDB' && !filter.scopes) expect(given).toBe(wanted.length);
  });
});
