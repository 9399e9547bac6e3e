import type { DynamoDBClient, DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import type { OneTimeStore } from './once.js';
import { homeRegion, nearestRegion } from './regions.js';

/** Where used tokens are kept. */
export interface OneTimeSettings {
  /** A table with the string key `pk` and time to live on `ttl`; the same name in every region. */
  readonly table: string;
  /** Regions that have it. */
  readonly regions: readonly string[];
  /**
   * Which of several regions decides: the nearest, where the table is a global one, or the token's home, the same for a
   * token wherever it comes. See `docs/lambda-edge.md` for what each promises.
   */
  readonly choose: 'nearest' | 'home';
  /** Milliseconds for an answer. */
  readonly timeout: number;
  /** Another address than AWS's, for tests and the local edge. */
  readonly endpoint?: string | undefined;
}

/** A day longer than the token lives: clocks differ, and what has expired is refused anyway. */
const margin = 86_400;

/** Keeps used tokens in DynamoDB, by conditional writes: of any number at the same time exactly one succeeds. */
export function dynamoDbOnce(
  settings: OneTimeSettings,
  running: string | undefined = process.env['AWS_REGION'],
): OneTimeStore {
  const { table, regions, choose, timeout } = settings;
  const clients = new Map<string, DynamoDBClient>();
  const nearest = nearestRegion(running, regions);

  async function write(id: string, input: object): Promise<boolean> {
    const { DynamoDBClient, UpdateItemCommand } = await import('@aws-sdk/client-dynamodb');
    const region = choose === 'home' ? homeRegion(id, regions) : nearest;
    let client = clients.get(region);
    if (!client) clients.set(region, (client = new DynamoDBClient(clientConfig(region, settings.endpoint))));
    try {
      await client.send(
        new UpdateItemCommand({ TableName: table, Key: { pk: { S: `once#${id}` } }, ...input } as never),
        { abortSignal: AbortSignal.timeout(timeout) },
      );
      return true;
    } catch (error) {
      if ((error as Error).name === 'ConditionalCheckFailedException') return false;
      throw error;
    }
  }

  return {
    // A write whose answer was lost is repeated by the client, and finds what it wrote itself.
    spend: (id, by, until) =>
      write(id, {
        UpdateExpression: until === undefined ? 'SET #by = :by' : 'SET #by = :by, #ttl = :ttl',
        ConditionExpression: 'attribute_not_exists(pk) OR #by = :by',
        ExpressionAttributeNames: { '#by': 'by', ...(until === undefined ? {} : { '#ttl': 'ttl' }) },
        ExpressionAttributeValues: {
          ':by': { S: by },
          ...(until === undefined ? {} : { ':ttl': { N: String(Math.ceil(until) + margin) } }),
        },
      }),
    spendAgain: (id, by) =>
      write(id, {
        UpdateExpression: 'SET #again = :by',
        ConditionExpression: 'attribute_exists(pk) AND (attribute_not_exists(#again) OR #again = :by)',
        ExpressionAttributeNames: { '#again': 'again' },
        ExpressionAttributeValues: { ':by': { S: by } },
      }),
  };
}

function clientConfig(region: string, endpoint: string | undefined): DynamoDBClientConfig {
  return {
    region,
    maxAttempts: 2,
    ...(endpoint === undefined
      ? {}
      : { endpoint, credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' } }),
  };
}
