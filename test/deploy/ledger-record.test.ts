import type { AddressInfo } from 'node:net';
import dynalite from 'dynalite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLedgerClient, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import { ledgerRecord } from '../../scripts/deploy/ledger-record.js';
import { combinedRecord, type DeploymentManifest, type DeploymentRecord } from '../../scripts/deploy/record.js';

const server = dynalite({ createTableMs: 0 });
let client: ReturnType<typeof createLedgerClient>;
let record: DeploymentRecord;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  client = createLedgerClient({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  await ensureLedgerTable(client, 'ledger');
  record = ledgerRecord(client, 'ledger');
});

afterAll(async () => {
  client.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

const manifest = (id: string, state: DeploymentManifest['state'] = 'applied'): DeploymentManifest => ({
  version: 1,
  id,
  name: 'production',
  distribution: 'E1',
  state,
  startedAt: id,
  before: { configurationSha256: 'x', functions: [], storeExisted: false },
  changes: [],
  created: { functions: [], policies: [], store: null },
  checks: [],
});

describe('the deployment record in the ledger', () => {
  it('keeps manifests in order, each with its last state, apart by environment', async () => {
    await record.put(manifest('2'));
    await record.put(manifest('1'));
    await record.put(manifest('2', 'rolled-back'));
    await record.put({ ...manifest('3'), name: 'staging' });
    expect((await record.list('production')).map(({ id, state }) => [id, state])).toEqual([
      ['1', 'applied'],
      ['2', 'rolled-back'],
    ]);
  });

  it('keeps replaced code by its hash', async () => {
    await record.putCode('abc', Buffer.from('function handler() {}'));
    expect(Buffer.from((await record.getCode('abc'))!).toString()).toBe('function handler() {}');
    expect(await record.getCode('other')).toBeUndefined();
  });

  it('is the second place to look for what the folder has lost', async () => {
    const forgotten: DeploymentRecord = {
      list: () => Promise.resolve([]),
      put: () => Promise.resolve(),
      putCode: () => Promise.resolve(),
      getCode: () => Promise.resolve(undefined),
    };
    const both = combinedRecord([forgotten, record]);
    expect((await both.list('production')).length).toBe(2);
    expect(await both.getCode('abc')).toBeDefined();
  });
});
