import { Algorithms, Headers, Mac0, MacAlgorithms, ProtectedHeaders, Sign1 } from '@auth0/cose';
import { CAT } from '@eyevinn/cat';
import { Decoder } from 'cbor-x';
import { createSigner as createFastSigner, createVerifier as createFastVerifier } from 'fast-jwt';
import { jwtVerify, SignJWT } from 'jose';
import { createSecretKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  createSigner,
  decode,
  signCat,
  signJwt,
  verify,
  type Claims,
  type Policy,
  type SigningKey,
  type VerificationKey,
} from '@portcullis/tokens';
import { encodeCbor, type CborValue } from '@portcullis/tokens/cbor/encode';
import { encodeCatClaims } from '@portcullis/tokens/claims';

const secret = new Uint8Array(randomBytes(32));
const pairs: Record<string, { privateKey: KeyObject; publicKey: KeyObject }> = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const pair = (alg: string): { privateKey: KeyObject; publicKey: KeyObject } =>
  pairs[alg] as { privateKey: KeyObject; publicKey: KeyObject };

function keysFor(alg: string): {
  sign: SigningKey;
  verify: VerificationKey;
  theirs: KeyObject;
  theirPrivate: KeyObject;
} {
  if (alg === 'HS256')
    return {
      sign: { alg, kid: 'k1', secret },
      verify: { alg, kid: 'k1', secret },
      theirs: createSecretKey(secret),
      theirPrivate: createSecretKey(secret),
    };
  const { privateKey, publicKey } = pair(alg);
  return {
    sign: { alg, kid: 'k1', privateKey } as SigningKey,
    verify: { alg, kid: 'k1', publicKey } as VerificationKey,
    theirs: publicKey,
    theirPrivate: privateKey,
  };
}

const policy: Policy = { paths: '/live/ch1/', methods: ['GET'], countries: ['GB'], expiresIn: '2h', subject: 'u-1' };
const request = { url: 'https://cdn.example/live/ch1/a.ts', headers: { 'CloudFront-Viewer-Country': 'GB' } };

describe.each(['HS256', 'ES256', 'PS256', 'RS256', 'EdDSA'])('JWT %s', (alg) => {
  const keys = keysFor(alg);

  it('of ours verifies with jose and fast-jwt, and with us', async () => {
    const { token, session } = await createSigner({
      issuer: 'cms',
      format: 'jwt',
      key: keys.sign as SigningKey<'HS256'>,
    }).sign(policy);
    const { payload, protectedHeader } = await jwtVerify(token, keys.theirs, { issuer: 'cms' });
    expect(protectedHeader).toEqual({ alg, kid: 'k1' });
    expect(payload).toMatchObject({ sid: session, catu: { path: { prefix: '/live/ch1/' } } });
    const key = alg === 'HS256' ? Buffer.from(secret) : (keys.theirs.export({ format: 'pem', type: 'spki' }) as string);
    expect(createFastVerifier({ key, algorithms: [alg as 'HS256'] })(token)).toMatchObject({ sub: 'u-1' });
    expect((await verify(token, { keys: [keys.verify], request })).session).toBe(session);
  });

  it('of theirs verifies with us', async () => {
    const claims = { iss: 'cms', exp: Math.floor(Date.now() / 1000) + 60, catu: { path: { prefix: '/live/' } } };
    const made = await new SignJWT(claims).setProtectedHeader({ alg, kid: 'k1', typ: 'JWT' }).sign(keys.theirPrivate);
    expect((await verify(made, { keys: [keys.verify], request })).issuer).toBe('cms');
    const key =
      alg === 'HS256' ? Buffer.from(secret) : (keys.theirPrivate.export({ format: 'pem', type: 'pkcs8' }) as string);
    const fast = createFastSigner({ key, algorithm: alg as 'HS256', kid: 'k1' })(claims) as string;
    expect((await verify(fast, { keys: [keys.verify], request })).issuer).toBe('cms');
  });

  it('is refused when a byte of it, or the key, is another', async () => {
    const { token } = await createSigner({ issuer: 'cms', format: 'jwt', key: keys.sign as SigningKey<'HS256'> }).sign(
      policy,
    );
    const [head, body, mac] = token.split('.') as [string, string, string];
    const changed = Buffer.from(body, 'base64url').toString().replace('u-1', 'u-2');
    for (const wrong of [
      `${head}.${Buffer.from(changed).toString('base64url')}.${mac}`,
      `${head}.${body}.${mac.slice(0, -8)}AAAAAAAA`,
      `${head}.${body}.`,
      `${head}.${body}.${mac.slice(0, -4)}`,
    ]) {
      await expect(verify(wrong, { keys: [keys.verify], request })).rejects.toMatchObject({
        code: expect.stringMatching(/bad_signature|malformed_token/) as string,
      });
    }
  });
});

describe.each(['HS256', 'ES256', 'PS256'])('CAT %s', (alg) => {
  const keys = keysFor(alg);
  const coseAlgorithm = { ES256: Algorithms.ES256, PS256: Algorithms.PS256 }[alg as 'ES256'];
  const kid = new TextEncoder().encode('k1');

  it('of ours verifies with @auth0/cose, and with us', async () => {
    const { token } = await createSigner({ issuer: 'cms', key: keys.sign as SigningKey<'HS256'> }).sign(policy);
    const bytes = Buffer.from(token, 'base64url');
    if (alg === 'HS256') await Mac0.decode(bytes.subarray(1)).verify(keys.theirs as never);
    else await Sign1.decode(bytes.subarray(1)).verify(keys.theirs as never);
    expect((await verify(token, { keys: [keys.verify], request })).subject).toBe('u-1');
  });

  it('of theirs verifies with us, kid and algorithm in either header', async () => {
    const payload = encodeCatClaims({
      iss: 'cms',
      exp: Math.floor(Date.now() / 1000) + 60,
      catu: { path: { prefix: '/live/' } },
    });
    const message =
      alg === 'HS256'
        ? await Mac0.create(
            [[Headers.Algorithm, MacAlgorithms.HS256]],
            [[Headers.KeyID, kid]],
            payload,
            keys.theirs as never,
          )
        : await Sign1.sign(
            ProtectedHeaders.from([[Headers.Algorithm, coseAlgorithm]]),
            [[Headers.KeyID, kid]],
            payload,
            keys.theirPrivate as never,
          );
    const encoded = Buffer.from(message.encode());
    const tagged = encoded[0] === 0x84 ? Buffer.concat([Buffer.of(alg === 'HS256' ? 0xd1 : 0xd2), encoded]) : encoded;
    expect((await verify(tagged.toString('base64url'), { keys: [keys.verify], request })).issuer).toBe('cms');
  });
});

describe('@eyevinn/cat', () => {
  const theirs = new CAT({ keys: { k1: Buffer.from(secret) } });

  it('accepts ours', async () => {
    const { token } = await createSigner({ issuer: 'cms', key: { alg: 'HS256', kid: 'k1', secret } }).sign({
      paths: '/live/ch1/',
      methods: ['GET'],
      expiresIn: '2h',
    });
    const { cat, error } = await theirs.validate(token, 'mac', { issuer: 'cms', url: new URL(request.url) });
    expect(error).toBeUndefined();
    expect(cat?.claims).toMatchObject({ iss: 'cms' });
  });

  it('makes tokens that we accept', async () => {
    // Without the CWT tag it writes its payload as hexadecimal text, which no recipient can read.
    const token = await new CAT({ keys: { k1: Buffer.from(secret) }, expectCwtTag: true }).generateFromJson(
      { iss: 'cms', exp: Math.floor(Date.now() / 1000) + 60, catu: { path: { 'prefix-match': '/live/' } } },
      { type: 'mac', alg: 'HS256', kid: 'k1', generateCwtId: true },
    );
    const { tokenId } = await verify(token as string, { keys: [{ alg: 'HS256', kid: 'k1', secret }], request });
    expect(tokenId).toHaveLength(22);
  });
});

const vectorFile = fileURLToPath(new URL('../../../shared/vectors/cta-5007-b-annex.json', import.meta.url));
if (!existsSync(vectorFile)) console.warn('Skipped: the tokens of CTA-5007-B annex A are not in ../shared/vectors.');

describe.skipIf(!existsSync(vectorFile))('the tokens of CTA-5007-B annex A', () => {
  const { tokens, claims } = JSON.parse(
    existsSync(vectorFile) ? readFileSync(vectorFile, 'utf8') : '{"tokens":[]}',
  ) as {
    claims: Claims;
    tokens: { alg: string; token: string; key: { kid: string; base64?: string; pem?: string } }[];
  };
  it.each(tokens)('verify: $alg', async ({ alg, token, key }) => {
    const ours = key.base64
      ? ({ alg: 'HS256', secret: Buffer.from(key.base64, 'base64') } as const)
      : ({ alg: 'PS256', publicKey: key.pem as string } as const);
    expect(decode(token).alg).toBe(alg);
    const options = { keys: [ours], request: { url: 'https://h/b04c80bf74ff02b4/x' }, clock: () => 1_600_000_000_000 };
    expect((await verify(token, options)).claims).toEqual(claims);
  });

  it('is what we make from the same claims and key, byte for byte', async () => {
    const hmac = tokens.find(({ alg }) => alg === 'HS256');
    const made = await signCat(claims, { alg: 'HS256', secret: Buffer.from(hmac?.key.base64 as string, 'base64') });
    expect(made).toBe(hmac?.token.replace(/=+$/, ''));
  });
});

describe('deterministic CBOR', () => {
  it.each<[CborValue, string]>([
    [0, '00'],
    [23, '17'],
    [24, '1818'],
    [255, '18ff'],
    [256, '190100'],
    [65536, '1a00010000'],
    [4294967296, '1b0000000100000000'],
    [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'],
    [18446744073709551615n, '1bffffffffffffffff'],
    [-18446744073709551616n, '3bffffffffffffffff'],
    [-1, '20'],
    [-65537, '3a00010000'],
    [1.5, 'f93e00'],
    [5.960464477539063e-8, 'f90001'],
    [0.00006103515625, 'f90400'],
    [100000.5, 'fa47c35040'],
    [3.4028234663852886e38, 'fa7f7fffff'],
    [1.1, 'fb3ff199999999999a'],
    [1e300, 'fb7e37e43c8800759c'],
    [Infinity, 'f97c00'],
    [2 ** 60, '1b1000000000000000'],
    ['ü', '62c3bc'],
    ['x'.repeat(60), `783c${'78'.repeat(60)}`],
  ])('%s is %s (RFC 8949 appendix A, 4.2.1)', (value, hex) => {
    expect(Buffer.from(encodeCbor(value)).toString('hex')).toBe(hex);
  });

  it('sorts keys by their bytes, or keeps the order that it is given', () => {
    const map = new Map<CborValue, CborValue>([
      ['b', 1],
      [10, 2],
      [-1, 3],
      ['aa', 4],
      [100, 5],
    ]);
    expect(Buffer.from(encodeCbor(map)).toString('hex')).toBe('a50a02186405200361620162616104');
    expect(Buffer.from(encodeCbor(map, { mapOrder: 'insertion' })).toString('hex')).toBe(
      'a56162010a02200362616104186405',
    );
  });

  it.each<unknown>([
    NaN,
    -0,
    undefined,
    () => 1,
    '\ud800',
    { a: undefined },
    2n ** 64n,
    new Map<CborValue, CborValue>([
      [1, 1],
      [1n, 2],
    ]),
  ])('refuses %s', (value) => {
    expect(() => encodeCbor(value as CborValue)).toThrow();
  });

  it('is what cbor-x reads back', () => {
    const decoder = new Decoder({ mapsAsObjects: false });
    const value = new Map<CborValue, CborValue>([
      [1, 'a'],
      [2, [1.5, -7, true, null, new Uint8Array([1, 2])]],
      ['x', new Map([[3, 4]])],
    ]);
    expect(decoder.decode(encodeCbor(value))).toEqual(
      new Map<unknown, unknown>([
        [1, 'a'],
        [2, [1.5, -7, true, null, new Uint8Array([1, 2])]],
        ['x', new Map([[3, 4]])],
      ]),
    );
  });
});

describe('algorithm confusion', () => {
  const publicPem = pair('RS256').publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const key: VerificationKey = { alg: 'RS256', kid: 'k1', publicKey: publicPem };

  it('refuses a MAC made with the public key as its secret', async () => {
    const forged = await signJwt(
      { iss: 'cms' },
      { alg: 'HS256', kid: 'k1', secret: new TextEncoder().encode(publicPem) },
    );
    await expect(verify(forged, { keys: [key], request })).rejects.toMatchObject({ code: 'unsupported_algorithm' });
    const cat = await signCat({ iss: 'cms' }, { alg: 'HS256', kid: 'k1', secret: new TextEncoder().encode(publicPem) });
    await expect(verify(cat, { keys: [key], request })).rejects.toMatchObject({ code: 'unsupported_algorithm' });
  });

  it('refuses "none", other hashes, and a kid that is not ours', async () => {
    const body = Buffer.from('{"iss":"cms"}').toString('base64url');
    for (const alg of ['none', 'None', 'HS384', 'HS512', 'RS512', 'ES256K', 'dir', '']) {
      const head = Buffer.from(JSON.stringify({ alg, kid: 'k1' })).toString('base64url');
      await expect(verify(`${head}.${body}.AAAA`, { keys: [key], request })).rejects.toMatchObject({
        code: expect.stringMatching(/unsupported_algorithm|malformed_token/) as string,
      });
    }
    const other = await signJwt({ iss: 'cms' }, { alg: 'HS256', kid: 'k2', secret });
    await expect(verify(other, { keys: [key], request })).rejects.toMatchObject({ code: 'unknown_key' });
  });
});
