// One-time tokens in DynamoDB: of any number at the same time one is admitted, and nobody while the table does not answer.
import { CreateTableCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dynamoDbOnce, homeRegion, nearestRegion, replayId, type OneTimeSettings } from '../../edge/replay/index.js';
import { nodeVmHost, type RequestParts } from '../../scripts/engine/index.js';
import { parseToken } from '../../tokens/src/core/gate.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import {
  cat,
  compiledStart,
  jwt,
  lambdaEvent,
  lambdaOf,
  NOW,
  reasonOf,
  startConfig,
  throughFunction,
  viewer,
} from './starting.js';

let database: LoopbackDynamoDb;
let settings: OneTimeSettings;
let folder = '';
beforeAll(async () => {
  database = await startDynamoDb();
  settings = {
    table: 'used',
    regions: ['eu-central-1'],
    choose: 'nearest',
    timeout: 5000,
    endpoint: database.endpoint,
  };
  await database.client.send(
    new CreateTableCommand({
      TableName: 'used',
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    }),
  );
  folder = await compiledStart(startConfig());
});
afterAll(() => database.close());

const host = nodeVmHost();
const lambdaWith = (table = 'used', endpoint = settings.endpoint): ReturnType<typeof lambdaOf> =>
  lambdaOf(startConfig({ oneTime: { table, regions: ['eu-central-1', 'us-east-1'], timeout: 10_000, endpoint } }));
const asked = async (by: ReturnType<typeof lambdaOf>, token: string, requestId: string): Promise<string> => {
  const request: RequestParts = { uri: `/start/live/ch1/main.m3u8?CAT=${token}`, headers: viewer, requestId };
  const answer = await by(lambdaEvent(request, await throughFunction(host, folder, request)));
  return answer.status === '307' ? 'admitted' : reasonOf(answer);
};

describe('one-time tokens', () => {
  it('admit exactly one of fifty requests at the same time, whichever Lambda they reach', async () => {
    const lambdas = Array.from({ length: 5 }, () => lambdaWith());
    for (const token of [await cat({ catreplay: 1 }), await jwt({ catreplay: 1, jti: 'once' })]) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) => asked(lambdas[i % 5] as never, token, `request ${i}`)),
      );
      expect(answers.filter((answer) => answer === 'admitted')).toHaveLength(1);
      expect(answers.filter((answer) => answer === 'replay_refused')).toHaveLength(49);
    }
    const { Items } = await database.client.send(new ScanCommand({ TableName: 'used' }));
    expect(Items?.map((item) => item['ttl']?.N)).toEqual([String(NOW + 7200 + 86_400), String(NOW + 7200 + 86_400)]);
  });

  it('take a repeated write for what it is', async () => {
    const once = dynamoDbOnce(settings);
    expect(await once.spend('a', 'r1', NOW)).toBe(true);
    expect(await once.spend('a', 'r1', NOW)).toBe(true);
    expect(await once.spend('a', 'r2', NOW)).toBe(false);
    expect(await once.spendAgain('b', 'r1')).toBe(false);
    const again = await Promise.all(Array.from({ length: 20 }, (_, i) => once.spendAgain('a', `s${i}`)));
    expect(again.filter(Boolean)).toHaveLength(1);
  });

  it('are refused with 503 while the table cannot be reached or is missing', async () => {
    const token = await cat({ catreplay: 1 });
    expect(await asked(lambdaWith('used', 'http://127.0.0.1:1'), token, 'r')).toBe('store_error');
    expect(await asked(lambdaWith('missing'), token, 'r')).toBe('store_error');
  });

  it('are spent only by a good one: a forged one uses nothing up', async () => {
    const token = await cat({ catreplay: 1, jti: Buffer.alloc(16, 9).toString('base64url') });
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    expect(await asked(lambdaWith(), forged, 'r1')).toBe('bad_signature');
    expect(await asked(lambdaWith(), token, 'r2')).toBe('admitted');
  });

  it('go by their id or by what was signed, never by the signature', async () => {
    const token = Buffer.from(await cat({ catreplay: 1, sub: 'twin' }), 'base64url');
    // The other signature that is as good: s becomes n - s (the curve's order is public).
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = BigInt(`0x${token.subarray(-32).toString('hex')}`);
    const twin = Buffer.concat([
      token.subarray(0, -32),
      Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'),
    ]).toString('base64url');
    const by = lambdaWith();
    expect(await asked(by, token.toString('base64url'), 'r1')).toBe('admitted');
    expect(await asked(by, twin, 'r2')).toBe('replay_refused');
    const ids = [await cat({ jti: 'AAAA' }), await cat({ jti: 'AAAB' }), await cat({ jti: 'AAAA', iss: 'x' })];
    expect(new Set(ids.map((text) => replayId(parseToken(text)))).size).toBe(3);
  });
});

describe('the region that decides', () => {
  it('is the nearest, or the token’s own', () => {
    const regions = ['us-east-1', 'eu-central-1', 'ap-northeast-1'];
    const nearest = (running?: string): string => nearestRegion(running, regions);
    expect(['eu-west-2', 'us-west-2', 'ap-northeast-2', 'ap-northeast-1', 'sa-east-1'].map(nearest)).toEqual([
      'eu-central-1',
      'us-east-1',
      'ap-northeast-1',
      'ap-northeast-1',
      'us-east-1',
    ]);
    expect([nearest(), nearest('xx-north-9')]).toEqual(['us-east-1', 'us-east-1']);
    const ids = Array.from({ length: 60 }, (_, i) => Buffer.alloc(32, i * 4).toString('base64url'));
    expect(new Set(ids.map((id) => homeRegion(id, regions))).size).toBe(3);
    expect(ids.every((id) => homeRegion(id, regions) === homeRegion(id, regions))).toBe(true);
  });
});
