import { createCipheriv, generateKeyPairSync, randomBytes } from 'node:crypto';
import { CompactEncrypt } from 'jose';
import { describe, expect, it } from 'vitest';
import { createSigner, encryptToken, PolicyError, signCat, signJwt } from '@portcullis/tokens';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import type { Claims } from '@portcullis/tokens/claims';
import { distance } from '@portcullis/tokens/core/distance';
import { context, lambdaRequest, validatorConfig } from '../test/edge/requests.js';
import { isEncrypted } from './decryption.js';
import { answerOf, createValidator, type EdgeVerdict } from './validator.js';

const now = 1_800_000_000;
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signingKey = { alg: 'ES256', kid: 'issuer', privateKey: issuer.privateKey } as const;
const long = { kid: 'enc-256', secret: randomBytes(32) };
const short = { kid: 'enc-128', secret: randomBytes(16) };
const mac = { kid: 'mac', secret: randomBytes(32) };
const oct = ({ kid, secret }: typeof long, alg: string): object => ({
  kty: 'oct',
  kid,
  alg,
  k: secret.toString('base64url'),
});
const secrets = { keys: [oct(long, 'A256GCM'), oct(short, 'A128GCM'), oct(mac, 'HS256')] };

const validate = createValidator(
  validatorConfig({
    keys: [
      { kind: 'jwks', jwks: { keys: [{ ...issuer.publicKey.export({ format: 'jwk' }), kid: 'issuer' }] } },
      { kind: 'secret', secret: 'keys', region: 'us-east-1', retryAfter: 0 },
    ],
  }),
  { now: () => now * 1000, readSecret: () => Promise.resolve(JSON.stringify(secrets)) },
);
const london = { 'CloudFront-Viewer-Latitude': '51.50740', 'CloudFront-Viewer-Longitude': '-0.12780' };

async function ask(token: string, headers: Record<string, string> = london): Promise<EdgeVerdict> {
  return validate(lambdaRequest({ query: `CAT=${token}`, headers }), context);
}
const reasonFor = async (token: string, headers?: Record<string, string>): Promise<string> =>
  (await ask(token, headers)).reason;

const sign = {
  cat: (claims: Claims) => signCat(claims, signingKey),
  jwt: (claims: Claims) => signJwt(claims, signingKey),
};

describe.each(['cat', 'jwt'] as const)('an encrypted %s', (format) => {
  it.each([
    ['A256GCM', long],
    ['A128GCM', short],
  ])('is opened with %s, wherever it stands', async (_, key) => {
    const token = await encryptToken(await sign[format]({ exp: now + 60 }), key);
    expect(isEncrypted(token)).toBe(true);
    const verdict = await ask(token);
    expect([verdict.reason, verdict.encrypted, verdict.key?.kid]).toEqual(['', true, 'issuer']);
    const inPath = await validate(lambdaRequest({ uri: `/${token}/live/a.ts` }), context);
    expect([inPath.reason, inPath.cleanPath]).toEqual(['', '/live/a.ts']);
    const inCookie = await validate(lambdaRequest({ headers: { Cookie: `CAT=${token}` } }), context);
    expect(inCookie.reason).toBe('');
  });

  it('may say what must not be said in the clear', async () => {
    const exact: Claims[] = [
      { catnip: ['203.0.113.9'] },
      { catnip: ['203.0.113.8/31'] },
      { geohash: 'gcpvj0d' },
      { catgeocoord: [[51.5, -0.13, 2000]] },
    ];
    for (const claims of exact) {
      const signed = await sign[format](claims);
      expect([claims, await reasonFor(signed)]).toEqual([claims, 'invalid_claim']);
      expect([claims, await reasonFor(await encryptToken(signed, long))]).toEqual([claims, '']);
    }
  });

  it('holds those claims against the viewer', async () => {
    const refused: [Claims, string][] = [
      [{ catnip: ['203.0.113.10'] }, 'network_mismatch'],
      [{ geohash: 'gcpvj0e' }, 'geo_mismatch'],
      [{ catgeocoord: [[51.5, -0.13, 800]] }, 'geo_mismatch'],
      [{ catgeoalt: [35, 10] }, 'geo_mismatch'],
      [{ catgeocoord: [[91, 0, 10]] }, 'invalid_claim'],
      [{ catgeocoord: [[0, 181, 10]] }, 'invalid_claim'],
      [{ catgeocoord: [[0, 0, -1]] }, 'invalid_claim'],
      [{ catgeocoord: [[51.5, -0.13]] }, 'invalid_claim'],
      [{ catgeocoord: [] }, 'invalid_claim'],
      [{ catgeocoord: [51.5, -0.13, 2000] }, 'invalid_claim'],
      [{ catgeocoord: [[51.5, -0.13, 2000], [0]] }, 'invalid_claim'],
      [{ catgeoalt: [35] }, 'invalid_claim'],
      [{ catgeoalt: [35, -1] }, 'invalid_claim'],
    ];
    for (const [claims, reason] of refused)
      expect([claims, await reasonFor(await encryptToken(await sign[format](claims), long))]).toEqual([claims, reason]);
    // One circle of several is enough.
    const several: Claims = {
      catgeocoord: [
        [0, 0, 1],
        [51.5, -0.13, 2000],
      ],
    };
    expect(await reasonFor(await encryptToken(await sign[format](several), long))).toBe('');
    // A viewer whose place is not known is in none.
    const near = await encryptToken(await sign[format]({ catgeocoord: [[0, 0, 1e8]] }), long);
    expect(await reasonFor(near)).toBe('');
    expect(await reasonFor(near, {})).toBe('geo_mismatch');
    expect(await reasonFor(near, { 'CloudFront-Viewer-Latitude': 'x', 'CloudFront-Viewer-Longitude': '0' })).toBe(
      'geo_mismatch',
    );
  });

  it('is not taken on the word of who encrypted it', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const forged =
      format === 'cat' ? signCat({}, { ...signingKey, privateKey }) : signJwt({}, { ...signingKey, privateKey });
    expect(await reasonFor(await encryptToken(await forged, long))).toBe('bad_signature');
  });

  it('is refused for whatever was changed on the way', async () => {
    const token = await encryptToken(await sign[format]({ exp: now + 60 }), long);
    const bytes = Buffer.from(token, 'base64url');
    const changed = new Set<string>();
    const step = format === 'cat' ? 1 : 7;
    for (let i = 0; i < token.length; i += step) {
      let other: string;
      if (format === 'cat') {
        if (i >= bytes.length) break;
        const copy = Buffer.from(bytes);
        copy.writeUInt8(copy.readUInt8(i) ^ 1, i);
        other = copy.toString('base64url');
      } else {
        if (token[i] === '.') continue;
        other = `${token.slice(0, i)}${token[i] === 'B' ? 'C' : 'B'}${token.slice(i + 1)}`;
      }
      const { reason, encrypted } = await ask(other);
      expect([i, reason === '']).toEqual([i, false]);
      if (encrypted) expect([i, reason]).toEqual([i, 'nothing opened']);
      changed.add(reason);
    }
    expect(changed).toContain('bad_signature');
  });

  it('is refused under a kid that is not there, or is for something else', async () => {
    const signed = await sign[format]({});
    expect(await reasonFor(await encryptToken(signed, { ...long, kid: 'nobody' }))).toBe('unknown_key');
    expect(await reasonFor(await encryptToken(signed, { ...long, kid: 'mac' }))).toBe('unknown_key');
    expect(await reasonFor(await encryptToken(signed, { ...long, kid: 'issuer' }))).toBe('unknown_key');
    expect(await reasonFor(await encryptToken(signed, { ...long, kid: 'enc-128' }))).toBe('unsupported_algorithm');
    expect(await reasonFor(await encryptToken(signed, { ...long, secret: randomBytes(32) }))).toBe('bad_signature');
    // Who may encrypt may not sign with the same secret.
    expect(await reasonFor(await signCat({}, { alg: 'HS256', kid: 'enc-256', secret: long.secret }))).toBe(
      'unknown_key',
    );
  });

  it('is 503 while the keys cannot be read', async () => {
    const fresh = createValidator(
      validatorConfig({ keys: [{ kind: 'secret', secret: 'keys', region: 'us-east-1' }] }),
      { readSecret: () => Promise.reject(new Error('throttled')) },
    );
    const token = await encryptToken(await sign[format]({}), long);
    const verdict = await fresh(lambdaRequest({ query: `CAT=${token}` }), context);
    expect([verdict.reason, answerOf(verdict)?.status]).toEqual(['store_error', '503']);
  });

  it('is made by a signer, too', async () => {
    const options = { issuer: 'cms', clock: () => now * 1000, encryption: long, format } as const;
    const signer = createSigner({ ...options, key: signingKey } as Parameters<typeof createSigner>[0]);
    const { url, warnings } = await signer.signPlaybackUrl('https://cdn.example/live/ch1/main.m3u8', {
      expiresIn: '10m',
      networks: { viewer: '203.0.113.9' },
      geohash: 'gcpvj0d',
      claims: { catgeocoord: [[51.5, -0.13, 2000]] },
    });
    const path = new URL(url).pathname;
    const asked = (ip: string) => validate(lambdaRequest({ uri: path, headers: london, ip }), context);
    expect((await asked('203.0.113.9')).reason).toBe('');
    expect((await asked('203.0.113.10')).reason).toBe('network_mismatch');
    expect(warnings).toEqual([]);
  });
});

describe('what is no encrypted token', () => {
  it('is not opened', async () => {
    const jwt = await sign.jwt({});
    const jwe = async (header: object, plain = jwt, key = long.secret): Promise<string> =>
      new CompactEncrypt(Buffer.from(plain))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: 'enc-256', cty: 'JWT', ...header })
        .encrypt(key);
    expect(await reasonFor(await jwe({}))).toBe('');
    expect(await reasonFor(await jwe({ cty: 'application/jwt' }))).toBe('');
    expect(await reasonFor(await jwe({ cty: undefined }))).toBe('malformed_token');
    expect(await reasonFor(await jwe({ cty: 'json' }))).toBe('malformed_token');
    expect(await reasonFor(await jwe({ kid: undefined }))).toBe('unknown_key');
    // A claim set that nobody signed, a CAT in a JWE, one encryption in another.
    expect(await reasonFor(await jwe({}, JSON.stringify({ exp: now + 60 })))).toBe('malformed_token');
    expect(await reasonFor(await jwe({}, await sign.cat({})))).toBe('malformed_token');
    expect(await reasonFor(await jwe({}, await jwe({})))).toBe('malformed_token');
    const wrapped = await new CompactEncrypt(Buffer.from(jwt))
      .setProtectedHeader({ alg: 'A256KW', enc: 'A256GCM', kid: 'enc-256', cty: 'JWT' })
      .encrypt(long.secret);
    expect(await reasonFor(wrapped)).toBe('unsupported_algorithm');
    const cbc = await jwe({ enc: 'A128CBC-HS256' }, jwt, long.secret);
    expect(await reasonFor(cbc)).toBe('malformed_token');
    const parts = (await jwe({})).split('.') as [string, string, string, string, string];
    expect(await reasonFor([parts[0], 'AAAA', ...parts.slice(2)].join('.'))).toBe('malformed_token');
    // A tag that is cut short can be guessed.
    for (const length of [0, 4, 8, 12, 15])
      expect(
        await reasonFor(
          [...parts.slice(0, 4), Buffer.from(parts[4], 'base64url').subarray(0, length).toString('base64url')].join(
            '.',
          ),
        ),
      ).toBe('malformed_token');
    for (const header of [{ zip: 'DEF' }, { crit: ['x'], x: 1 }]) {
      const head = Buffer.from(
        JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: 'enc-256', cty: 'JWT', ...header }),
      ).toString('base64url');
      expect(await reasonFor([head, ...parts.slice(1)].join('.'))).toBe('malformed_token');
    }
  });

  /** COSE_Encrypt0 by hand. */
  function encrypt0(
    plain: Buffer,
    change: { crit?: true; partial?: true; nonce?: number; tag?: number; alg?: number; untagged?: true } = {},
  ): string {
    const header = new CborWriter(64);
    header.map(change.crit ? 3 : 2);
    header.number(1);
    header.number(change.alg ?? 3);
    header.number(4);
    header.byteString(Buffer.from('enc-256'));
    if (change.crit) {
      header.number(2);
      header.array(1);
      header.number(99);
    }
    const protectedHeader = header.bytes.slice(0, header.end);
    const structure = new CborWriter(64);
    structure.array(3);
    structure.text('Encrypt0');
    structure.byteString(protectedHeader);
    structure.byteString(new Uint8Array(0));
    const nonce = randomBytes(change.nonce ?? 12);
    const cipher = createCipheriv('aes-256-gcm', long.secret, nonce);
    cipher.setAAD(structure.bytes.slice(0, structure.end));
    const sealed = Buffer.concat([
      cipher.update(plain),
      cipher.final(),
      cipher.getAuthTag().subarray(0, change.tag ?? 16),
    ]);
    const message = new CborWriter(1024);
    if (!change.untagged) message.tag(16);
    message.array(3);
    message.byteString(protectedHeader);
    message.map(1);
    message.number(change.partial ? 6 : 5);
    message.byteString(nonce);
    message.byteString(sealed);
    return Buffer.from(message.bytes.subarray(0, message.end)).toString('base64url');
  }

  it('in COSE is neither', async () => {
    const cat = Buffer.from(await sign.cat({}), 'base64url');
    expect(await reasonFor(encrypt0(cat))).toBe('');
    expect(await reasonFor(encrypt0(cat, { crit: true }))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(cat, { partial: true }))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(cat, { nonce: 13 }))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(cat, { nonce: 8 }))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(cat, { tag: 4 }))).toBe('bad_signature');
    // AES-CCM, and A128GCM with a key for A256GCM.
    expect(await reasonFor(encrypt0(cat, { alg: 30 }))).toBe('unsupported_algorithm');
    expect(await reasonFor(encrypt0(cat, { alg: 1 }))).toBe('unsupported_algorithm');
    expect(await reasonFor(encrypt0(cat, { untagged: true }))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(Buffer.from('a0', 'hex')))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(Buffer.from(encrypt0(cat), 'base64url')))).toBe('malformed_token');
    expect(await reasonFor(encrypt0(Buffer.from(await sign.jwt({}))))).toBe('malformed_token');
  });

  it('is made neither of what is no token, nor with what is no key', async () => {
    await expect(encryptToken('no token!', long)).rejects.toThrow(PolicyError);
    await expect(encryptToken(await sign.cat({}), { kid: 'k', secret: randomBytes(24) })).rejects.toThrow('32 bytes');
    await expect(encryptToken(await sign.cat({ sub: 'x'.repeat(2950) }), long)).rejects.toThrow('4096');
  });

  it('may not say in the clear what must be encrypted', async () => {
    const signer = createSigner({ issuer: 'cms', key: signingKey });
    const policy = { expiresIn: '10m', paths: '/live/' } as const;
    await expect(signer.sign({ ...policy, claims: { catgeocoord: [[1, 2, 3]] } })).rejects.toThrow('encryption');
    await expect(signer.sign({ ...policy, geohash: 'gcpvj' })).rejects.toThrow(PolicyError);
  });
});

describe('distance', () => {
  it.each([
    ['nowhere', 51.5, -0.1, 51.5, -0.1, 0],
    ['a degree of latitude', 0, 0, 1, 0, 111_195],
    ['a degree of longitude at 60°', 60, 10, 60, 11, 55_597],
    ['over the date line', 0, 179.5, 0, -179.5, 111_195],
    ['pole to pole', 90, 0, -90, 123, 20_015_115],
    ['London to Paris', 51.5074, -0.1278, 48.8566, 2.3522, 343_557],
  ])('%s', (_, latitude, longitude, toLatitude, toLongitude, metres) => {
    expect(Math.abs(distance(latitude, longitude, toLatitude, toLongitude) - metres)).toBeLessThan(metres / 1000 + 1);
  });
});
