import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDynamoDb, type LoopbackDynamoDb } from '../../test/doubles/dynamodb.js';
import { createMemoryRecords, type AddressRecordStore } from '../../waf-rules/address-records.js';
import { ensureLedgerTable } from '../ledger/dynamodb.js';
import { dynamoAddressRecords } from './address-records.js';

let dynamo: LoopbackDynamoDb;
beforeAll(async () => {
  dynamo = await startDynamoDb();
  await ensureLedgerTable(dynamo.client, 'ledger');
});
afterAll(() => dynamo.close());

/** The same steps on the store in memory say what must come out. */
async function bothAfter(prefix: string, steps: (store: AddressRecordStore) => Promise<void>): Promise<unknown[][]> {
  const stores = [createMemoryRecords(), dynamoAddressRecords({ client: dynamo.client, table: 'ledger', prefix })];
  const contents: unknown[][] = [];
  for (const store of stores) {
    await steps(store);
    contents.push([...(await store.all())].sort((a, b) => a.key.localeCompare(b.key)));
  }
  return contents;
}

const a = { key: '198.51.100.7/32', addedAt: 100 };
const b = { key: 'AS64500', addedAt: 100, why: 're-stream' };

describe('blocked addresses in the ledger table', () => {
  it.each<[string, (store: AddressRecordStore) => Promise<void>]>([
    ['keep the later of two ends', async (store) => {
      await store.put([{ ...a, until: 200 }, b]);
      await store.put([{ ...a, until: 300 }]);
      await store.put([{ ...a, until: 250 }]);
    }],
    ['hold no end for later than any', async (store) => {
      await store.put([{ ...a, until: 200 }]);
      await store.put([a]);
      await store.put([{ ...a, until: 900 }]);
    }],
    ['end what they have, and pass over what they have not', async (store) => {
      await store.put([a]);
      await store.end([a.key, '203.0.113.1/32'], 150);
    }],
    ['forget what is due, and nothing else', async (store) => {
      await store.put([{ ...a, until: 200 }, { ...b, until: 201 }, { key: '203.0.113.0/24', addedAt: 100 }]);
      await store.forgetDue([a.key, b.key, '203.0.113.0/24', 'AS1'], 200);
    }],
  ])('%s', async (name, steps) => {
    const [wanted, found] = await bothAfter(name, steps);
    expect(found).toEqual(wanted);
    expect(found?.length).toBeGreaterThan(0);
  }); // prettier-ignore

  it('lose nothing when many write at once', async () => {
    const writers = Array.from({ length: 10 }, () =>
      dynamoAddressRecords({ client: dynamo.client, table: 'ledger', prefix: 'many' }),
    );
    await Promise.all(
      writers.map((store, i) =>
        store.put([
          { ...a, until: 200 + i },
          { key: `203.0.113.${i}/32`, addedAt: 1 },
        ]),
      ),
    );
    const found = await (writers[0] as AddressRecordStore).all();
    expect(found).toHaveLength(11);
    expect(found.find((record) => record.key === a.key)?.until).toBe(209);
  });
});
