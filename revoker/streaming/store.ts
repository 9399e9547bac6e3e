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
}

const aggregateName = ({ session, windowStart }: AggregateKey): string => `a#${session}#${windowStart}`;
const verdictName = ({ session }: AggregateKey): string => `v#${session}`;

/**
 * Aggregates and verdicts in one DynamoDB table: partition key `id` (text), attribute `ttl` for its expiry. Aggregates are
 * string sets, which DynamoDB unites by itself.
 */
export function dynamoAggregates(client: Pick<DynamoDBClient, 'send'>, table: string): AggregateStore {
  return {
    async add(key, entries, until) {
      const answer = await client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: { id: { S: aggregateName(key) } },
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
              id: { S: verdictName(key) },
              verdict: { S: verdict },
              state: { S: 'told' },
              ttl: { N: String(until) },
            },
            ConditionExpression: 'attribute_not_exists(id) OR #state = :told',
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
          Key: { id: { S: verdictName(key) } },
          UpdateExpression: 'SET #state = :done',
          ExpressionAttributeNames: { '#state': 'state' },
          ExpressionAttributeValues: { ':done': { S: 'done' } },
        }),
      );
    },
  };
}
