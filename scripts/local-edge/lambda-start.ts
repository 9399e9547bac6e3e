import { generateKeyPairSync } from 'node:crypto';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { PrivateKey } from '@portcullis/tokens';
import { startHandler, type StartSettings } from '../../edge/handlers/start.js';
import { START_HEADER } from '../../edge/exchange/index.js';
import type { ReadSecret } from '../../edge/secrets-manager.js';
import type { LineLog } from './access-log.js';
import type { Behavior } from './behaviors.js';
import type { LambdaHandler } from './lambda.js';

export interface LocalStartOptions {
  readonly settings: StartSettings;
  /** Reads the signing keys' secrets where the local edge keeps them. */
  readonly readSecret: ReadSecret;
  readonly dynamodb: { readonly endpoint: string; readonly tablePrefix: string };
  readonly log: LineLog;
  readonly now: () => number;
}

export interface LocalStart {
  readonly handler: LambdaHandler;
  /** The key that public-key tokens of the demo are signed with: new at every start. */
  readonly signingKey: PrivateKey<'ES256'>;
  /** What the KeyValueStore says of it. */
  readonly record: { readonly key: string; readonly value: string };
  /** The path that playback starts below. */
  readonly path: string;
  /** The cache behaviour of the start path. */
  behavior(about: Pick<Behavior, 'origin' | 'viewerHeaders'>): Behavior;
}

const demoKid = 'demo-es256';

/** The start handler with the demo's keys, and one-time tokens in the local DynamoDB. */
export async function createLocalStart(options: LocalStartOptions): Promise<LocalStart> {
  const { settings, dynamodb, log, now } = options;
  const { config } = settings;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: demoKid, alg: 'ES256' };
  const configured = config.validator.keys.filter(
    (source) => source.kind !== 'jwks' || ((source.jwks as { keys?: unknown[] }).keys ?? []).length > 0,
  );
  const table = `${dynamodb.tablePrefix}once`;
  await createOnceTable(dynamodb.endpoint, table);
  const handler = startHandler(
    {
      ...settings,
      config: {
        ...config,
        validator: { ...config.validator, keys: [{ kind: 'jwks', jwks: { keys: [jwk] } }, ...configured] },
      },
      oneTime: { table, regions: ['us-east-1'], choose: 'home', timeout: 2000, endpoint: dynamodb.endpoint },
    },
    {
      readSecret: options.readSecret,
      now,
      log: (message) => log.write({ timestamp: now() / 1000, function: 'lambda origin-request', message }),
    },
  );
  return {
    handler,
    signingKey: { alg: 'ES256', kid: demoKid, privateKey },
    record: { key: `k:${demoKid}`, value: '{"alg":"ES256"}' },
    path: config.path,
    behavior: ({ origin, viewerHeaders }) => ({
      pattern: `${config.path}/*`,
      origin,
      viewerHeaders,
      guarded: true,
      lambdas: { 'origin-request': handler },
      cacheKeyHeaders: [START_HEADER],
    }),
  };
}

async function createOnceTable(endpoint: string, table: string): Promise<void> {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
  });
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ResourceInUseException') throw error;
  } finally {
    client.destroy();
  }
}
