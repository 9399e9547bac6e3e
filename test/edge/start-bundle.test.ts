// The packages as they are deployed: one file each, within their limits, keys from Secrets Manager, and used tokens in
// DynamoDB, both through the real SDK that the runtime brings.
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { LAMBDA_BUNDLE_BYTES, compileLambda, lambdaProblems, zipLambda } from '../../scripts/build/lambda.js';
import { lambdaPlans } from '../../scripts/build/lambda-plans.js';
import type { LambdaEvent, LambdaResponse, LambdaResult } from '../../edge/event.js';
import { nodeVmHost, viewerRequestEvent, type RequestParts } from '../../scripts/engine/index.js';
import { decode } from '../../tokens/src/index.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { startSecretsManager, type LoopbackSecretsManager } from '../doubles/secrets-manager.js';
import {
  cat,
  compiledStart,
  edgeSecret,
  lambdaEvent,
  location,
  NOW,
  reasonOf,
  startConfig,
  throughFunction,
  viewer,
} from './starting.js';

let database: LoopbackDynamoDb;
let manager: LoopbackSecretsManager;
beforeAll(async () => {
  [database, manager] = await Promise.all([startDynamoDb(), startSecretsManager()]);
  await database.client.send(
    new CreateTableCommand({
      TableName: 'used',
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    }),
  );
  const SecretString = JSON.stringify({ kid: 'edge', alg: 'HS256', k: edgeSecret.toString('base64url') });
  await manager.client.send(new CreateSecretCommand({ Name: 'portcullis/keys/edge', SecretString }));
  await manager.client.send(new CreateSecretCommand({ Name: 'cdn', SecretString: 'a-secret-value' }));
});
afterAll(() => Promise.all([database.close(), manager.close()]));

type Handler = (event: LambdaEvent) => Promise<LambdaResult>;

/** Starts a bundle as Lambda does, with the SDK beside it. */
function load(code: string): Handler {
  const module = { exports: {} as { handler: Handler } };
  new Function('module', 'exports', 'require', code)(module, module.exports, createRequire(import.meta.url));
  return module.exports.handler;
}

it('are small, need nothing but the SDK, and do what their sources do', async () => {
  const config = startConfig(
    {
      secretsEndpoint: manager.endpoint,
      oneTime: { table: 'used', regions: ['eu-central-1', 'us-east-1'], endpoint: database.endpoint },
    },
    {
      lambda: {
        originSecret: { secret: 'cdn', region: 'us-east-1', headers: { 'X-Origin': '' }, endpoint: manager.endpoint },
      },
    },
  );
  const handlers = new Map<string, Handler>();
  for (const plan of lambdaPlans(config)) {
    const code = await compileLambda(plan);
    expect([plan.name, lambdaProblems(plan, code, zipLambda(code).length)]).toEqual([plan.name, []]);
    expect(code.length).toBeLessThan(LAMBDA_BUNDLE_BYTES);
    // No secret in a package.
    expect(code).not.toContain(edgeSecret.toString('base64url'));
    handlers.set(plan.name, load(code));
  }
  expect([...handlers.keys()]).toEqual(['start', 'origin-secret']);

  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const [start, origin] = [...handlers.values()] as [Handler, Handler];
  const folder = await compiledStart(config);
  const later = Math.floor(Date.now() / 1000) - NOW + 600;
  const token = await cat({
    exp: NOW + Math.max(later, 0) + 600,
    catreplay: 1,
    jti: Buffer.alloc(16, 5).toString('base64url'),
  });
  const ask = async (requestId: string): Promise<LambdaResponse> => {
    const request: RequestParts = { uri: `/start/live/ch1/main.m3u8?CAT=${token}`, headers: viewer, requestId };
    return (await start(lambdaEvent(request, await throughFunction(nodeVmHost(), folder, request)))) as LambdaResponse;
  };
  const answers = await Promise.all(['a', 'b', 'c'].map(ask));
  expect(answers.map(({ status }) => status).sort()).toEqual(['307', '401', '401']);
  expect(answers.filter(({ status }) => status === '401').map(reasonOf)).toEqual(['replay_refused', 'replay_refused']);
  const fresh = location(answers.find(({ status }) => status === '307') as LambdaResponse).split('/')[2] ?? '';
  expect(decode(fresh)).toMatchObject({ alg: 'HS256', kid: 'edge' });

  const request: RequestParts = { uri: '/live/ch1/seg.ts', headers: { 'X-Origin': 'guess' } };
  const event = lambdaEvent(request, { result: viewerRequestEvent(request).request } as never);
  const forwarded = (await origin(event)) as Exclude<LambdaResult, LambdaResponse>;
  expect(forwarded.headers['x-origin']).toEqual([{ key: 'X-Origin', value: 'a-secret-value' }]);
});
