import { createHash } from 'node:crypto';
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

/** Bytes of an item's value; an item holds 400 KB, its keys included. */
const pieceBytes = 350_000;

type Item = Record<string, unknown>;

/**
 * Runs in the ledger's table, partition `RUN#<run>`. What outgrows an item stands in several: the first, under the
 * part's name, tells how many and the digest that the others have in their names. It is written last, so a part is whole
 * or not there, and a step that is repeated writes the same items again.
 */
export function dynamoRunStore(options: {
  readonly client: DynamoDBClient;
  readonly table: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): RunStore {
  const documents = DynamoDBDocumentClient.from(options.client);
  const now = options.now ?? Date.now;
  const TableName = options.table;
  const pieceName = (part: string, digest: string, number: number): string => `${part}/${digest}/${number}`;

  /** Writes all but the first item of a part, and gives that. */
  async function prepared(run: string, part: string, value: unknown, days = keptDays): Promise<Item> {
    const bytes = gzipSync(JSON.stringify(value));
    const ttl = Math.floor(now() / 1000) + days * 86_400;
    const item = (sk: string, piece: Uint8Array): Item => ({ pk: `RUN#${run}`, sk, value: piece, ttl });
    const count = Math.ceil(bytes.length / pieceBytes);
    const piece = (number: number): Uint8Array => bytes.subarray(number * pieceBytes, (number + 1) * pieceBytes);
    if (count === 1) return item(part, bytes);
    const digest = createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
    for (let number = 1; number < count; number++) {
      const Item = item(pieceName(part, digest, number), piece(number));
      await documents.send(new PutCommand({ TableName, Item }));
    }
    return { ...item(part, piece(0)), pieces: count, digest };
  }

  async function read(run: string, sk: string): Promise<Item | undefined> {
    const Key = { pk: `RUN#${run}`, sk };
    return (await documents.send(new GetCommand({ TableName, Key, ConsistentRead: true }))).Item;
  }

  const store: RunStore = {
    async get<Value>(run: string, part: string) {
      const first = await read(run, part);
      if (!first) return undefined;
      const bytes = [first['value'] as Uint8Array];
      for (let number = 1; number < Number(first['pieces'] ?? 1); number++) {
        const piece = await read(run, pieceName(part, String(first['digest']), number));
        // Its end comes with that of the first; the database takes them away one by one.
        if (!piece) return undefined;
        bytes.push(piece['value'] as Uint8Array);
      }
      return JSON.parse(gunzipSync(Buffer.concat(bytes)).toString()) as Value;
    },
    async put(run, part, value, days) {
      await documents.send(new PutCommand({ TableName, Item: await prepared(run, part, value, days) }));
    },
    async putOnce<Value>(run: string, part: string, value: Value) {
      try {
        const ConditionExpression = 'attribute_not_exists(pk)';
        const Item = await prepared(run, part, value);
        await documents.send(new PutCommand({ TableName, Item, ConditionExpression }));
        return value;
      } catch (error) {
        if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
        return (await store.get<Value>(run, part)) as Value;
      }
    },
  };
  return store;
}
