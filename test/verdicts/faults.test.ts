import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction } from 'node:vm';
import { describe, expect, test } from 'vitest';
import {
  functionHosts,
  viewerRequestEvent,
  type FunctionEvent,
  type HostResult,
  type RequestParts,
  type StoreDouble,
} from '../../scripts/engine/index.js';
import { keyRecord, revocationBucket, revocationPlace } from '../engine/token-maker.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { cat, jwt, NOW, PATH, secretOf } from './requests.js';

const hosts = await functionHosts();
const standard = (await compiledFolder(neutralConfig('default'))).file;
const full = (await compiledFolder(neutralConfig('full'))).file;

const session = Buffer.alloc(16, 3);
const handle = session.toString('base64url');
const bucket = revocationPlace('s', handle);
const main = keyRecord(secretOf('main'));
const store = (entries: Record<string, string> = {}, faults: Partial<StoreDouble> = {}): StoreDouble => ({
  entries: { 'k:main': main, ...entries },
  ...faults,
});

interface Faulty {
  readonly name: string;
  readonly store: StoreDouble;
  readonly expected: readonly [status: number, reason: string] | 'admitted';
  readonly request?: RequestParts;
}

const withSession: RequestParts = { uri: `/${cat({ session })}${PATH}` };
const plain: RequestParts = { uri: `/${cat()}${PATH}` };
const failed = [503, 'store_error'] as const;

const malformedRecords: readonly string[] = [
  '',
  '{',
  'null',
  '5',
  '"text"',
  '[]',
  '{}',
  JSON.stringify({ k: secretOf('main').toString('base64url') }),
  '{"alg":"HS256"}',
  '{"alg":"HS256","k":null}',
  '{"alg":"HS256","k":5}',
  '{"alg":"HS256","k":true}',
  '{"alg":"HS256","k":[]}',
  '{"alg":"HS256","k":{}}',
  '{"alg":"HS256","k":""}',
  '{"alg":"HS256","k":"AAAA"}',
  `{"alg":"HS256","k":"${'!'.repeat(8)}"}`,
  keyRecord(secretOf('main'), { iss: 'text' }),
  keyRecord(secretOf('main'), { paths: '/echo' }),
  keyRecord(secretOf('main'), { paths: [5] }),
  keyRecord(secretOf('main'), { paths: { length: 1 } }),
];

const faults: readonly Faulty[] = [
  { name: 'no key under the kid', store: { entries: {} }, expected: [401, 'unknown_key'] },
  { name: 'the key cannot be read, and is there', store: store({}, { getFails: ['k:main'] }), expected: failed },
  {
    name: 'the key cannot be read, nor looked for',
    store: store({}, { getFails: true, existsFails: true }),
    expected: failed,
  },
  { name: 'a key that is not there cannot be looked for', store: { entries: {}, existsFails: true }, expected: failed },
  {
    name: 'the revocations cannot be read, and are there',
    store: store({ [bucket.key]: revocationBucket(3) }, { getFails: ['r*'] }),
    request: withSession,
    expected: failed,
  },
  {
    name: 'the revocations cannot be read, nor looked for',
    store: store({}, { getFails: ['r*'], existsFails: ['r*'] }),
    request: withSession,
    expected: failed,
  },
  {
    name: 'revocations that are not there cannot be looked for',
    store: store({}, { existsFails: ['r*'] }),
    request: withSession,
    expected: failed,
  },
  {
    name: 'the revocations of another session',
    store: store({ [bucket.key]: revocationBucket(3) }),
    request: withSession,
    expected: 'admitted',
  },
  {
    name: 'the session is revoked',
    store: store({ [bucket.key]: revocationBucket(3, [bucket.fingerprint]) }),
    request: withSession,
    expected: [403, 'revoked'],
  },
  {
    name: 'revocations that are no list',
    store: store({ [bucket.key]: 'null' }),
    request: withSession,
    expected: failed,
  },
  {
    name: 'revocations that are JSON',
    store: store({ [bucket.key]: '["a"]' }),
    request: withSession,
    expected: failed,
  },
  {
    name: 'revocations that go on in a key that is missing',
    store: store({ [bucket.key]: `+${revocationBucket(3)}` }),
    request: withSession,
    expected: failed,
  },
  ...malformedRecords.map((record): Faulty => ({
    name: `the key record ${record}`,
    store: { entries: { 'k:main': record } },
    expected: failed,
  })),
  {
    name: 'a malformed record behind a good token',
    store: store({ 'k:other': '{' }),
    request: { uri: `${PATH}?CAT=${cat({}, { kid: 'other' })}&CAT=${cat()}` },
    expected: 'admitted',
  },
  {
    name: 'a key for another algorithm',
    store: { entries: { 'k:main': JSON.stringify({ alg: 'RS256', k: secretOf('main').toString('base64url') }) } },
    expected: [401, 'unsupported_algorithm'],
  },
];

/** Signed with what a malformed secret would read as. */
const guessed = ['', 'AAAA'].map((k) => cat({}, { key: Buffer.from(k, 'base64url') }));

function refusalOf({ result, error }: HostResult): readonly [number, string] | 'admitted' | string {
  if (error || !result) return `threw ${error?.message}`;
  if (!result.statusCode) return 'admitted';
  expect(result.headers?.['cache-control']?.value).toBe('no-store');
  const retry = result.headers?.['retry-after']?.value;
  expect(result.statusCode === 503 ? Number(retry) > 0 : retry === undefined).toBe(true);
  expect(result.statusCode === 401).toBe(result.headers?.['www-authenticate'] !== undefined);
  return [result.statusCode, result.headers?.['x-portcullis-reason']?.value ?? ''];
}

const cors = 'https://player.example';
const configured = {
  off: (await compiledFolder({ mode: 'off' })).file,
  log: (await compiledFolder({ mode: 'log' })).file,
  enforce: standard,
  credentials: (await compiledFolder({ cors: { origins: [cors], credentials: true } })).file,
  noCors: (await compiledFolder({ cors: false })).file,
  publicPaths: (await compiledFolder({ publicPaths: ['/public', '/open/'] })).file,
};

const tokenMarks = /eyJ|2D3|0YR|0oR/;
const now = NOW * 1000;

describe.each(hosts)('$name', (host) => {
  async function one(file: string, request: RequestParts, given: StoreDouble = store()): Promise<HostResult> {
    const [result] = await host.run(file, [{ event: viewerRequestEvent(request), now }], { store: given });
    return result as HostResult;
  }

  test.skipIf(host.missing).each([
    ['default', standard],
    ['full', full],
  ])('a store that fails refuses (%s)', async (_, file) => {
    const results = await host.run(
      file,
      faults.map((fault) => ({ event: viewerRequestEvent(fault.request ?? plain), store: fault.store, now })),
    );
    expect(results.map((result, i) => [faults[i]?.name, refusalOf(result)])).toEqual(
      faults.map(({ name, expected }) => [name, expected]),
    );
  });

  test.skipIf(host.missing)('no malformed secret can be signed with', async () => {
    const cases = malformedRecords.flatMap((record) =>
      guessed.map((token) => ({
        event: viewerRequestEvent({ uri: `/${token}${PATH}` }),
        store: { entries: { 'k:main': record } },
        now,
      })),
    );
    const results = await host.run(standard, cases);
    expect(results.filter((result) => refusalOf(result) === 'admitted').length).toBe(0);
  });

  describe('modes', () => {
    const requests: readonly (readonly [name: string, RequestParts, reason: string])[] = [
      ['no token', { uri: PATH }, 'missing_token'],
      ['an expired token in the path', { uri: `/${cat({ exp: NOW })}${PATH}` }, 'expired'],
      [
        'a forged token in the query',
        { uri: `${PATH}?CAT=${jwt({}, { signature: Buffer.alloc(32) })}` },
        'bad_signature',
      ],
      ['garbage in a cookie', { uri: PATH, cookies: `CAT=${cat().slice(0, 40)}` }, 'malformed_token'],
      [
        'an unknown key in the header',
        { uri: PATH, headers: { 'CTA-Common-Access-Token': cat({}, { kid: 'x' }) } },
        'unknown_key',
      ],
    ];

    test.skipIf(host.missing).each(requests)(
      'of the configuration decide what becomes of %s',
      async (_, request, reason) => {
        expect(refusalOf(await one(configured.enforce, request))).toEqual([401, reason]);
        for (const mode of ['log', 'off'] as const) {
          const { result, logs, error } = await one(configured[mode], request);
          expect(error).toBeUndefined();
          expect(result?.statusCode).toBeUndefined();
          expect(result?.uri).toBe(PATH);
          expect(JSON.stringify(result)).not.toMatch(tokenMarks);
          expect(logs.map((line) => (JSON.parse(line) as { r: string }).r)).toEqual(mode === 'log' ? [reason] : []);
          expect(logs.join()).not.toMatch(tokenMarks);
        }
      },
    );

    const expired = { uri: `/${cat({ exp: NOW })}${PATH}` };
    const refused = [401, 'expired'];
    test.skipIf(host.missing).each<[string, Record<string, unknown>, unknown]>([
      ['log', { mode: 'log' }, 'admitted'],
      ['off', { mode: 'off' }, 'admitted'],
      ['enforce', { mode: 'enforce' }, refused],
      ['log until later', { mode: 'log', until: NOW + 1 }, 'admitted'],
      ['log until now', { mode: 'log', until: NOW }, refused],
      ['off until a second ago', { mode: 'off', until: NOW - 1 }, refused],
      ['log until a text', { mode: 'log', until: 'tomorrow' }, refused],
      ['log until null', { mode: 'log', until: null }, refused],
      ['a mode that is none', { mode: 'LOG' }, refused],
      ['a mode that is a list', { mode: ['log'] }, refused],
      ['log on the path', { mode: 'log', paths: ['/echo'] }, 'admitted'],
      ['log on another path', { mode: 'log', paths: ['/else'] }, refused],
      ['off on another path', { mode: 'off', paths: ['/else'] }, refused],
      ['log on a path that only begins alike', { mode: 'log', paths: ['/ech'] }, refused],
      ['log for another issuer, on the path', { mode: 'log', iss: ['else'], paths: ['/echo'] }, 'admitted'],
    ])('of the key record: %s', async (_, more, expected) => {
      const result = await one(standard, expired, store({ 'k:main': keyRecord(secretOf('main'), more) }));
      expect(refusalOf(result)).toEqual(expected);
      if (expected === 'admitted') {
        expect(result.result?.uri).toBe(PATH);
        expect(JSON.stringify(result)).not.toMatch(tokenMarks);
      }
    });

    test.skipIf(host.missing)('a record says enforce against a configuration that says log or off', async () => {
      const enforcing = store({ 'k:main': keyRecord(secretOf('main'), { mode: 'enforce' }) });
      for (const mode of ['log', 'off'] as const)
        expect(refusalOf(await one(configured[mode], expired, enforcing))).toEqual(refused);
    });

    test.skipIf(host.missing)(
      "a good token of a tenant in log does not open another tenant's path, nor does a bad one",
      async () => {
        const tenants = store({ 'k:main': keyRecord(secretOf('main'), { mode: 'log', paths: ['/echo/a'] }) });
        for (const [path, token, expected] of [
          ['/echo/a/x', cat({ exp: NOW }), 'admitted'],
          ['/echo/b/x', cat(), [401, 'not_entitled']],
          ['/echo/b/x', cat({ exp: NOW }), [401, 'expired']],
          ['/echo/b/x', cat({}, { mac: Buffer.alloc(32) }), [401, 'bad_signature']],
          ['/echo/a/..%2fb/x', cat(), [400, 'ambiguous_path']],
        ] as const)
          expect([path, refusalOf(await one(standard, { uri: `/${token}${path}` }, tenants))]).toEqual([
            path,
            expected,
          ]);
      },
    );
  });

  describe('answers', () => {
    const asked = (origin: string | undefined, method = 'GET'): RequestParts => ({
      uri: PATH,
      method,
      headers: { origin },
    });
    const corsOf = (result: HostResult): Record<string, string | undefined> =>
      Object.fromEntries(
        ['allow-origin', 'allow-credentials', 'expose-headers', 'allow-methods', 'allow-headers']
          .map((name) => [name, result.result?.headers?.[`access-control-${name}`]?.value] as const)
          .concat([['vary', result.result?.headers?.['vary']?.value]])
          .filter(([, value]) => value !== undefined),
      );

    test.skipIf(host.missing)('without credentials any page may read a refusal', async () => {
      const result = await one(standard, asked('https://any.example'));
      expect(corsOf(result)).toEqual({ 'allow-origin': '*', 'expose-headers': '*' });
      // No header by which caches would have to tell pages apart: the answer is the same for all.
      expect(corsOf(await one(standard, asked(undefined)))).toEqual({ 'allow-origin': '*', 'expose-headers': '*' });
    });

    test.skipIf(host.missing)('with credentials the pages on the list alone', async () => {
      const listed = await one(configured.credentials, asked(cors));
      expect(corsOf(listed)).toMatchObject({ 'allow-origin': cors, 'allow-credentials': 'true', vary: 'Origin' });
      expect(corsOf(listed)['expose-headers']).toContain('x-portcullis-reason');
      expect(corsOf(listed)['expose-headers']).not.toContain('*');
      for (const origin of ['https://evil.example', `${cors}.evil.example`, 'null', `${cors}:8443`])
        expect(corsOf(await one(configured.credentials, asked(origin)))).toEqual({ vary: 'Origin' });
    });

    test.skipIf(host.missing)('a preflight is answered without a token, and passes nothing to the origin', async () => {
      const open = await one(standard, asked('https://any.example', 'OPTIONS'));
      expect(open.result?.statusCode).toBe(204);
      expect(corsOf(open)).toMatchObject({
        'allow-origin': '*',
        'allow-methods': '*',
        'allow-headers': expect.stringContaining('*') as string,
      });
      expect(open.reads).toEqual([]);
      const listed = await one(configured.credentials, asked(cors, 'OPTIONS'));
      expect(listed.result?.statusCode).toBe(204);
      expect(corsOf(listed)).toMatchObject({
        'allow-origin': cors,
        'allow-credentials': 'true',
        'allow-methods': 'GET,HEAD,OPTIONS',
      });
      expect(corsOf(listed)['allow-headers']).not.toContain('*');
      const stranger = await one(configured.credentials, asked('https://evil.example', 'OPTIONS'));
      expect(corsOf(stranger)).not.toHaveProperty('allow-origin');
    });

    test.skipIf(host.missing)('without CORS a preflight is a request like any other', async () => {
      const result = await one(configured.noCors, asked(cors, 'OPTIONS'));
      expect(refusalOf(result)).toEqual([401, 'missing_token']);
      expect(corsOf(result)).toEqual({});
    });

    test.skipIf(host.missing)('carry the request id, the reason and no store', async () => {
      const { result } = await one(standard, { uri: PATH, requestId: 'request-1' });
      expect(JSON.parse(result?.body as string)).toEqual({ error: 'missing_token', id: 'request-1' });
      expect(result?.headers).toMatchObject({
        'content-type': { value: 'application/json' },
        'www-authenticate': { value: 'Bearer' },
      });
    });
  });

  test.skipIf(host.missing).each<[string, unknown]>([
    ['/public', 'admitted'],
    ['/public/a/b', 'admitted'],
    ['/open/a', 'admitted'],
    ['/%70ublic/a', 'admitted'],
    ['/publicity', [401, 'missing_token']],
    ['/Public/a', [401, 'missing_token']],
    ['/a/public/b', [401, 'missing_token']],
    ['/public/../secret', [400, 'ambiguous_path']],
    ['/public/%2e%2e/secret', [400, 'ambiguous_path']],
    ['/public%2f..%2fsecret', [400, 'ambiguous_path']],
    ['/public;/../secret', [400, 'ambiguous_path']],
    ['//public/a', [400, 'ambiguous_path']],
  ])('public paths: %s', async (path, expected) => {
    const result = await one(configured.publicPaths, { uri: path }, { entries: {}, getFails: true, existsFails: true });
    expect(refusalOf(result)).toEqual(expected);
  });

  test.skipIf(host.missing)('a token on a public path is taken off, good or bad, and not looked at', async () => {
    for (const token of [cat(), cat({ exp: 1 })]) {
      const result = await one(configured.publicPaths, {
        uri: `/${token}/public/a?CAT=${token}`,
        cookies: `CAT=${token}`,
      });
      expect(result.result?.uri).toBe('/public/a');
      expect(JSON.stringify(result)).not.toMatch(tokenMarks);
      expect(result.reads).toEqual([]);
    }
  });
});

/** Runs the compiled function on a store that does as it is told; the harness's double is always honest. */
async function onStore(
  file: string,
  kvs: () => unknown,
  request: RequestParts,
): Promise<readonly [number, string] | 'admitted' | string> {
  const source = readFileSync(file, 'utf8').replace(
    /import\s+([\w$]+)\s+from\s*['"]cloudfront['"]\s*;?/,
    'var $1 = cloudfront;',
  );
  const clock = Object.create(Date, { now: { value: () => now } }) as DateConstructor;
  const handler = (
    compileFunction(`${source}\n;return handler;`, ['cloudfront', 'Date', 'console', 'require']) as (
      ...given: unknown[]
    ) => (event: FunctionEvent) => Promise<unknown>
  )({ kvs }, clock, { log: () => undefined }, createRequire(import.meta.url));
  return refusalOf({
    result: (await handler(viewerRequestEvent(request))) as HostResult['result'] & object,
    logs: [],
    reads: [],
  });
}

describe('a store that does not do as documented', () => {
  const missing = (): Promise<never> => Promise.reject(new Error('KeyNotFound'));
  const get = (key: string): Promise<string> => (key === 'k:main' ? Promise.resolve(main) : missing());
  test.each<[string, () => unknown, unknown]>([
    ['answers', () => ({ get, exists: () => Promise.resolve(false) }), 'admitted'],
    ['says that what it cannot give is there', () => ({ get, exists: () => Promise.resolve(true) }), failed],
    [
      'throws when asked whether something is there',
      () => ({
        get,
        exists: () => {
          throw new Error('fault');
        },
      }),
      failed,
    ],
    ['rejects when asked whether something is there', () => ({ get, exists: missing }), failed],
    ['says nothing when asked whether something is there', () => ({ get, exists: () => Promise.resolve() }), failed],
    ['rejects with nothing', () => ({ get, exists: () => Promise.reject() }), failed],
    [
      'throws in the place of a rejection',
      () => ({
        get: () => {
          throw new Error('fault');
        },
        exists: missing,
      }),
      failed,
    ],
    [
      'is not associated',
      () => {
        throw new Error('no KeyValueStore');
      },
      failed,
    ],
    [
      'has lost the key and says so',
      () => ({ get: missing, exists: () => Promise.resolve(false) }),
      [401, 'unknown_key'],
    ],
    [
      'gives a number for a record',
      () => ({ get: () => Promise.resolve(5), exists: () => Promise.resolve(true) }),
      failed,
    ],
    [
      'gives null for a record',
      () => ({ get: () => Promise.resolve(null), exists: () => Promise.resolve(true) }),
      failed,
    ],
    [
      'gives a number for revocations',
      () => ({ get: (key: string) => (key === 'k:main' ? get(key) : Promise.resolve(5)), exists: missing }),
      failed,
    ],
  ])('%s', async (_, kvs, expected) => {
    expect(await onStore(standard, kvs, withSession)).toEqual(expected);
    expect(await onStore(full, kvs, withSession)).toEqual(expected);
  });
});

test('all this fits into the budget of the profile', () => {
  expect(readFileSync(standard).length).toBeLessThanOrEqual(8192);
});
