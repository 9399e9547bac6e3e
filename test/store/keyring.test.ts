import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeyring, waitReady, type Keyring } from '../../revoker/keys/keyring.js';
import { createRecordSource } from '../../revoker/keys/records.js';
import { folderSecretStore, secretsManagerStore, type SecretStore } from '../../revoker/keys/secrets.js';
import { rebuildStore, storeDrift } from '../../revoker/maintenance.js';
import type { ProjectionOptions } from '../../revoker/store/projection.js';
import { storeTarget } from '../../revoker/targets.js';
import { createRevoker } from '../../revoker/writer.js';
import { startSecretsManager, type LoopbackSecretsManager } from '../doubles/secrets-manager.js';
import { storeFixture, type StoreFixture } from './store-fixture.js';

let fixture: StoreFixture;
let manager: LoopbackSecretsManager;
let secrets: SecretStore;
let keyring: Keyring;
let projection: ProjectionOptions;

const about = { by: 'ann', reason: 'test' };
const day = 86_400;

async function start(options: Parameters<typeof storeFixture>[0] = {}): Promise<void> {
  fixture = await storeFixture({ database: true, ...options });
  const { ledger, now, store } = fixture;
  const records = createRecordSource({ ledger, secrets, secretPrefix: 'portcullis', now });
  projection = { ledger, now, records };
  const revoker = createRevoker({ ledger, targets: [storeTarget(store, projection)], now });
  keyring = createKeyring({ ledger, secrets, revoker, stores: [store], now });
}

beforeEach(async () => {
  manager = await startSecretsManager();
  secrets = secretsManagerStore(manager.client);
});
afterEach(async () => {
  await fixture.close();
  await manager.close();
});

function record(kid: string): Record<string, unknown> | undefined {
  const text = fixture.pairs.get(`k:${kid}`);
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

describe("issuers' public keys", () => {
  it('are published without a secret, bound like any key, kept through a rebuild, and sign nothing', async () => {
    await start();
    const key = await keyring.add({ kid: 'id-1', publicAlgorithm: 'ES256', iss: ['id'], paths: ['/live'] }, about);
    expect(record('id-1')).toEqual({ alg: 'ES256', iss: ['id'], paths: ['/live'] });
    expect(key.alg).toBe('ES256');
    expect([...manager.secrets.keys()]).toEqual([]);
    await keyring.setMode('id', 'log', about);
    expect(record('id-1')).toMatchObject({ alg: 'ES256', mode: 'log' });
    expect(await storeDrift(fixture.store, projection)).toMatchObject({ missing: [], surplus: [], different: [] });
    await expect(keyring.sign('id-1', { ...about, tokenSeconds: day })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    await expect(keyring.add({ publicAlgorithm: 'ES256' }, about)).rejects.toMatchObject({ code: 'invalid_request' });
    await keyring.retire('id-1', about);
    expect(record('id-1')).toBeUndefined();
  });
});

describe('signing keys', () => {
  it('are made, kept in Secrets Manager and published with their issuers and paths', async () => {
    await start();
    const key = await keyring.add({ iss: ['cms'], paths: ['/live'] }, about);
    const published = record(key.kid);
    expect(published).toMatchObject({ alg: 'HS256', iss: ['cms'], paths: ['/live'] });
    expect(Buffer.from(String(published?.['k']), 'base64url')).toHaveLength(32);
    expect(JSON.parse(manager.secrets.get(`portcullis/keys/${key.kid}`)?.value ?? '{}')).toMatchObject({
      kid: key.kid,
      k: published?.['k'],
    });
    const listed = JSON.stringify([
      await keyring.list(),
      await fixture.ledger.records('key'),
      await fixture.ledger.auditLines(9),
    ]);
    expect(listed).toContain(key.kid);
    expect(listed).not.toContain(published?.['k']);
  });

  it('refuse a kid that exists, a short secret and a kid that no header can hold', async () => {
    await start();
    await keyring.add({ kid: 'one' }, about);
    await expect(keyring.add({ kid: 'one' }, about)).rejects.toMatchObject({ code: 'key_exists' });
    await expect(keyring.add({ secret: new Uint8Array(31) }, about)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(keyring.add({ kid: 'two words' }, about)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('rotate: publish, wait for the edge, switch signing, keep the old until its last token has died', async () => {
    await start();
    const first = await keyring.add({ kid: 'first', iss: ['cms'] }, about);
    await keyring.sign('first', { ...about, tokenSeconds: day });
    const seen: unknown[] = [];
    const rotation = await keyring.rotate({
      ...about,
      tokenSeconds: day,
      waitForEdge: async (kid) => {
        seen.push(record(kid)?.['iss'], (await keyring.signingKey())?.kid);
      },
    });
    expect(seen).toEqual([['cms'], 'first']);
    expect((await keyring.signingKey())?.kid).toBe(rotation.kid);
    expect(record(first.kid)).toBeDefined();
    expect(rotation).toMatchObject({ replaced: 'first', retireAfter: fixture.clock.seconds + day + 60 });
    await expect(keyring.retire('first', about)).rejects.toMatchObject({ code: 'key_in_use' });
    await expect(keyring.retire(rotation.kid, about)).rejects.toMatchObject({ code: 'key_in_use' });
    expect(await keyring.due()).toEqual([]);
    fixture.clock.seconds += day + 60;
    expect(await keyring.due()).toEqual(['first']);
    await keyring.retire('first', about);
    expect(record('first')).toBeUndefined();
    expect(manager.secrets.get('portcullis/keys/first')?.deleted).toBe(true);
    await expect(keyring.add({ kid: 'first' }, about)).rejects.toThrow(/never used twice/);
  });

  it('go on with a rotation that was interrupted, instead of making another key', async () => {
    await start();
    await keyring.add({ kid: 'first' }, about);
    await keyring.sign('first', { ...about, tokenSeconds: day });
    let waited = '';
    const rotate = (waitForEdge: (kid: string) => Promise<void>): ReturnType<Keyring['rotate']> =>
      keyring.rotate({ ...about, tokenSeconds: day, waitForEdge });
    await expect(
      rotate((kid) => {
        waited = kid;
        return Promise.reject(new Error('interrupted'));
      }),
    ).rejects.toThrow('interrupted');
    expect((await keyring.signingKey())?.kid).toBe('first');
    expect((await rotate(() => Promise.resolve())).kid).toBe(waited);
    expect((await keyring.list()).map(({ kid }) => kid).sort()).toEqual(['first', waited].sort());
  });

  it('are replaced at once in an emergency: one update publishes the new and removes the old', async () => {
    await start();
    await keyring.add({ kid: 'leaked', iss: ['cms'] }, about);
    await keyring.sign('leaked', { ...about, tokenSeconds: day });
    const before = fixture.api.calls.UpdateKeys;
    const rotation = await keyring.rotateNow(about);
    expect(fixture.api.calls.UpdateKeys - before).toBe(1);
    expect(record('leaked')).toBeUndefined();
    expect(record(rotation.kid)).toMatchObject({ iss: ['cms'] });
    expect((await keyring.signingKey())?.kid).toBe(rotation.kid);
  });

  it('take over from a key that was in the store before the ledger knew it', async () => {
    await start();
    fixture.pairs.set('k:demo', JSON.stringify({ alg: 'HS256', k: 'x'.repeat(43), iss: ['demo'] }));
    await fixture.close();
    await start();
    const seed = { alg: 'HS256', k: 'x'.repeat(43), iss: ['demo'] };
    await fixture.store.update(
      { puts: new Map([['k:demo', JSON.stringify(seed)]]), deletes: [] },
      (await fixture.store.describe()).etag,
    );
    expect(await keyring.list()).toEqual([{ kid: 'demo', state: 'unmanaged', stores: ['main'] }]);
    await expect(keyring.retire('demo', about)).rejects.toMatchObject({ code: 'key_in_use' });
    const rotation = await keyring.rotateNow({ ...about, from: 'demo' });
    expect(record(rotation.kid)).toMatchObject({ iss: ['demo'] });
    expect(record('demo')).toBeUndefined();
  });

  it('do not switch signing to a key that a store does not have', async () => {
    let down = false;
    await start({ faults: () => (down ? { kind: 'error', code: 'AccessDeniedException' } : undefined) });
    await keyring.add({ kid: 'first' }, about);
    await keyring.sign('first', { ...about, tokenSeconds: day });
    down = true;
    const rotation = keyring.rotate({ ...about, tokenSeconds: day, waitForEdge: () => Promise.resolve() });
    await expect(rotation).rejects.toMatchObject({ code: 'store_unavailable' });
    expect((await keyring.signingKey())?.kid).toBe('first');
  });

  it('come back with everything else when a store is rebuilt from nothing', async () => {
    await start();
    await keyring.add({ kid: 'one' }, about);
    await fixture.revoker.revoke([{ scope: 'session', id: 's', reason: 'x' }], { by: 'ann' });
    const before = new Map(fixture.pairs);
    const etag = (await fixture.store.describe()).etag;
    const junk = new Map([
      ['r1', ',AAAAAAA'],
      ['r2+', ',AAAAAAA'],
      ['b:gone', '{}'],
      ['k:one', '{}'],
    ]);
    await fixture.store.update({ puts: junk, deletes: [...before.keys()].filter((key) => key.startsWith('r')) }, etag);
    const drift = await storeDrift(fixture.store, projection);
    expect({ missing: drift.missing.length, surplus: drift.surplus.length, different: drift.different }).toEqual({
      missing: 1,
      surplus: 3,
      different: ['k:one'],
    });
    await rebuildStore(fixture.store, projection);
    expect([...fixture.pairs].sort()).toEqual([...before].sort());
    expect(await storeDrift(fixture.store, projection)).toMatchObject({ missing: [], surplus: [], different: [] });
  });
});

describe('modes', () => {
  it('travel in key records and in m:, are kept with who and why, and end by themselves', async () => {
    await start();
    await keyring.add({ kid: 'a', iss: ['one'] }, about);
    await keyring.add({ kid: 'b', iss: ['two'] }, about);
    const until = fixture.clock.seconds + 1800;
    await keyring.setMode('*', 'log', { ...about, until });
    expect(record('a')).toMatchObject({ mode: 'log', until });
    expect(JSON.parse(fixture.pairs.get('m:') ?? '')).toEqual({ mode: 'log', until });
    await keyring.setMode('two', 'off', { ...about, until: until + 60 });
    expect(record('a')).toMatchObject({ mode: 'log' });
    expect(record('b')).toMatchObject({ mode: 'off', until: until + 60 });
    expect(await keyring.modes()).toHaveLength(2);
    expect((await fixture.ledger.auditLines(2)).map(({ action }) => action).sort()).toEqual(['mode log', 'mode off']);
    fixture.clock.seconds = until + 60;
    expect(await keyring.modes()).toEqual([]);
    await rebuildStore(fixture.store, projection);
    expect(record('b')).not.toHaveProperty('mode');
    expect(fixture.pairs.has('m:')).toBe(false);
  });

  it('reach a key that the ledger does not know, and leave the rest of its record alone', async () => {
    await start();
    const seed = { alg: 'HS256', k: 'x'.repeat(43), iss: ['demo'] };
    await fixture.store.update(
      { puts: new Map([['k:demo', JSON.stringify(seed)]]), deletes: [] },
      (await fixture.store.describe()).etag,
    );
    await keyring.setMode('demo', 'log', { ...about, until: fixture.clock.seconds + 60 });
    expect(record('demo')).toEqual({ ...seed, mode: 'log', until: fixture.clock.seconds + 60 });
  });

  it('refuse an issuer that no key lists', async () => {
    await start();
    await expect(keyring.setMode('nobody', 'log', about)).rejects.toMatchObject({ code: 'key_not_found' });
  });
});

describe('a folder of secrets', () => {
  it('is readable by its owner alone and takes no name that leads out of it', async () => {
    await start();
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-secrets-'));
    try {
      const store = folderSecretStore(folder);
      expect(await store.get('portcullis/signing')).toBeUndefined();
      await store.put('portcullis/signing', 'value');
      expect(await store.get('portcullis/signing')).toBe('value');
      expect((await stat(join(folder, 'portcullis/signing.json'))).mode & 0o077).toBe(0);
      expect(await readFile(join(folder, 'portcullis/signing.json'), 'utf8')).toBe('value\n');
      for (const name of ['../x', 'a/../../x', '/etc/x', 'a//b', 'a\0b']) {
        await expect(store.put(name, 'x')).rejects.toMatchObject({ code: 'invalid_request' });
      }
      await store.remove('portcullis/signing');
      expect(await store.get('portcullis/signing')).toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a new store', () => {
  it('is waited for until it is ready', async () => {
    let status: 'READY' | 'PROVISIONING' = 'PROVISIONING';
    await start({ status: () => status });
    let waits = 0;
    await waitReady(fixture.store, {
      sleep: () => {
        waits += 1;
        if (waits === 2) status = 'READY';
        return Promise.resolve();
      },
    });
    expect(waits).toBe(2);
    status = 'PROVISIONING';
    const gaveUp = waitReady(fixture.store, { timeoutSeconds: 10, sleep: () => Promise.resolve() });
    await expect(gaveUp).rejects.toMatchObject({ code: 'store_not_ready' });
  });
});
