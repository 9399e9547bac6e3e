import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AssetCode } from 'aws-cdk-lib/aws-lambda';
import { expect, it } from 'vitest';
import { lambdaCode } from '../../infra/lambda-code.js';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import { createKvsApi, memoryStorage } from '../../scripts/local-edge/kvs-api.js';
import { startDynamoDb } from '../doubles/dynamodb.js';
import { restreamed, session } from './real-time.js';

const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';

it('the deployed bundle revokes from its environment alone, with no module beside it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-stream-bundle-'));
  const database = await startDynamoDb();
  const storage = memoryStorage();
  const kvs = await createKvsApi({ storage, arn });
  try {
    await ensureLedgerTable(database.client, 'ledger');
    await cp((lambdaCode('revoker/streaming/lambda.ts') as AssetCode).path, folder, { recursive: true });
    const Records = restreamed(24).map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
    await writeFile(join(folder, 'event.json'), JSON.stringify({ Records, isFinalInvokeForWindow: true }));
    const code =
      `const {handler}=await import(${JSON.stringify(pathToFileURL(join(folder, 'index.mjs')).href)});` +
      `const {readFileSync}=await import('node:fs');` +
      `console.log('answer', JSON.stringify(await handler(JSON.parse(readFileSync('event.json','utf8')),{awsRequestId:'1'})));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        LEDGER_TABLE: 'ledger',
        REVOKER_CONFIG: JSON.stringify({
          stores: [{ name: 'main', arn, endpoint: kvs.endpoint }],
          ledger: { endpoint: database.endpoint },
        }),
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'loopback',
        AWS_SECRET_ACCESS_KEY: 'loopback',
        AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
        NODE_NO_WARNINGS: '1',
      },
    });
    let output = '';
    for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const exit = await new Promise<number | null>((resolve) => child.on('close', resolve));
    expect([exit, output]).toEqual([0, expect.stringContaining('answer {"state":{},"batchItemFailures":[]}')]);
    const ledger = createDynamoLedger({ client: database.client, table: 'ledger' });
    expect(await ledger.get({ scope: 'session', id: session(1) })).toMatchObject({ state: 'active', version: 1 });
    expect(storage.map.size).toBe(1);
  } finally {
    await database.close();
    await kvs.close();
    await rm(folder, { recursive: true, force: true });
  }
});
