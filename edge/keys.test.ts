import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignJWT } from 'jose';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import { encodeCatClaims } from '@portcullis/tokens/claims';
import { signCat } from '@portcullis/tokens/sign';
import { context, lambdaRequest, validatorConfig } from '../test/edge/requests.js';
import { createKeyRing, MAXIMUM_KEYS, readKeySet, type KeySource, type RemoteKeys } from './keys.js';
import { createValidator, type Validator } from './validator.js';

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
const pair = (): Pair => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwkOf = ({ publicKey }: Pair, kid: string): object => ({ ...publicKey.export({ format: 'jwk' }), kid });
const first = pair();
const second = pair();

/** An issuer's server whose answers a test chooses. */
interface Issuer {
  readonly url: string;
  readonly asked: () => number;
  answer: (request: IncomingMessage, response: ServerResponse) => void;
}

let server: Server;
let issuer: Issuer;

const json =
  (body: unknown, type = 'application/json') =>
  (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': type }).end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const published = (...keys: object[]) => json({ keys });

beforeEach(async () => {
  let asked = 0;
  server = createServer((request, response) => {
    asked++;
    issuer.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  issuer = {
    url: `http://127.0.0.1:${port}/jwks.json`,
    asked: () => asked,
    answer: published(jwkOf(first, 'first')),
  };
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** A validator with a clock of its own, and what it says of faults. */
function remote(changes: Partial<RemoteKeys> = {}) {
  const clock = { seconds: 1_800_000_000 };
  const faults: string[] = [];
  const validate = createValidator(
    validatorConfig({ keys: [{ kind: 'url', url: issuer.url, timeout: 200, ...changes }] }),
    { now: () => clock.seconds * 1000, onKeyFault: ({ message }) => faults.push(message) },
  );
  return { validate, clock, faults };
}

async function reasonFor(validate: Validator, kid: string, { privateKey }: Pair): Promise<string> {
  const token = await signCat({ sub: 'u' }, { alg: 'ES256', kid, privateKey });
  return (await validate(lambdaRequest({ query: `CAT=${token}` }), context)).reason;
}

/** Lets what runs in the background come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));

describe('published keys', () => {
  it('are fetched once, and serve from memory', async () => {
    const { validate } = remote();
    for (let i = 0; i < 50; i++) expect(await reasonFor(validate, 'first', first)).toBe('');
    expect(issuer.asked()).toBe(1);
  });

  it('are fetched once by requests at the same time', async () => {
    const { validate } = remote();
    const reasons = await Promise.all(Array.from({ length: 50 }, () => reasonFor(validate, 'first', first)));
    expect([new Set(reasons), issuer.asked()]).toEqual([new Set(['']), 1]);
  });

  it('are fetched again in the background, while the old ones serve', async () => {
    const { validate, clock } = remote();
    await reasonFor(validate, 'first', first);
    clock.seconds += 301;
    let release = (): void => undefined;
    issuer.answer = (_, response) => {
      release = () => published(jwkOf(first, 'first'), jwkOf(second, 'second'))(_, response);
    };
    expect(await reasonFor(validate, 'first', first)).toBe('');
    await settled();
    release();
    await settled();
    expect(await reasonFor(validate, 'second', second)).toBe('');
    expect(issuer.asked()).toBe(2);
  });

  it('rotate: a new key is found at once, an old one is gone with the next fetch', async () => {
    const { validate, clock } = remote();
    expect(await reasonFor(validate, 'first', first)).toBe('');
    issuer.answer = published(jwkOf(second, 'second'));
    clock.seconds += 31;
    expect(await reasonFor(validate, 'second', second)).toBe('');
    expect(await reasonFor(validate, 'first', first)).toBe('unknown_key');
    // The same kid for another key.
    issuer.answer = published(jwkOf(first, 'second'));
    clock.seconds += 601;
    expect(await reasonFor(validate, 'second', second)).toBe('bad_signature');
    expect(await reasonFor(validate, 'second', first)).toBe('');
  });

  it('are not taken from an answer that lay frozen with the environment', async () => {
    const { validate, clock } = remote({ timeout: 5_000 });
    await reasonFor(validate, 'first', first);
    clock.seconds += 301;
    let thaw = (): void => undefined;
    issuer.answer = (request, response) => {
      thaw = () => published(jwkOf(first, 'first'))(request, response);
    };
    expect(await reasonFor(validate, 'first', first)).toBe('');
    await settled();
    // An hour later the answer is read that was sent then; the key has been taken back meanwhile.
    clock.seconds += 3_600;
    issuer.answer = published(jwkOf(second, 'second'));
    const reason = reasonFor(validate, 'first', first);
    await settled();
    thaw();
    expect(await reason).toBe('unknown_key');
  });

  it('may be taken back: an empty set is a set', async () => {
    const { validate, clock } = remote();
    expect(await reasonFor(validate, 'first', first)).toBe('');
    issuer.answer = published();
    clock.seconds += 601;
    expect(await reasonFor(validate, 'first', first)).toBe('unknown_key');
  });

  it('are not asked for by 10,000 unknown kids', async () => {
    const { validate, clock } = remote();
    await reasonFor(validate, 'first', first);
    const stranger = pair();
    const forged = await signCat({ sub: 'u' }, { alg: 'ES256', kid: 'kid-0000', privateKey: stranger.privateKey });
    const bytes = Buffer.from(forged, 'base64url');
    const at = bytes.indexOf('kid-0000');
    const before = process.memoryUsage().heapUsed;
    const reasons = new Set<string>();
    for (let i = 0; i < 10_000; i++) {
      bytes.write(`kid-${String(i).padStart(4, '0')}`, at);
      // A hundred seconds pass meanwhile.
      clock.seconds += 0.01;
      const request = lambdaRequest({ query: `CAT=${bytes.toString('base64url')}` });
      reasons.add((await validate(request, context)).reason);
    }
    expect(reasons).toEqual(new Set(['unknown_key']));
    expect(issuer.asked()).toBeLessThanOrEqual(1 + 4);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
    expect(await reasonFor(validate, 'first', first)).toBe('');
  });
});

describe('an issuer that is down', () => {
  const outages: [string, (request: IncomingMessage, response: ServerResponse) => void, RegExp][] = [
    ['does not answer', () => undefined, /timeout|aborted/i],
    [
      'trickles',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).write('{');
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      },
      /timeout|aborted/i,
    ],
    ['hangs up', (_, response) => response.socket?.destroy(), /fetch failed/],
    ['answers 500', (_, response) => response.writeHead(500).end(), /status 500/],
    ['answers 304', (_, response) => response.writeHead(304).end(), /status 304/],
    ['sends a web page', json('<html>', 'text/html'), /type text\/html/],
    ['sends keys as text', json({ keys: [jwkOf(first, 'first')] }, 'text/plain'), /type text\/plain/],
    ['names no type', (_, response) => response.end('{}'), /type none/],
    ['sends half a set', json('{"keys":['), /JSON/],
    ['sends something else', json({ key: [] }), /JWK set/],
    ['sends null', json('null'), /JWK set/],
    [
      'sends bytes that are no UTF-8',
      (_, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from('{"keys":["\xff"]}', 'latin1')),
      /encoded data/,
    ],
    [
      'redirects',
      (request, response) =>
        request.url === '/elsewhere'
          ? published(jwkOf(first, 'first'))(request, response)
          : response.writeHead(302, { location: '/elsewhere' }).end(),
      /fetch failed|redirect/,
    ],
    ['sends 70,000 bytes', json(`{"keys":[],"x":"${'x'.repeat(70_000)}"}`), /longer than 65536/],
    [
      'sends ten megabytes in a few compressed ones',
      (_, response) =>
        response
          .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
          .end(gzipSync(Buffer.alloc(10_000_000, ' '))),
      /longer than 65536/,
    ],
    [
      'never ends',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = (): void => {
          while (!response.destroyed && response.write(' '.repeat(65_536)));
          response.once('drain', more);
        };
        more();
      },
      /longer than 65536/,
    ],
    [
      'sends too many keys',
      published(...Array.from({ length: MAXIMUM_KEYS + 1 }, (_, i) => jwkOf(first, `${i}`))),
      /at most 64/,
    ],
  ];

  it.each(outages)(
    'and %s, admits nobody, is not asked all the time, and comes back by itself',
    async (_, answer, message) => {
      // What comes in time is given time, on a busy machine, too.
      const { validate, clock, faults } = remote({ timeout: /timeout/.test(message.source) ? 200 : 5_000 });
      issuer.answer = answer;
      for (let i = 0; i < 20; i++) expect(await reasonFor(validate, 'first', first)).toBe('store_error');
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(message);
      issuer.answer = published(jwkOf(first, 'first'));
      expect(await reasonFor(validate, 'first', first)).toBe('store_error');
      clock.seconds += 6;
      expect(await reasonFor(validate, 'first', first)).toBe('');
      expect(faults).toHaveLength(1);
    },
  );

  it.each(outages)('and %s, leaves the keys in place that were good', async (_, answer) => {
    const { validate, clock, faults } = remote();
    expect(await reasonFor(validate, 'first', first)).toBe('');
    issuer.answer = answer;
    // In the background first; from twice the age on a request waits for the answer, once in a while.
    for (let age = 0; age < 86_000; age += 12_000) {
      expect(await reasonFor(validate, 'first', first)).toBe('');
      expect(await reasonFor(validate, 'nobody', first)).toBe('unknown_key');
      clock.seconds += 12_000;
    }
    expect(faults.length).toBeGreaterThan(4);
    // Not for ever.
    clock.seconds += 4_000;
    expect(await reasonFor(validate, 'first', first)).toBe('store_error');
    issuer.answer = published(jwkOf(first, 'first'));
    clock.seconds += 61;
    expect(await reasonFor(validate, 'first', first)).toBe('');
  });

  it('is asked less and less often, at least once a minute', async () => {
    const { validate, clock } = remote();
    issuer.answer = (_, response) => response.writeHead(500).end();
    for (let second = 0; second < 600; second++) {
      await reasonFor(validate, 'first', first);
      clock.seconds++;
    }
    expect(issuer.asked()).toBeGreaterThan(10);
    expect(issuer.asked()).toBeLessThan(20);
  });

  it('harms no other issuer', async () => {
    issuer.answer = () => undefined;
    const other: KeySource = { kind: 'jwks', jwks: { keys: [jwkOf(second, 'second')] } };
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'url', url: issuer.url, timeout: 50 }, other] }));
    expect(await reasonFor(validate, 'second', second)).toBe('');
    expect(issuer.asked()).toBe(0);
    expect(await reasonFor(validate, 'first', first)).toBe('store_error');
  });

  it('cannot put its keys in the place of another’s, nor speak for it', async () => {
    issuer.answer = published(jwkOf(first, 'shared'), jwkOf(first, 'theirs'));
    const validate = createValidator(
      validatorConfig({
        keys: [
          { kind: 'url', url: issuer.url, iss: ['tenant'], paths: ['/tenant'] },
          { kind: 'jwks', jwks: { keys: [jwkOf(second, 'shared')] }, iss: ['us'] },
        ],
      }),
    );
    const reasonOf = async (iss: string, kid: string, { privateKey }: Pair, uri: string): Promise<string> => {
      const token = await signCat({ iss }, { alg: 'ES256', kid, privateKey });
      return (await validate(lambdaRequest({ uri, query: `CAT=${token}` }), context)).reason;
    };
    expect(await reasonOf('tenant', 'theirs', first, '/tenant/a')).toBe('');
    expect(await reasonOf('us', 'shared', second, '/live/a')).toBe('');
    expect(await reasonOf('us', 'shared', first, '/live/a')).toBe('bad_signature');
    expect(await reasonOf('us', 'theirs', first, '/tenant/a')).toBe('issuer_mismatch');
    expect(await reasonOf('tenant', 'theirs', first, '/live/a')).toBe('not_entitled');
  });
});

describe('ten thousand unknown kids', () => {
  const flood = async (): Promise<(i: number) => string> => {
    const forged = await signCat({ sub: 'u' }, { alg: 'ES256', kid: 'kid-0000', privateKey: pair().privateKey });
    const bytes = Buffer.from(forged, 'base64url');
    const at = bytes.indexOf('kid-0000');
    return (i) => {
      bytes.write(`kid-${String(i).padStart(4, '0')}`, at);
      return bytes.toString('base64url');
    };
  };

  it('at once, while an issuer does not answer, wait for one question together, and admit nobody', async () => {
    const { validate, faults } = remote({ timeout: 2_500 });
    issuer.answer = () => undefined;
    const token = await flood();
    const before = process.memoryUsage().heapUsed;
    const reasons = await Promise.all(
      Array.from(
        { length: 10_000 },
        async (_, i) => (await validate(lambdaRequest({ query: `CAT=${token(i)}` }), context)).reason,
      ),
    );
    expect([new Set(reasons), issuer.asked(), faults.length]).toEqual([new Set(['store_error']), 1, 1]);
    // A kilobyte or so for each that waits.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 1024 * 1024);
    // Nobody asks again before its time.
    expect((await validate(lambdaRequest({ query: `CAT=${token(1)}` }), context)).reason).toBe('store_error');
    expect(issuer.asked()).toBe(1);
  });

  it('keep nobody waiting whose key is known', async () => {
    const { validate, clock } = remote({ timeout: 5_000 });
    expect(await reasonFor(validate, 'first', first)).toBe('');
    clock.seconds += 31;
    issuer.answer = () => undefined;
    const token = await flood();
    let waiting = 0;
    const strangers = Array.from({ length: 1_000 }, async (_, i) => {
      waiting++;
      const { reason } = await validate(lambdaRequest({ query: `CAT=${token(i)}` }), context);
      waiting--;
      return reason;
    });
    for (let i = 0; i < 20; i++) expect(await reasonFor(validate, 'first', first)).toBe('');
    expect([waiting, issuer.asked()]).toEqual([1_000, 2]);
    server.closeAllConnections();
    expect(new Set(await Promise.all(strangers))).toEqual(new Set(['unknown_key']));
  });
});

describe('what is asked of an issuer', () => {
  it('is its one address, whatever stands in a kid', async () => {
    const asked: string[] = [];
    const { validate, clock } = remote();
    issuer.answer = (request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.host} ${request.rawHeaders.length}`);
      published(jwkOf(first, 'first'))(request, response);
    };
    await reasonFor(validate, 'first', first);
    const kids = [
      '../../admin',
      '/jwks.json?kid=x',
      'https://evil.example/jwks.json',
      '//evil.example',
      '@evil.example',
      '%2e%2e%2fadmin',
      'x\r\nHost: evil.example',
      '#',
      '__proto__',
      'constructor',
      'k:first',
    ];
    for (const kid of kids) {
      clock.seconds += 31;
      expect([kid, await reasonFor(validate, kid, first)]).toEqual([kid, 'unknown_key']);
    }
    expect(asked.length).toBe(1 + kids.length);
    expect([...new Set(asked)]).toEqual([asked[0]]);
    expect(asked[0]).toMatch(/^GET \/jwks\.json 127\.0\.0\.1:\d+ /);
  });

  it('is nothing that a token names: jku, x5u, jwk and x5c are not looked at', async () => {
    const fetched: string[] = [];
    const stranger = pair();
    const evil = 'https://evil.example/jwks.json';
    const validate = createValidator(
      validatorConfig({ keys: [{ kind: 'url', url: issuer.url }], proof: {}, hosts: ['cdn.example'] }),
      {
        fetch: (url, init) => {
          fetched.push(url as string);
          return fetch(url, init);
        },
      },
    );
    const named: object[] = [
      { jku: evil },
      { x5u: evil },
      { jwk: jwkOf(stranger, 'first') },
      { x5c: ['MIIB'], 'x5t#S256': 'AAAA' },
      { jku: evil, x5u: evil, jwk: jwkOf(stranger, 'first'), iss: 'https://evil.example' },
    ];
    for (const header of named) {
      const by = async ({ privateKey }: Pair): Promise<string> => {
        const token = await new SignJWT({ sub: 'u' })
          .setProtectedHeader({ alg: 'ES256', kid: 'first', ...header })
          .sign(privateKey);
        return (await validate(lambdaRequest({ query: `CAT=${token}` }), context)).reason;
      };
      expect([header, await by(first), await by(stranger)]).toEqual([header, '', 'bad_signature']);
    }
    // x5chain, x5t and x5u of COSE (RFC 9360 2), in the protected header of a CAT that is signed with them.
    const cose = async ({ privateKey }: Pair): Promise<string> => {
      const written = (write: (writer: CborWriter) => void): Buffer => {
        const writer = new CborWriter(512);
        write(writer);
        return Buffer.from(writer.bytes.subarray(0, writer.end));
      };
      const header = written((writer) => {
        writer.map(4);
        for (const [label, value] of [
          [1, -7],
          [4, Buffer.from('first')],
          [33, Buffer.from('3000', 'hex')],
          [35, evil],
        ] as const) {
          writer.number(label);
          if (typeof value === 'number') writer.number(value);
          else if (typeof value === 'string') writer.text(value);
          else writer.byteString(value);
        }
      });
      const payload = encodeCatClaims({ sub: 'u' });
      const structure = written((writer) => {
        writer.array(4);
        writer.text('Signature1');
        writer.byteString(header);
        writer.byteString(new Uint8Array(0));
        writer.byteString(payload);
      });
      const token = written((writer) => {
        writer.tag(18);
        writer.array(4);
        writer.byteString(header);
        writer.map(0);
        writer.byteString(payload);
        writer.byteString(sign('sha256', structure, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
      });
      return (await validate(lambdaRequest({ query: `CAT=${token.toString('base64url')}` }), context)).reason;
    };
    expect([await cose(first), await cose(stranger)]).toEqual(['', 'bad_signature']);
    expect(new Set(fetched)).toEqual(new Set([issuer.url]));
  });

  it('is read no further than it may be long, and its connection ended', async () => {
    const { validate } = remote({ timeout: 5_000 });
    let written = 0;
    let closed = false;
    issuer.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.on('close', () => (closed = true));
      const more = (): void => {
        while (!closed) {
          written += 65_536;
          if (!response.write(' '.repeat(65_536))) break;
        }
        if (!closed) response.once('drain', more);
      };
      more();
    };
    const before = process.memoryUsage().arrayBuffers;
    expect(await reasonFor(validate, 'first', first)).toBe('store_error');
    await expect.poll(() => closed).toBe(true);
    // What the two ends of the connection hold, and not what the issuer would like to send in five seconds.
    expect(written).toBeLessThan(16 * 1024 * 1024);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });
});

describe('a key set', () => {
  const rsa = (modulusLength: number): object =>
    generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'jwk' });
  const good = jwkOf(first, 'k') as Record<string, unknown>;
  const algorithms = (
    keys: unknown[],
    rest: object = {},
    kind: 'public' | 'secret' = 'public',
  ): (string | undefined)[] => [...readKeySet({ keys }, rest, kind).values()].map(({ algorithm }) => algorithm);

  it('says by each key what it is for', () => {
    const ed = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
    expect(algorithms([good])).toEqual(['ES256']);
    expect(algorithms([{ ...good, alg: 'ES256', use: 'sig', key_ops: ['verify'] }])).toEqual(['ES256']);
    expect(algorithms([p384])).toEqual(['ES384']);
    expect(algorithms([ed])).toEqual(['EdDSA']);
    expect(algorithms([{ ...ed, alg: 'Ed25519' }])).toEqual(['EdDSA']);
    expect(algorithms([{ ...rsa(2048), alg: 'PS256' }])).toEqual(['PS256']);
    expect(algorithms([rsa(2048)], { rsa: 'RS256' })).toEqual(['RS256']);
  });

  it.each<[string, unknown]>([
    ['no object', null],
    ['a text', 'k'],
    ['an unknown kind', { kty: 'AKP', kid: 'k' }],
    [
      'a curve that is not checked here',
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' }),
    ],
    ['an X25519 key', generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })],
    ['a key for encryption', { ...good, use: 'enc' }],
    ['a key that may only sign', { ...good, key_ops: ['sign'] }],
    ['a key for another algorithm than its own', { ...good, alg: 'ES384' }],
    ['a key for HMAC by name', { ...good, alg: 'HS256' }],
    ['an RSA key that names none', rsa(2048)],
    ['a short RSA key', { ...rsa(1024), alg: 'PS256' }],
    ['a point that is not on the curve', { ...good, y: good['x'] }],
    ['a point that is cut short', { ...good, x: 'AAAA' }],
    ['a published private key', first.privateKey.export({ format: 'jwk' })],
    ['a published secret', { kty: 'oct', kid: 'k', alg: 'HS256', k: randomBytes(32).toString('base64url') }],
    ['a kid that is no text', { ...good, kid: 7 }],
  ])('leaves out %s', (_, jwk) => {
    expect(algorithms([jwk, { ...good, kid: 'other' }])).toEqual(['ES256']);
  });

  it('keeps the first of a kid', () => {
    const keys = readKeySet({ keys: [good, { ...jwkOf(second, 'k') }] }, {}, 'public');
    expect(keys.get('k')?.key.export({ format: 'jwk' })).toMatchObject({ x: good['x'] });
  });

  it('of secrets holds no public keys, and none that are too short for their algorithm', () => {
    const oct = (bytes: number, alg?: string): object => ({
      kty: 'oct',
      alg,
      k: randomBytes(bytes).toString('base64url'),
    });
    const secrets = (...keys: object[]): (string | undefined)[] => algorithms(keys, {}, 'secret');
    expect(secrets(good)).toEqual([]);
    expect(secrets(oct(31, 'HS256'))).toEqual([]);
    expect(secrets(oct(32))).toEqual([]);
    expect(secrets(oct(16, 'A256GCM'))).toEqual([]);
    expect(secrets({ ...oct(32, 'HS256'), k: '!!' })).toEqual([]);
    expect(
      secrets(
        { ...oct(32, 'HS256'), kid: 'a' },
        { ...oct(16, 'A128GCM'), kid: 'b' },
        { ...oct(32, 'A256GCM'), kid: 'c' },
      ),
    ).toEqual(['HS256', 'A128GCM', 'A256GCM']);
  });

  it.each([
    'http://issuer.example/jwks.json',
    'http://127.0.0.1.issuer.example/jwks.json',
    'http://localhost.issuer.example/',
    'https://user:secret@issuer.example/',
    'file:///etc/passwd',
    'data:application/json,{}',
    'jwks.json',
  ])('is not fetched from %s', (url) => {
    expect(() => createKeyRing([{ kind: 'url', url }], {})).toThrow(TypeError);
  });

  it('may be fetched from https, or plainly from loopback', () => {
    for (const url of [
      'https://issuer.example/jwks.json',
      'http://localhost:1/',
      'http://[::1]:1/',
      'http://127.1.2.3:1/',
    ])
      expect(() => createKeyRing([{ kind: 'url', url }], {})).not.toThrow();
  });

  it('that is a secret needs a reader', () => {
    expect(() => createKeyRing([{ kind: 'secret', secret: 's', region: 'us-east-1' }], {})).toThrow('cannot be read');
  });
});
