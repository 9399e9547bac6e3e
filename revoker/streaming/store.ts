import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
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

export interface AggregateStore {
  /** Adds members to a set and gives the whole set. Adding what is there changes nothing. */
  add(key: AggregateKey, entries: readonly string[], until: number): Promise<readonly string[]>;
  /**
   * True unless the verdict was told to the end before: it is told at least once, and again where a crash or a second shard
   * came between. Acting on it twice is the ledger's to make harmless, and it does: a session is revoked once.
   */
  begin(key: AggregateKey, verdict: string, until: number): Promise<boolean>;
  finish(key: AggregateKey): Promise<void>;
  /** Counts one more act within a period and gives the count: what a ceiling is held against. */
  countAct(period: string, until: number): Promise<number>;
}

type ItemKey = Record<'pk' | 'sk', { S: string }>;

const itemKey = (pk: string, sk: string): ItemKey => ({ pk: { S: `STREAM#${pk}` }, sk: { S: sk } });
const aggregateKey = ({ session, windowStart }: AggregateKey): ItemKey => itemKey(session, `SET#${windowStart}`);
const verdictKey = ({ session }: AggregateKey): ItemKey => itemKey(session, 'VERDICT');

/**
 * Aggregates and verdicts in one DynamoDB table, the ledger's: partition key `pk`, sort key `sk`, attribute `ttl` for
 * expiry; their partitions begin with `STREAM#`, which no other item's does. Aggregates are string sets, which DynamoDB unites by itself.
 */
export function dynamoAggregates(client: Pick<DynamoDBClient, 'send'>, table: string): AggregateStore {
  return {
    async add(key, entries, until) {
      const answer = await client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: aggregateKey(key),
          UpdateExpression: 'ADD entries :entries SET #ttl = :until',
          ExpressionAttributeNames: { '#ttl': 'ttl' },
          ExpressionAttributeValues: { ':entries': { SS: [...new Set(entries)] }, ':until': { N: String(until) } },
          ReturnValues: 'ALL_NEW',
        }),
      );
      return answer.Attributes?.['entries']?.SS ?? [];
    },
    async begin(key, verdict, until) {
      try {
        await client.send(
          new PutItemCommand({
            TableName: table,
            Item: {
              ...verdictKey(key),
              verdict: { S: verdict },
              state: { S: 'told' },
              ttl: { N: String(until) },
            },
            ConditionExpression: 'attribute_not_exists(pk) OR #state = :told',
            ExpressionAttributeNames: { '#state': 'state' },
            ExpressionAttributeValues: { ':told': { S: 'told' } },
          }),
        );
        return true;
      } catch (error) {
        if (
          error instanceof ConditionalCheckFailedException ||
          (error as Error).name === 'ConditionalCheckFailedException'
        )
          return false;
        throw error;
      }
    },
    async finish(key) {
      await client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: verdictKey(key),
          UpdateExpression: 'SET #state = :done',
          ExpressionAttributeNames: { '#state': 'state' },
          ExpressionAttributeValues: { ':done': { S: 'done' } },
        }),
      );
    },
    async countAct(period, until) {
      const answer = await client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: itemKey('ACTS', period),
          UpdateExpression: 'ADD acts :one SET #ttl = :until',
          ExpressionAttributeNames: { '#ttl': 'ttl' },
          ExpressionAttributeValues: { ':one': { N: '1' }, ':until': { N: String(until) } },
          ReturnValues: 'UPDATED_NEW',
        }),
      );
      return Number(answer.Attributes?.['acts']?.N ?? 0);
    },
  };
}
