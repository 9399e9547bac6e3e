import {
  type AttributeValue,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { SessionKind } from '../detection/features.js';

/** A session's stretch. */
export interface AggregateKey {
  readonly session: string;
  readonly sessionKind: SessionKind;
  readonly windowStart: number;
}

/** A verdict as it is kept, so that telling it again after a crash tells the same. */
export interface ToldVerdict {
  /** How far the ladder it leads: a later verdict that leads further is told, too. */
  readonly rung: number;
  /** When it was reached, seconds since 1970. */
  readonly decidedAt: number;
}

export interface AggregateStore {
  /**
   * Adds members to a set and gives the whole set. Adding what is there changes nothing. A set that has `most` members or
   * more takes no further ones: an item has an end.
   */
  add(key: AggregateKey, entries: readonly string[], until: number, most: number): Promise<readonly string[]>;
  /**
   * What is to be told now, if anything: the verdict given, or the one that stands because telling it was cut short.
   * Undefined where it was told to the end before, unless this one leads further up the ladder, or rests on a stretch that
   * began after the last was reached: then the abuse went on.
   *
   * A verdict is told at least once, and again where a crash or a second shard came between; it is the same one each time,
   * so that the ledger can take it once.
   */
  begin<Told extends ToldVerdict>(key: AggregateKey, verdict: Told, until: number): Promise<Told | undefined>;
  finish(key: AggregateKey, verdict: ToldVerdict): Promise<void>;
  /** Whether one more session may be acted upon in a period. A session that was counted is counted once. */
  claimAct(period: string, session: string, ceiling: number, until: number): Promise<boolean>;
}

type ItemKey = Record<'pk' | 'sk', { S: string }>;

const itemKey = (pk: string, sk: string): ItemKey => ({ pk: { S: `STREAM#${pk}` }, sk: { S: sk } });
const aggregateKey = ({ session, windowStart }: AggregateKey): ItemKey => itemKey(session, `SET#${windowStart}`);
const verdictKey = ({ session }: AggregateKey): ItemKey => itemKey(session, 'VERDICT');

const isRefused = (error: unknown): boolean => (error as Error).name === 'ConditionalCheckFailedException';

/**
 * Aggregates and verdicts in one DynamoDB table, of their own or the ledger's: partition key `pk`, sort key `sk`, attribute `ttl` for
 * expiry; their partitions begin with `STREAM#`, which no other item's does. Aggregates are string sets, which DynamoDB unites by itself.
 */
export function dynamoAggregates(client: Pick<DynamoDBClient, 'send'>, table: string): AggregateStore {
  const read = async (key: ItemKey): Promise<Record<string, AttributeValue>> =>
    (await client.send(new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true }))).Item ?? {};
  return {
    async add(key, entries, until, most) {
      try {
        const answer = await client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: aggregateKey(key),
            UpdateExpression: 'ADD entries :entries SET #ttl = :until',
            ConditionExpression: 'attribute_not_exists(entries) OR size(entries) < :most',
            ExpressionAttributeNames: { '#ttl': 'ttl' },
            ExpressionAttributeValues: {
              ':entries': { SS: [...new Set(entries)] },
              ':until': { N: String(until) },
              ':most': { N: String(most) },
            },
            ReturnValues: 'ALL_NEW',
          }),
        );
        return answer.Attributes?.['entries']?.SS ?? [];
      } catch (error) {
        if (!isRefused(error)) throw error;
        return (await read(aggregateKey(key)))['entries']?.SS ?? [];
      }
    },
    async begin<Told extends ToldVerdict>(key: AggregateKey, verdict: Told, until: number) {
      try {
        await client.send(
          new PutItemCommand({
            TableName: table,
            Item: {
              ...verdictKey(key),
              verdict: { S: JSON.stringify(verdict) },
              rung: { N: String(verdict.rung) },
              decidedAt: { N: String(verdict.decidedAt) },
              state: { S: 'told' },
              ttl: { N: String(until) },
            },
            ConditionExpression:
              'attribute_not_exists(pk) OR rung < :rung OR (#state = :done AND decidedAt <= :windowStart)',
            ExpressionAttributeNames: { '#state': 'state' },
            ExpressionAttributeValues: {
              ':done': { S: 'done' },
              ':rung': { N: String(verdict.rung) },
              ':windowStart': { N: String(key.windowStart) },
            },
          }),
        );
        return verdict;
      } catch (error) {
        if (!isRefused(error)) throw error;
        const standing = await read(verdictKey(key));
        const text = standing['state']?.S === 'told' ? standing['verdict']?.S : undefined;
        return text === undefined ? undefined : (JSON.parse(text) as Told);
      }
    },
    async finish(key, { rung, decidedAt }) {
      try {
        await client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: verdictKey(key),
            UpdateExpression: 'SET #state = :done',
            // A verdict that came after this one has a telling of its own.
            ConditionExpression: 'rung = :rung AND decidedAt = :decidedAt',
            ExpressionAttributeNames: { '#state': 'state' },
            ExpressionAttributeValues: {
              ':done': { S: 'done' },
              ':rung': { N: String(rung) },
              ':decidedAt': { N: String(decidedAt) },
            },
          }),
        );
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    },
    async claimAct(period, session, ceiling, until) {
      if (ceiling < 1) return false;
      try {
        await client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: itemKey('ACTS', period),
            UpdateExpression: 'ADD acts :one SET #ttl = :until',
            ConditionExpression: 'attribute_not_exists(acts) OR size(acts) < :ceiling OR contains(acts, :session)',
            ExpressionAttributeNames: { '#ttl': 'ttl' },
            ExpressionAttributeValues: {
              ':one': { SS: [session] },
              ':session': { S: session },
              ':ceiling': { N: String(ceiling) },
              ':until': { N: String(until) },
            },
          }),
        );
        return true;
      } catch (error) {
        if (!isRefused(error)) throw error;
        return false;
      }
    },
  };
}

/** Aggregates in memory, for a look that changes nothing. They go with the process. */
export function memoryAggregates(): AggregateStore {
  const sets = new Map<string, Set<string>>();
  const verdicts = new Map<string, { verdict: ToldVerdict; done: boolean }>();
  const acts = new Map<string, Set<string>>();
  const ends = new Map<string, number>();
  return {
    add({ session, windowStart }, entries, until, most) {
      const id = `${session} ${windowStart}`;
      const set = sets.get(id) ?? new Set<string>();
      sets.set(id, set);
      if (set.size < most) for (const entry of entries) set.add(entry);
      ends.set(id, until);
      for (const [old, end] of ends) {
        if (end > windowStart) break;
        sets.delete(old);
        ends.delete(old);
      }
      return Promise.resolve([...set]);
    },
    begin<Told extends ToldVerdict>({ session, windowStart }: AggregateKey, verdict: Told) {
      const standing = verdicts.get(session);
      if (
        standing &&
        standing.verdict.rung >= verdict.rung &&
        !(standing.done && standing.verdict.decidedAt <= windowStart)
      ) {
        return Promise.resolve(standing.done ? undefined : (standing.verdict as Told));
      }
      verdicts.set(session, { verdict, done: false });
      return Promise.resolve(verdict);
    },
    finish({ session }, { rung, decidedAt }) {
      const standing = verdicts.get(session);
      if (standing?.verdict.rung === rung && standing.verdict.decidedAt === decidedAt) standing.done = true;
      return Promise.resolve();
    },
    claimAct(period, session, ceiling) {
      const claimed = acts.get(period) ?? new Set<string>();
      acts.set(period, claimed);
      if (claimed.size < ceiling) claimed.add(session);
      return Promise.resolve(claimed.has(session));
    },
  };
}
