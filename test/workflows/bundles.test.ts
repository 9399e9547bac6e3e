import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { revokerConfigSchema } from '../../revoker/config.js';
import { connectRevoker } from '../../revoker/connect.js';
import { buildFunctions, fileNameOf, type BuiltFunction } from '../../revoker/lambdas/build.js';
import { deferredTargets } from '../../revoker/lambdas/deferred.js';
import { settings } from '../../revoker/lambdas/environment.js';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import { createRevoker } from '../../revoker/writer.js';
import { functionNames } from '../../revoker/workflows/index.js';
import { createKvsApi, memoryStorage, type KvsApi } from '../../scripts/local-edge/kvs-api.js';
import { createWafApi, type WafApi } from '../../scripts/local-edge/wafv2-api.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { arn } from './workflow-fixture.js';

type Handler = (event: unknown, context: { awsRequestId: string }) => Promise<unknown>;

let folder: string;
let built: BuiltFunction[];
let dynamo: LoopbackDynamoDb;
let kvs: KvsApi;
let waf: WafApi;
const storage = memoryStorage();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-functions-'));
  built = await buildFunctions(folder);
  dynamo = await startDynamoDb();
  await ensureLedgerTable(dynamo.client, 'ledger');
  kvs = await createKvsApi({ storage, arn });
  waf = await createWafApi();
});
afterAll(async () => {
  await dynamo.close();
  await kvs.close();
  await waf.close();
  await rm(folder, { recursive: true, force: true });
});

const environment = (): Record<string, string> => ({
  LEDGER_TABLE: 'ledger',
  REVOKER_CONFIG: JSON.stringify({
    stores: [{ name: 'main', arn, endpoint: kvs.endpoint }],
    ledger: { endpoint: dynamo.endpoint },
  }),
  WAF_PREFIX: 'portcullis',
  WAF_ENDPOINT: waf.endpoint,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'loopback',
  AWS_SECRET_ACCESS_KEY: 'loopback',
});

describe('the bundled functions', () => {
  it('are one file each with a handler, small enough to start quickly, and need no module beside them', () => {
    expect(built.map(({ name }) => name)).toEqual(functionNames);
    for (const { bytes, name } of built) expect([name, bytes > 10_000 && bytes < 3_000_000]).toEqual([name, true]);
    const code = built
      .map(
        ({ file, name }) =>
          `if(typeof (await import(${JSON.stringify(pathToFileURL(file).href)})).handler!=='function')throw new Error('${name}');`,
      )
      .join('');
    // From a folder without node_modules, as in a Lambda.
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', `${code}console.log('all there')`], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    });
    expect([run.stderr.replace(/\(node:.*\n?(.*\n)*/, ''), run.stdout.trim()]).toEqual(['', 'all there']);
  });

  it('work from their environment alone: announced, carried to the store and the WAF, expired, reconciled', async () => {
    const ledger = createDynamoLedger({ client: dynamo.client, table: 'ledger' });
    const targets = deferredTargets(settings(environment()).revoker, { waf: true });
    // Written an hour ago, over since a minute.
    const hourAgo = Date.now() - 3_600_000;
    await createRevoker({ ledger, targets, now: () => hourAgo }).revoke(
      [
        { scope: 'session', id: 'a', reason: 'test', until: Math.floor(Date.now() / 1000) - 60 },
        { scope: 'session', id: 'b', reason: 'test' },
        { scope: 'network', id: '192.88.99.7/32', reason: 'test' },
      ],
      { by: 'test' },
    );
    expect(storage.map.size).toBe(0);
    const before = { ...process.env };
    Object.assign(process.env, environment());
    const lines: string[] = [];
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = ((text: string) => lines.push(text) > 0) as typeof process.stdout.write;
    try {
      const invoke = async (name: (typeof functionNames)[number], event: unknown = {}): Promise<unknown> => {
        const { handler } = (await import(pathToFileURL(join(folder, fileNameOf(name), 'index.mjs')).href)) as {
          handler: Handler;
        };
        return handler(event, { awsRequestId: randomUUID() });
      };
      await invoke('Project');
      expect(storage.map.size).toBe(1);
      await invoke('Block');
      expect(waf.find('ipset', 'portcullis-blocked-v4-1')).toMatchObject({ Addresses: ['192.88.99.7/32'] });
      expect(await ledger.jobs()).toEqual([]);
      expect(await invoke('Expire')).toEqual({ expired: 1 });
      await invoke('Project');
      expect(storage.map.size).toBe(1);
      await invoke('Block');
      expect(await invoke('Compare')).toMatchObject({ keys: 0 });
    } finally {
      process.stdout.write = write;
      process.env = before;
    }
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines.filter((one) => one.startsWith('{')))
      expect(() => JSON.parse(line) as unknown).not.toThrow();
  });
});

describe('the environment', () => {
  it.each([
    [{ REVOKER_CONFIG: '{' }, 'REVOKER_CONFIG: expected JSON'],
    [
      { REVOKER_CONFIG: '{"stores":[{"arn":"x"}]}' },
      'REVOKER_CONFIG.stores.0.arn: expected the ARN of a CloudFront KeyValueStore',
    ],
    [{ APPROVAL_SECONDS: 'soon' }, 'APPROVAL_SECONDS'],
    [{ APPROVAL_SECONDS: '86401' }, 'APPROVAL_SECONDS'],
  ])('says what is wrong with %j', (variables, message) => {
    expect(() => settings(variables)).toThrow(message);
  });

  it('announces the targets under the names that the connected ones have', async () => {
    const config = revokerConfigSchema.parse({
      stores: [{ name: 'main', arn }, { arn: arn.replace('11111111', '22222222') }],
      targets: {
        ivs: [
          { channelArn: 'arn:aws:ivs:us-east-1:000000000000:channel/abcd' },
          { name: 'own', channelArn: 'arn:aws:ivs:us-east-1:000000000000:channel/efgh' },
        ],
      },
    });
    const none = (): Promise<void> => Promise.resolve();
    const networkBlocker = { block: none, unblock: none, blockAsn: none, unblockAsn: none };
    const { targets, close } = await connectRevoker({
      config,
      networkBlocker: () => networkBlocker,
      secretsFolder: folder,
    });
    const shape = ({ name, kind, needsEntries }: (typeof targets)[number]): unknown => ({ name, kind, needsEntries });
    expect(deferredTargets(config, { waf: true }).map(shape)).toEqual(targets.map(shape));
    close();
  });
});
