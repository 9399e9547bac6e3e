import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSigner, decode, verify, type VerificationKey } from '@portcullis/tokens';
import { environmentKey } from '@portcullis/tokens/keys/environment';
import { jwksFileKey } from '@portcullis/tokens/keys/jwks-file';
import { secretsManagerKey } from '@portcullis/tokens/keys/secrets-manager';
import { staticKeys } from '@portcullis/tokens/keys/static';

/** Secrets Manager's wire protocol, as far as reading goes: JSON 1.1 over POST. */
let server: Server;
let client: SecretsManagerClient;
let versions: Record<string, { VersionId: string; SecretString?: string } | undefined>;
let down = false;
let calls = 0;
let now = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      calls++;
      const { SecretId, VersionStage = 'AWSCURRENT' } = JSON.parse(body) as { SecretId: string; VersionStage?: string };
      const version = versions[VersionStage];
      const [status, answer] = down
        ? [500, { __type: 'InternalServiceError', message: 'down' }]
        : version && SecretId === 'cms/tokens'
          ? [200, { Name: SecretId, ...version, VersionStages: [VersionStage] }]
          : [400, { __type: 'ResourceNotFoundException', message: 'no such version' }];
      response
        .writeHead(status as number, { 'content-type': 'application/x-amz-json-1.1' })
        .end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new SecretsManagerClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    maxAttempts: 1,
  });
});
afterAll(() => {
  client.destroy();
  server.close();
});

const record = (kid: string): { VersionId: string; SecretString: string; key: VerificationKey } => {
  const secret = randomBytes(32);
  return {
    VersionId: kid,
    SecretString: JSON.stringify({ alg: 'HS256', kid, k: secret.toString('base64url') }),
    key: { alg: 'HS256', kid, secret },
  };
};
const policy = { paths: '/live/', expiresIn: '1h' } as const;

describe('keys from Secrets Manager, through the real client', () => {
  let first: ReturnType<typeof record>;
  let next: ReturnType<typeof record>;
  beforeEach(() => {
    first = record('v1');
    next = record('v2');
    versions = { AWSCURRENT: first };
    down = false;
    calls = 0;
    now = Date.now();
  });
  const provider = (change: object = {}): ReturnType<typeof secretsManagerKey> =>
    secretsManagerKey({ secretId: 'cms/tokens', client, GetSecretValueCommand, clock: () => now, ...change });

  it('lose no token while the key is rotated under 10,000 signs', async () => {
    const keys = provider();
    const signer = createSigner({ issuer: 'cms', key: keys, clock: () => now });
    const seen = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      now += 1000;
      if (i === 3000) versions = { AWSCURRENT: first, AWSPENDING: next };
      if (i === 5000) versions = { AWSCURRENT: next, AWSPREVIOUS: first };
      const { token } = await signer.sign(policy);
      const { kid } = await verify(token, {
        keys: [first.key, next.key],
        request: { url: '/live/a' },
        clock: () => now,
      });
      seen.set(kid as string, (seen.get(kid as string) ?? 0) + 1);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([...seen.keys()]).toEqual(['v1', 'v2']);
    expect((seen.get('v1') ?? 0) + (seen.get('v2') ?? 0)).toBe(10_000);
    // The old key signed on for at most one refresh and the time a fetch takes.
    expect(seen.get('v1')).toBeGreaterThanOrEqual(5000);
    expect(seen.get('v1')).toBeLessThan(6500);
    expect(calls).toBeLessThan(60);
  });

  it('show the next version before it signs, so that it can be published first', async () => {
    const keys = provider();
    expect(await keys.keyInStage('AWSPENDING')).toBeUndefined();
    versions['AWSPENDING'] = next;
    expect(await keys.keyInStage('AWSPENDING')).toMatchObject({ kid: 'v2', alg: 'HS256' });
    expect(await keys.signingKey()).toMatchObject({ kid: 'v1' });
    versions = { AWSCURRENT: next };
    await keys.refresh();
    expect(keys.signingKey()).toMatchObject({ kid: 'v2' });
  });

  it('survive an outage with the last good key, and are refused when that is too old', async () => {
    const errors: unknown[] = [];
    const keys = provider({
      refreshAfter: 60,
      refuseAfter: 3600,
      retryAfter: 10,
      onRefreshError: (error: unknown) => errors.push(error),
    });
    const signer = createSigner({ issuer: 'cms', key: keys, clock: () => now });
    await signer.sign(policy);
    down = true;
    now += 3_599_000;
    for (let i = 0; i < 50; i++) expect(decode((await signer.sign(policy)).token).kid).toBe('v1');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([errors.length, calls]).toEqual([1, 2]);
    now += 1000;
    await expect(signer.sign(policy)).rejects.toMatchObject({ code: 'stale_key' });
    down = false;
    expect(decode((await signer.sign(policy)).token).kid).toBe('v1');
  });

  it('are unavailable, with a clear error, when there was never a key', async () => {
    down = true;
    await expect(createSigner({ issuer: 'cms', key: provider() }).sign(policy)).rejects.toMatchObject({
      code: 'key_unavailable',
    });
  });

  it('share one fetch between the first signs', async () => {
    const signer = createSigner({ issuer: 'cms', key: provider() });
    await Promise.all(Array.from({ length: 20 }, () => signer.sign(policy)));
    expect(calls).toBe(1);
  });

  it('take a bare secret, with the version id as its kid, and refuse a short or garbled one', async () => {
    versions['AWSCURRENT'] = { VersionId: 'a1b2', SecretString: randomBytes(32).toString('base64url') };
    expect(await provider().signingKey()).toMatchObject({ kid: 'a1b2', alg: 'HS256' });
    for (const [SecretString, code] of [
      [randomBytes(31).toString('base64url'), 'weak_key'],
      ['not base64!', 'invalid_key'],
      ['{"alg":"HS256"', 'invalid_key'],
      ['{"alg":"none","k":"x"}', 'invalid_key'],
      ['{"alg":"ES256","kty":"RSA","d":"x"}', 'invalid_key'],
    ] as const) {
      versions['AWSCURRENT'] = { VersionId: 'x', SecretString };
      const error = await Promise.resolve(provider().signingKey()).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code });
      expect(String(error)).not.toContain(SecretString);
    }
  });
});

describe('other key providers', () => {
  it('environment: a bare secret with its id, or a key record', async () => {
    const environment = { PORTCULLIS_KEY: randomBytes(32).toString('base64url'), PORTCULLIS_KEY_ID: 'env-1' };
    expect(await environmentKey({ environment }).signingKey()).toMatchObject({ alg: 'HS256', kid: 'env-1' });
    expect(
      await environmentKey({ environment: { K: record('r1').SecretString }, variable: 'K' }).signingKey(),
    ).toMatchObject({ kid: 'r1' });
    expect(() => environmentKey({ environment: {} })).toThrow(
      expect.objectContaining({ code: 'key_unavailable' }) as Error,
    );
  });

  it('static: the first signs; no kid twice', () => {
    const [a, b] = [record('a').key, record('b').key] as [
      Extract<VerificationKey, { alg: 'HS256' }>,
      Extract<VerificationKey, { alg: 'HS256' }>,
    ];
    expect(staticKeys([b, a]).signingKey()).toBe(b);
    expect(() => staticKeys([a, a])).toThrow(/Two keys/);
  });

  it('JWKS file: the first signing key, or the one named; read again after a change', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-jwks-'));
    const file = join(folder, 'jwks.json');
    const write = (...kids: string[]): void =>
      writeFileSync(
        file,
        JSON.stringify({
          keys: kids.map((kid) => ({ kty: 'oct', alg: 'HS256', kid, k: randomBytes(32).toString('base64url') })),
        }),
      );
    try {
      write('a', 'b');
      now = Date.now();
      const keys = jwksFileKey({ file, clock: () => now });
      expect(await keys.signingKey()).toMatchObject({ kid: 'a' });
      expect(await jwksFileKey({ file, kid: 'b' }).signingKey()).toMatchObject({ kid: 'b' });
      await expect(jwksFileKey({ file, kid: 'x' }).signingKey()).rejects.toMatchObject({ code: 'unknown_key' });
      write('c', 'a');
      await keys.refresh();
      expect(await keys.signingKey()).toMatchObject({ kid: 'c' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
