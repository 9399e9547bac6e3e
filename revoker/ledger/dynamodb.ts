import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  UpdateTimeToLiveCommand,
  type DynamoDBClientConfig,
} from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  ScanCommand,
} from '@aws-sdk/lib-dynamodb';
import { chunks, inParallel } from '../parallel.js';
import { RevokerError } from '../errors.js';
import { isEdgeScope, type Scope } from '../scopes.js';
import { bucketEntryOf, edgePlace, entryKey, isActive, type EntryRef, type LedgerEntry } from './entry.js';
import type { AuditLine, Job, Ledger, LedgerRecord, RecordKind, ScanFilter } from './ledger.js';

/*
 * One table, partition key `pk`, sort key `sk`:
 *   B#<bucket>     <scope>:<id>   an entry that the edge looks up, filed where its bucket is
 *   S#<scope>      <scope>:<id>   an entry of another scope (network, asn, device)
 *   JOB            <job id>       announced work
 *   R#<kind>       <id>           keys, blackouts, modes, schedules
 *   AUDIT          <time>#<nonce> what was done to those
 *   TURN           <store>        which writer goes first where several conflict
 */

export interface DynamoLedgerOptions {
  readonly client: DynamoDBClient;
  readonly table: string;
  /** Days that an ended entry, or an audit line, is kept. Default 400. */
  readonly historyDays?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

type Logger = NonNullable<DynamoDBClientConfig['logger']>;

/**
 * A logger without `info`: the SDK's own silent one has it, and so the SDK makes a copy of every request and answer for
 * it, which costs a tenth of a bulk import.
 */
const speechless: Pick<Logger, 'debug' | 'warn' | 'error'> = {
  debug: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The DynamoDB client for a ledger: AWS by the usual chain, or a loopback service. */
export function createLedgerClient(
  options: { readonly endpoint?: string; readonly region?: string } = {},
): DynamoDBClient {
  const config: DynamoDBClientConfig = {
    region: options.region ?? 'us-east-1',
    maxAttempts: 8,
    logger: speechless as Logger,
  };
  if (options.endpoint === undefined) return new DynamoDBClient(config);
  return new DynamoDBClient({
    ...config,
    endpoint: options.endpoint,
    credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
  });
}

/**
 * Creates the ledger's table (on-demand) where it is missing, waits until it is active, and turns its TTL on.
 * Does nothing to a table that exists.
 */
export async function ensureLedgerTable(client: DynamoDBClient, table: string): Promise<{ readonly created: boolean }> {
  if ((await tableStatus(client, table)) !== undefined) return { created: false };
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ResourceInUseException') throw error;
  }
  for (let attempt = 0; (await tableStatus(client, table)) !== 'ACTIVE'; attempt += 1) {
    if (attempt === 150) throw new RevokerError('ledger_unavailable', `Table ${table} did not become active.`);
    await wait(200);
  }
  try {
    await client.send(
      new UpdateTimeToLiveCommand({
        TableName: table,
        TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
      }),
    );
  } catch (error) {
    // A loopback database may know no TTL; ended entries then stay, which loses nothing.
    if ((error as Error).name !== 'UnknownOperationException') throw error;
  }
  return { created: true };
}

async function tableStatus(client: DynamoDBClient, table: string): Promise<string | undefined> {
  try {
    return (await client.send(new DescribeTableCommand({ TableName: table }))).Table?.TableStatus;
  } catch (error) {
    if ((error as Error).name === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

type Item = Record<string, unknown>;

function entryItemKey(ref: EntryRef): { pk: string; sk: string } {
  const place = edgePlace(ref);
  return { pk: place ? `B#${place.bucket}` : `S#${ref.scope}`, sk: entryKey(ref) };
}

function entryOf(item: Item): LedgerEntry {
  const { pk: _pk, sk: _sk, ttl: _ttl, nonce: _nonce, evidence, history, ...rest } = item;
  return {
    ...(rest as unknown as LedgerEntry),
    ...(typeof evidence === 'string' ? { evidence: JSON.parse(evidence) as unknown } : {}),
    history: (history as LedgerEntry['history'] | undefined) ?? [],
  };
}

/** A scan's filter in the database's terms. */
function entryCondition({ states, endedSince }: ScanFilter): {
  condition: string[];
  names: Record<string, string>;
  values: Item;
} {
  const names: Record<string, string> = {};
  const values: Item = {};
  const condition: string[] = [];
  if (states) {
    names['#state'] = 'state';
    states.forEach((state, i) => (values[`:state${i}`] = state));
    condition.push(
      states.length === 0
        ? 'attribute_not_exists(#state)'
        : `#state IN (${states.map((_, i) => `:state${i}`).join(', ')})`,
    );
  }
  if (endedSince !== undefined) {
    names['#state'] = 'state';
    names['#at'] = 'at';
    values[':active'] = 'active';
    values[':since'] = endedSince;
    condition.push('(#state = :active OR #at >= :since)');
  }
  return { condition, names, values };
}

const writeBatch = 25;
const readBatch = 100;
const parallelBatches = 8;

/**
 * The ledger in DynamoDB.
 *
 * @example
 * const client = createLedgerClient({ endpoint: 'http://127.0.0.1:8000' });
 * await ensureLedgerTable(client, 'portcullis-ledger');
 * const ledger = createDynamoLedger({ client, table: 'portcullis-ledger' });
 */
export function createDynamoLedger(options: DynamoLedgerOptions): Ledger {
  const { table } = options;
  const now = options.now ?? Date.now;
  const historySeconds = (options.historyDays ?? 400) * 86_400;
  /** Keeps lines of one millisecond in order. */
  let auditCount = 0;
  const documents = DynamoDBDocumentClient.from(options.client, { marshallOptions: { removeUndefinedValues: true } });

  function entryItem(entry: LedgerEntry): Item {
    const endsAt = entry.state === 'active' ? entry.until : entry.at;
    return {
      ...entryItemKey(entry),
      ...entry,
      ...(entry.evidence === undefined ? {} : { evidence: JSON.stringify(entry.evidence) }),
      ...(endsAt === undefined ? {} : { ttl: Math.floor(endsAt) + historySeconds }),
    };
  }

  async function putIf(item: Item, expectedVersion: number): Promise<boolean> {
    try {
      await documents.send(
        new PutCommand({
          TableName: table,
          Item: item,
          ...(expectedVersion === 0
            ? { ConditionExpression: 'attribute_not_exists(pk)' }
            : {
                ConditionExpression: '#version = :expected',
                ExpressionAttributeNames: { '#version': 'version' },
                ExpressionAttributeValues: { ':expected': expectedVersion },
              }),
        }),
      );
      return true;
    } catch (error) {
      if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
      return holdsAlready(item);
    }
  }

  /** A write whose answer was lost is tried again by the client, and then finds its own version. */
  async function holdsAlready(item: Item): Promise<boolean> {
    const { pk, sk } = item;
    const { Item: found } = await documents.send(
      new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: true }),
    );
    return found?.['nonce'] !== undefined && found['nonce'] === item['nonce'];
  }

  async function* query(pk: string, extra: Item = {}): AsyncGenerator<Item> {
    let start: Item | undefined;
    do {
      const page = await documents.send(
        new QueryCommand({
          TableName: table,
          ConsistentRead: true,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': pk },
          ExclusiveStartKey: start,
          ...extra,
        }),
      );
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start);
  }

  /** Entries of the whole table. What else lives there stays in the database. */
  async function* allEntries(filter: ScanFilter): AsyncGenerator<Item> {
    const { condition, names, values } = entryCondition(filter);
    let start: Item | undefined;
    do {
      const page = await documents.send(
        new ScanCommand({
          TableName: table,
          ConsistentRead: true,
          FilterExpression: ['(begins_with(pk, :bucket) OR begins_with(pk, :scope))', ...condition].join(' AND '),
          ExpressionAttributeValues: { ':bucket': 'B#', ':scope': 'S#', ...values },
          ...(condition.length > 0 ? { ExpressionAttributeNames: names } : {}),
          ExclusiveStartKey: start,
        }),
      );
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start);
  }

  /** Scopes that the edge does not look up have a partition each. */
  async function* entriesOfScopes(scopes: readonly Scope[], filter: ScanFilter): AsyncGenerator<Item> {
    const { condition, names, values } = entryCondition(filter);
    for (const scope of scopes) {
      const filtered =
        condition.length === 0
          ? {}
          : {
              FilterExpression: condition.join(' AND '),
              ExpressionAttributeNames: names,
              ExpressionAttributeValues: { ':pk': `S#${scope}`, ...values },
            };
      yield* query(`S#${scope}`, filtered);
    }
  }

  async function collect(pk: string): Promise<Item[]> {
    const items: Item[] = [];
    for await (const item of query(pk)) items.push(item);
    return items;
  }

  async function batchWrite(requests: Item[]): Promise<void> {
    let remaining = requests;
    for (let attempt = 0; remaining.length > 0; attempt += 1) {
      if (attempt > 10) throw new RevokerError('ledger_unavailable', `DynamoDB keeps refusing writes to ${table}.`);
      if (attempt > 0) await wait(Math.random() * Math.min(5000, 50 * 2 ** attempt));
      const answer = await documents.send(new BatchWriteCommand({ RequestItems: { [table]: remaining } }));
      remaining = (answer.UnprocessedItems?.[table] as Item[] | undefined) ?? [];
    }
  }

  async function batchGet(keys: Item[]): Promise<Item[]> {
    const found: Item[] = [];
    let remaining = keys;
    for (let attempt = 0; remaining.length > 0; attempt += 1) {
      if (attempt > 10) throw new RevokerError('ledger_unavailable', `DynamoDB keeps refusing reads of ${table}.`);
      if (attempt > 0) await wait(Math.random() * Math.min(5000, 50 * 2 ** attempt));
      const answer = await documents.send(
        new BatchGetCommand({ RequestItems: { [table]: { Keys: remaining, ConsistentRead: true } } }),
      );
      found.push(...(answer.Responses?.[table] ?? []));
      remaining = (answer.UnprocessedKeys?.[table]?.Keys as Item[] | undefined) ?? [];
    }
    return found;
  }

  return {
    async get(ref) {
      const { Item: item } = await documents.send(
        new GetCommand({ TableName: table, Key: entryItemKey(ref), ConsistentRead: true }),
      );
      return item && entryOf(item);
    },
    async getMany(refs) {
      const unique = [...new Map(refs.map((ref) => [entryKey(ref), ref])).values()];
      const pages = await inParallel(chunks(unique, readBatch), parallelBatches, (page) =>
        batchGet(page.map(entryItemKey)),
      );
      return pages.flat().map(entryOf);
    },
    write: (entry) => putIf({ ...entryItem(entry), nonce: nonce() }, entry.version - 1),
    async writeMany(entries) {
      await inParallel(chunks(entries, writeBatch), parallelBatches, (page) =>
        batchWrite(page.map((entry) => ({ PutRequest: { Item: entryItem(entry) } }))),
      );
    },
    async bucket(bucket, at) {
      const items = await collect(`B#${bucket}`);
      return items
        .map(entryOf)
        .filter((entry) => isActive(entry, at))
        .flatMap((entry) => bucketEntryOf(entry) ?? []);
    },
    async *scan(filter = {}) {
      const { scopes } = filter;
      const apart = scopes !== undefined && !scopes.some(isEdgeScope);
      for await (const item of apart ? entriesOfScopes(scopes, filter) : allEntries(filter)) {
        const entry = entryOf(item);
        if (!scopes || scopes.includes(entry.scope)) yield entry;
      }
    },
    async putJob(job) {
      const { id, ...rest } = job;
      const body = gzipSync(JSON.stringify(rest));
      await documents.send(new PutCommand({ TableName: table, Item: { pk: 'JOB', sk: id, body } }));
    },
    async deleteJob(id) {
      await documents.send(new DeleteCommand({ TableName: table, Key: { pk: 'JOB', sk: id } }));
    },
    async jobs() {
      return (await collect('JOB')).map((item) => ({
        ...(JSON.parse(gunzipSync(item['body'] as Uint8Array).toString('utf8')) as Omit<Job, 'id'>),
        id: String(item['sk']),
      }));
    },
    async record<Value>(kind: RecordKind, id: string) {
      const { Item: item } = await documents.send(
        new GetCommand({ TableName: table, Key: { pk: `R#${kind}`, sk: id }, ConsistentRead: true }),
      );
      return item && recordOf<Value>(kind, item);
    },
    async records<Value>(kind: RecordKind) {
      return (await collect(`R#${kind}`)).map((item) => recordOf<Value>(kind, item));
    },
    putRecord: (record) =>
      putIf(
        {
          pk: `R#${record.kind}`,
          sk: record.id,
          version: record.version,
          value: JSON.stringify(record.value),
          nonce: nonce(),
        },
        record.version - 1,
      ),
    async deleteRecord(kind, id, version) {
      try {
        await documents.send(
          new DeleteCommand({
            TableName: table,
            Key: { pk: `R#${kind}`, sk: id },
            ConditionExpression: '#version = :expected',
            ExpressionAttributeNames: { '#version': 'version' },
            ExpressionAttributeValues: { ':expected': version },
          }),
        );
        return true;
      } catch (error) {
        if ((error as Error).name === 'ConditionalCheckFailedException') return false;
        throw error;
      }
    },
    async audit(line) {
      auditCount += 1;
      const moment = `${String(Math.floor(now())).padStart(16, '0')}#${String(auditCount).padStart(9, '0')}`;
      await documents.send(
        new PutCommand({
          TableName: table,
          Item: {
            pk: 'AUDIT',
            sk: `${moment}#${nonce()}`,
            line: JSON.stringify(line),
            ttl: Math.floor(now() / 1000) + historySeconds,
          },
        }),
      );
    },
    async takeTurn(name, owner, until) {
      try {
        await documents.send(
          new PutCommand({
            TableName: table,
            Item: { pk: 'TURN', sk: name, owner, until, ttl: Math.ceil(until) + 3600 },
            ConditionExpression: 'attribute_not_exists(pk) OR #until < :now OR #owner = :owner',
            ExpressionAttributeNames: { '#until': 'until', '#owner': 'owner' },
            ExpressionAttributeValues: { ':now': Date.now() / 1000, ':owner': owner },
          }),
        );
        return true;
      } catch (error) {
        if ((error as Error).name === 'ConditionalCheckFailedException') return false;
        throw error;
      }
    },
    async endTurn(name, owner) {
      try {
        await documents.send(
          new DeleteCommand({
            TableName: table,
            Key: { pk: 'TURN', sk: name },
            ConditionExpression: '#owner = :owner',
            ExpressionAttributeNames: { '#owner': 'owner' },
            ExpressionAttributeValues: { ':owner': owner },
          }),
        );
      } catch (error) {
        if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
      }
    },
    async auditLines(limit) {
      const lines: AuditLine[] = [];
      for await (const item of query('AUDIT', { ScanIndexForward: false, Limit: Math.min(limit, 1000) })) {
        lines.push(JSON.parse(String(item['line'])) as AuditLine);
        if (lines.length === limit) break;
      }
      return lines;
    },
  };
}

function recordOf<Value>(kind: RecordKind, item: Item): LedgerRecord<Value> {
  return {
    kind,
    id: String(item['sk']),
    version: Number(item['version']),
    value: JSON.parse(String(item['value'])) as Value,
  };
}

function nonce(): string {
  return randomBytes(9).toString('base64url');
}
