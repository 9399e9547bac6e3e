/** DynamoDB behind the vending service: assets' policies, and exact limits of concurrent sessions. */
import type { AssetStore } from './asset.js';
import { parseAssetPolicy } from './asset.js';
import type { SessionOutcome, SessionStart, SessionStore } from './sessions.js';

/** The part of `DynamoDBClient` that is needed; pass the real one. */
export interface DynamoDbSender {
  send(command: never): Promise<unknown>;
}

type Command = new (input: never) => unknown;

/** Client and command classes of `@aws-sdk/client-dynamodb`: the module itself will do. */
export interface DynamoDbCommands {
  readonly GetItemCommand: Command;
  readonly PutItemCommand: Command;
  readonly UpdateItemCommand: Command;
  readonly DeleteItemCommand: Command;
  readonly QueryCommand: Command;
}

export interface DynamoDbOptions {
  readonly client: DynamoDbSender;
  readonly commands: DynamoDbCommands;
  readonly table: string;
}

type Attribute = { S?: string; N?: string };
type Item = Record<string, Attribute | undefined>;

/**
 * Assets from a table with the string key `asset` and the policy as JSON in `policy`, kept for a while.
 *
 * @param cacheSeconds How long an answer holds. Default 30.
 */
export function dynamoDbAssets(
  options: DynamoDbOptions & { readonly cacheSeconds?: number; readonly clock?: () => number },
): AssetStore {
  const { client, commands, table, cacheSeconds = 30, clock = Date.now } = options;
  const cache = new Map<string, { policy: ReturnType<AssetStore['get']>; until: number }>();
  const maximumEntries = 10_000;

  async function read(asset: string): ReturnType<AssetStore['get']> {
    const { Item: item } = (await client.send(
      new commands.GetItemCommand({ TableName: table, Key: { asset: { S: asset } } } as never) as never,
    )) as { Item?: Item };
    const text = item?.['policy']?.S;
    return text === undefined ? undefined : parseAssetPolicy(JSON.parse(text), `assets.${asset}`);
  }

  return {
    get(asset) {
      const now = clock();
      const known = cache.get(asset);
      if (known && now < known.until) return known.policy;
      const policy = read(asset);
      cache.set(asset, { policy, until: now + cacheSeconds * 1000 });
      if (cache.size > maximumEntries) cache.delete(cache.keys().next().value as string);
      // A fault is not remembered.
      policy.catch(() => cache.delete(asset));
      return policy;
    },
  };
}

/**
 * Concurrent sessions as conditional items: a subject has as many places as its limit, and each place is one item,
 * `subject` (partition key) and `place` (sort key), which only one of any number of simultaneous writers can take.
 * `expires` is the table's time-to-live attribute; an expired item counts as free whether it was deleted or not.
 *
 * @example
 * ```ts
 * import * as commands from '@aws-sdk/client-dynamodb';
 * const sessions = dynamoDbSessions({ client: new commands.DynamoDBClient({}), commands, table: 'sessions' });
 * ```
 */
export function dynamoDbSessions({ client, commands, table }: DynamoDbOptions): SessionStore {
  const send = async (Make: Command, input: object): Promise<Record<string, unknown>> =>
    (await client.send(new Make({ TableName: table, ...input } as never) as never)) as Record<string, unknown>;
  const placeKey = (start: Pick<SessionStart, 'subject' | 'group'>, place: number): Item => ({
    subject: { S: partition(start) },
    place: { S: `place#${place}` },
  });

  async function places(start: Pick<SessionStart, 'subject' | 'group'>): Promise<Item[]> {
    const answer = await send(commands.QueryCommand, {
      KeyConditionExpression: 'subject = :subject',
      ExpressionAttributeValues: { ':subject': { S: partition(start) } },
      ConsistentRead: true,
    });
    return (answer['Items'] as Item[] | undefined) ?? [];
  }

  /** Writes one place if `condition` holds; false when somebody else was faster. */
  async function take(start: SessionStart, place: number, condition: string, values: Item): Promise<boolean> {
    try {
      await send(commands.PutItemCommand, {
        Item: {
          ...placeKey(start, place),
          session: { S: start.session },
          started: { N: String(start.now) },
          expires: { N: String(start.expires) },
        },
        ConditionExpression: condition,
        ExpressionAttributeNames: {
          '#session': 'session',
          ...(condition.includes('expires') ? { '#expires': 'expires' } : {}),
        },
        ExpressionAttributeValues: values,
      });
      return true;
    } catch (error) {
      if ((error as { name?: string }).name === 'ConditionalCheckFailedException') return false;
      throw error;
    }
  }

  async function takeFree(start: SessionStart): Promise<SessionOutcome> {
    const taken = new Set(
      (await places(start))
        .filter((item) => Number(item['expires']?.N) > start.now)
        .map((item) => Number(item['place']?.S?.slice(6))),
    );
    for (let place = 0; place < start.limit; place++) {
      if (taken.has(place)) continue;
      const free = 'attribute_not_exists(#session) OR #session = :session OR #expires <= :now';
      if (await take(start, place, free, { ':session': { S: start.session }, ':now': { N: String(start.now) } }))
        return { admitted: true };
    }
    return { admitted: false };
  }

  async function extend(start: SessionStart): Promise<boolean> {
    const mine = (await places(start)).find((item) => item['session']?.S === start.session);
    const place = Number(mine?.['place']?.S?.slice(6));
    if (!mine || !(place < start.limit)) return false;
    try {
      await send(commands.UpdateItemCommand, {
        Key: placeKey(start, place),
        UpdateExpression: 'SET #expires = :expires',
        ConditionExpression: '#session = :session',
        ExpressionAttributeNames: { '#expires': 'expires', '#session': 'session' },
        ExpressionAttributeValues: { ':expires': { N: String(start.expires) }, ':session': { S: start.session } },
      });
      return true;
    } catch (error) {
      if ((error as { name?: string }).name === 'ConditionalCheckFailedException') return false;
      throw error;
    }
  }

  /** Ends the oldest session and takes its place; whoever lost a race looks again. */
  async function replaceOldest(start: SessionStart): Promise<SessionOutcome> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const free = await takeFree(start);
      if (free.admitted) return free;
      const oldest = (await places(start))
        .filter((item) => Number(item['place']?.S?.slice(6)) < start.limit)
        .sort((a, b) => Number(a['started']?.N) - Number(b['started']?.N))[0];
      const session = oldest?.['session']?.S;
      if (!oldest || session === undefined) continue;
      if (await take(start, Number(oldest['place']?.S?.slice(6)), '#session = :old', { ':old': { S: session } }))
        return { admitted: true, replaced: session };
    }
    return { admitted: false };
  }

  return {
    async start(start) {
      if (await extend(start)) return { admitted: true };
      return start.over === 'replace' ? replaceOldest(start) : takeFree(start);
    },
    async renew(start) {
      return (await extend(start)) ? { admitted: true } : takeFree(start);
    },
    async end(session) {
      const mine = (await places(session)).find((item) => item['session']?.S === session.session);
      if (!mine) return;
      try {
        await send(commands.DeleteItemCommand, {
          Key: { subject: mine['subject'], place: mine['place'] },
          ConditionExpression: '#session = :session',
          ExpressionAttributeNames: { '#session': 'session' },
          ExpressionAttributeValues: { ':session': { S: session.session } },
        });
      } catch (error) {
        if ((error as { name?: string }).name !== 'ConditionalCheckFailedException') throw error;
      }
    },
  };
}

function partition({ subject, group }: Pick<SessionStart, 'subject' | 'group'>): string {
  return JSON.stringify([subject, group]);
}
