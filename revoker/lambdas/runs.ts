import { gunzipSync, gzipSync } from 'node:zlib';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';

/**
 * What a run of a workflow has found out so far, part by part. A workflow's state holds 256 KB and is kept in its
 * history; verdicts belong here. Parts written once keep their first value, so that a repeated step goes on from the
 * same facts.
 */
export interface RunStore {
  get<Value>(run: string, part: string): Promise<Value | undefined>;
  /** Writes a part, over an earlier value. `days`: how long it is kept; default: as long as the run. */
  put(run: string, part: string, value: unknown, days?: number): Promise<void>;
  /** Writes a part unless there is one; returns what stands. */
  putOnce<Value>(run: string, part: string, value: Value): Promise<Value>;
}

/** Days that a run's parts are kept: as long as Step Functions keeps the names of executions. */
const keptDays = 90;

/** Runs in the ledger's table, partition `RUN#<run>`. A part may have 400 KB compressed. */
export function dynamoRunStore(options: {
  readonly client: DynamoDBClient;
  readonly table: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): RunStore {
  const documents = DynamoDBDocumentClient.from(options.client);
  const now = options.now ?? Date.now;
  const TableName = options.table;
  const item = (run: string, part: string, value: unknown, days = keptDays): Record<string, unknown> => ({
    pk: `RUN#${run}`,
    sk: part,
    value: gzipSync(JSON.stringify(value)),
    ttl: Math.floor(now() / 1000) + days * 86_400,
  });
  const store: RunStore = {
    async get<Value>(run: string, part: string) {
      const Key = { pk: `RUN#${run}`, sk: part };
      const { Item } = await documents.send(new GetCommand({ TableName, Key, ConsistentRead: true }));
      return Item ? (JSON.parse(gunzipSync(Item['value'] as Uint8Array).toString()) as Value) : undefined;
    },
    async put(run, part, value, days) {
      await documents.send(new PutCommand({ TableName, Item: item(run, part, value, days) }));
    },
    async putOnce<Value>(run: string, part: string, value: Value) {
      try {
        const ConditionExpression = 'attribute_not_exists(pk)';
        await documents.send(new PutCommand({ TableName, Item: item(run, part, value), ConditionExpression }));
        return value;
      } catch (error) {
        if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
        return (await store.get<Value>(run, part)) as Value;
      }
    },
  };
  return store;
}
