import { randomBytes } from 'node:crypto';
import { QueryCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { part } from '../../revoker/lambdas/parts.js';
import { dynamoRunStore, type RunStore } from '../../revoker/lambdas/runs.js';
import { ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';

let dynamo: LoopbackDynamoDb;
let runs: RunStore;
beforeAll(async () => {
  dynamo = await startDynamoDb();
  await ensureLedgerTable(dynamo.client, 'ledger');
  runs = dynamoRunStore({ client: dynamo.client, table: 'ledger' });
});
afterAll(() => dynamo.close());

/** A page of rows that gzip can do little about. */
const pageOf = (rows: number): unknown => ({
  sessions: rows,
  candidates: Array.from({ length: rows }, () => ({ session: randomBytes(700).toString('base64url') })),
});

async function itemsOf(client: DynamoDBClient, run: string): Promise<string[]> {
  const { Items = [] } = await client.send(
    new QueryCommand({
      TableName: 'ledger',
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': { S: `RUN#${run}` } },
    }),
  );
  return Items.map((item) => item['sk']?.S ?? '');
}

describe("a run's parts", () => {
  it('may outgrow an item, and are the same items when they are written again', async () => {
    const page = pageOf(1000);
    await runs.put('large', part.page(1), page, 2);
    const items = await itemsOf(dynamo.client, 'large');
    expect(items.length).toBeGreaterThan(1);
    expect(await runs.get('large', part.page(1))).toEqual(page);
    await runs.put('large', part.page(1), page, 2);
    expect(await itemsOf(dynamo.client, 'large')).toEqual(items);
    expect(await runs.get('large', part.page(2))).toBeUndefined();
  });

  it('are whole, whichever of two writers is last', async () => {
    const [one, other] = [pageOf(1000), pageOf(1000)];
    await runs.put('raced', part.page(0), one);
    await Promise.all([runs.put('raced', part.page(0), one), runs.put('raced', part.page(0), other)]);
    expect([one, other]).toContainEqual(await runs.get('raced', part.page(0)));
    await runs.put('raced', part.page(0), { sessions: 0, candidates: [] });
    expect(await runs.get('raced', part.page(0))).toEqual({ sessions: 0, candidates: [] });
  });

  it('keep their first value where they are written once', async () => {
    const [one, other] = [pageOf(1000), pageOf(1000)];
    expect(await runs.putOnce('once', part.decision, one)).toEqual(one);
    expect(await runs.putOnce('once', part.decision, other)).toEqual(one);
  });
});
