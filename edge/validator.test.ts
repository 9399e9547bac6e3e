import { createHmac, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SignJWT, type JWTPayload } from 'jose';
import type { Claims } from '@portcullis/tokens/claims';
import { URI } from '@portcullis/tokens/core/placement';
import { signCat, signJwt } from '@portcullis/tokens/sign';
import { context, lambdaRequest, validatorConfig } from '../test/edge/requests.js';
import { answerOf, createValidator, isAdmitted, requestOf, tokenOf } from './validator.js';

const now = 1_800_000_000;
const claims: Claims = {
  iss: 'cms',
  exp: now + 600,
  catu: { path: { prefix: '/live/ch1/' } },
  jti: 'AAECAwQFBgcICQoLDA0ODw',
};
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync('ed25519'),
};
type PublicAlgorithm = keyof typeof pairs;
const secret = randomBytes(32);
const jwks = {
  keys: Object.entries(pairs).map(([alg, { publicKey }]) => ({
    ...publicKey.export({ format: 'jwk' }),
    kid: alg,
    alg,
  })),
};
const sources = [
  { kind: 'jwks', jwks } as const,
  { kind: 'secret', secret: 'portcullis/hmac', region: 'us-east-1' } as const,
];
const ports = {
  now: () => now * 1000,
  readSecret: () =>
    Promise.resolve(
      JSON.stringify({ keys: [{ kty: 'oct', kid: 'HS256', alg: 'HS256', k: secret.toString('base64url') }] }),
    ),
};
const validate = createValidator(validatorConfig({ keys: sources }), ports);
const keyOf = (alg: PublicAlgorithm): KeyObject => pairs[alg].privateKey;

async function jwt(
  alg: string,
  key: KeyObject | Uint8Array,
  header: object = {},
  body: Claims = claims,
): Promise<string> {
  return new SignJWT(body as JWTPayload).setProtectedHeader({ alg, kid: alg, ...header }).sign(key);
}

describe('the algorithms of Lambda@Edge', () => {
  it.each(['ES256', 'PS256', 'HS256'] as const)('admits a CAT signed with %s', async (alg) => {
    const key = alg === 'HS256' ? { alg, kid: alg, secret } : { alg, kid: alg, privateKey: keyOf(alg) };
    const token = await signCat(claims, key as Parameters<typeof signCat>[1]);
    const verdict = await validate(lambdaRequest({ uri: `/${token}/live/ch1/main.m3u8` }), context);
    expect([verdict.reason, verdict.key?.kid, verdict.cleanPath]).toEqual(['', alg, '/live/ch1/main.m3u8']);
    expect(tokenOf(verdict)?.claims).toEqual(claims);
    expect(answerOf(verdict)).toBeUndefined();
    expect(requestOf(verdict).uri).toBe('/live/ch1/main.m3u8');
  });

  it.each(['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'HS256'] as const)(
    'admits a JWT signed with %s',
    async (alg) => {
      const token = await jwt(alg, alg === 'HS256' ? secret : keyOf(alg));
      const verdict = await validate(lambdaRequest({ headers: { 'CTA-Common-Access-Token': token } }), context);
      expect([verdict.reason, verdict.key?.algorithm]).toEqual(['', alg]);
    },
  );

  it('refuses what was changed after signing', async () => {
    for (const alg of Object.keys(pairs) as PublicAlgorithm[]) {
      const [head, , signature] = (await jwt(alg, keyOf(alg))).split('.') as [string, string, string];
      const body = Buffer.from(JSON.stringify({ ...claims, exp: now + 60_000 })).toString('base64url');
      const verdict = await validate(lambdaRequest({ query: `CAT=${head}.${body}.${signature}` }), context);
      expect([alg, verdict.reason]).toEqual([alg, 'bad_signature']);
    }
  });

  it.each(['ES256', 'PS256', 'RS256', 'EdDSA'] as const)(
    'takes no HMAC made with the published %s key, in any of its spellings',
    async (alg) => {
      const { publicKey } = pairs[alg];
      const spellings = [
        publicKey.export({ format: 'pem', type: 'spki' }),
        publicKey.export({ format: 'der', type: 'spki' }),
        JSON.stringify(publicKey.export({ format: 'jwk' })),
      ];
      for (const spelling of spellings) {
        const body = [{ alg: 'HS256', kid: alg }, claims]
          .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
          .join('.');
        const mac = createHmac('sha256', spelling).update(body).digest('base64url');
        const verdict = await validate(lambdaRequest({ query: `CAT=${body}.${mac}` }), context);
        expect(verdict.reason).toBe('unsupported_algorithm');
      }
      const cat = await signCat(claims, { alg: 'HS256', kid: alg, secret: Buffer.from(spellings[1] as Buffer) });
      expect((await validate(lambdaRequest({ query: `CAT=${cat}` }), context)).reason).toBe('unsupported_algorithm');
    },
  );

  it('takes no signature of one algorithm for a key of another', async () => {
    for (const alg of Object.keys(pairs) as PublicAlgorithm[])
      for (const other of Object.keys(pairs) as PublicAlgorithm[]) {
        if (other === alg) continue;
        const token = await jwt(alg, keyOf(alg), { kid: other });
        const { reason } = await validate(lambdaRequest({ query: `CAT=${token}` }), context);
        expect([alg, other, reason]).toEqual([alg, other, 'unsupported_algorithm']);
      }
    // The same RSA key for the other padding.
    const token = await jwt('RS256', keyOf('PS256'), { kid: 'PS256' });
    expect((await validate(lambdaRequest({ query: `CAT=${token}` }), context)).reason).toBe('unsupported_algorithm');
  });

  it('takes no unsigned token', async () => {
    for (const alg of ['none', 'None', '', undefined]) {
      const body = [{ alg, kid: 'ES256' }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      for (const signature of ['', 'AAAA']) {
        const { reason } = await validate(lambdaRequest({ query: `CAT=${body}.${signature}` }), context);
        expect(reason).toBe('unsupported_algorithm');
      }
    }
  });

  it('takes no COSE_Sign1 for a secret, nor one that leaves the algorithm to it', async () => {
    const token = Buffer.from(
      await signCat(claims, { alg: 'ES256', kid: 'HS256', privateKey: keyOf('ES256') }),
      'base64url',
    );
    // The protected header {1: -7, 4: 'HS256'} and the same without its algorithm.
    expect(token.subarray(2, 13).toString('latin1')).toBe('\x4a\xa2\x01\x26\x04\x45HS256');
    const unnamed = Buffer.concat([
      token.subarray(0, 2),
      Buffer.from('\x48\xa1\x04\x45HS256', 'latin1'),
      token.subarray(13),
    ]);
    for (const bytes of [token, unnamed]) {
      const { reason } = await validate(lambdaRequest({ query: `CAT=${bytes.toString('base64url')}` }), context);
      expect(reason).toBe('unsupported_algorithm');
    }
  });
});

describe('a token', () => {
  it('has one spelling: bits that no decoder looks at are zero', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = (text: string): string =>
      text.slice(0, -1) + (alphabet[alphabet.indexOf(text[text.length - 1] as string) + 1] as string);
    const key = { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') } as const;
    const token = await signJwt(claims, key);
    const [head, body, signature] = token.split('.') as [string, string, string];
    expect(Buffer.from(last(signature), 'base64url')).toEqual(Buffer.from(signature, 'base64url'));
    const reasonFor = async (text: string): Promise<string> =>
      (await validate(lambdaRequest({ query: `CAT=${text}` }), context)).reason;
    expect(await reasonFor(token)).toBe('');
    expect(await reasonFor(`${head}.${body}.${last(signature)}`)).toBe('bad_signature');
    for (let padding = 0; padding < 3; padding++) {
      const cat = await signCat({ ...claims, sub: 'x'.repeat(padding) }, key);
      expect(await reasonFor(cat)).toBe('');
      expect(await reasonFor(`${cat}${'='.repeat((4 - (cat.length % 4)) % 4)}`)).toBe('');
      if (cat.length % 4 > 0) expect(await reasonFor(last(cat))).toBe('malformed_token');
    }
  });
});

describe('the verdict', () => {
  it('is the first good token’s, whatever stands before it', async () => {
    const good = await signCat(claims, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
    const forged = await signCat(claims, {
      alg: 'ES256',
      kid: 'ES256',
      privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    });
    const request = lambdaRequest({
      query: `CAT=${forged}&x=1&CAT=garbage`,
      headers: { Cookie: `a=b; CAT=${good}; c=d` },
    });
    const verdict = await validate(request, context);
    expect([verdict.reason, isAdmitted(verdict)]).toEqual(['', true]);
    const onward = requestOf(verdict);
    expect([onward.querystring, onward.headers['cookie']]).toEqual(['x=1', [{ key: 'Cookie', value: 'a=b; c=d' }]]);
    expect(JSON.stringify(onward)).not.toContain(good);
  });

  it('keeps everything else of the request as it came', async () => {
    const good = await signJwt(claims, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
    const request = {
      ...lambdaRequest({
        query: 'a=1&a=%32&CAT=&=x&b',
        headers: { Authorization: `Bearer ${good}`, 'X-Thing': ['1', '2'], 'CloudFront-Viewer-Country': 'GB' },
      }),
      origin: { custom: { customHeaders: {}, domainName: 'origin.example', port: 443 } },
    };
    const onward = requestOf(await validate(request, context));
    expect(onward).toEqual({
      ...request,
      querystring: 'a=1&a=%32&=x&b',
      headers: {
        host: [{ key: 'Host', value: 'origin.example' }],
        'x-thing': [
          { key: 'X-Thing', value: '1' },
          { key: 'X-Thing', value: '2' },
        ],
        'cloudfront-viewer-country': [{ key: 'CloudFront-Viewer-Country', value: 'GB' }],
      },
    });
  });

  it('holds a `catu` host against the viewer’s host, not the origin’s', async () => {
    const key = { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') } as const;
    const reasonFor = async (host: string): Promise<string> => {
      const token = await signCat({ ...claims, catu: { host: { exact: host } } }, key);
      return (await validate(lambdaRequest({ query: `CAT=${token}` }), context)).reason;
    };
    expect(await reasonFor('cdn.example')).toBe('');
    expect(await reasonFor('origin.example')).toBe('uri_mismatch');
  });

  it('holds keys to their issuers and paths', async () => {
    const bound = createValidator(
      validatorConfig({ keys: [{ kind: 'jwks', jwks, iss: ['cms'], paths: ['/live/ch1'] }] }),
      ports,
    );
    const reasonFor = async (body: Claims, uri: string): Promise<string> => {
      const token = await signJwt(body, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
      return (await bound(lambdaRequest({ uri, query: `CAT=${token}` }), context)).reason;
    };
    expect(await reasonFor({ iss: 'cms' }, '/live/ch1/a')).toBe('');
    expect(await reasonFor({ iss: 'other' }, '/live/ch1/a')).toBe('issuer_mismatch');
    expect(await reasonFor({}, '/live/ch1/a')).toBe('issuer_mismatch');
    expect(await reasonFor({ iss: 'cms' }, '/live/ch1-secret/a')).toBe('not_entitled');
  });

  it('takes a token that stands in the request no more', async () => {
    const token = await signCat(claims, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
    const given = { text: token, place: URI, name: '' } as const;
    expect((await validate(lambdaRequest(), { ...context, given })).reason).toBe('');
    expect((await validate(lambdaRequest(), context)).reason).toBe('missing_token');
  });

  it('is 503 where a secret cannot be read, and 401 for a kid that nobody has', async () => {
    const down = createValidator(validatorConfig({ keys: sources }), {
      ...ports,
      readSecret: () => Promise.reject(new Error('throttled')),
    });
    const known = await signCat(claims, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
    const other = await signCat(claims, { alg: 'HS256', kid: 'HS256', secret });
    expect((await down(lambdaRequest({ query: `CAT=${known}` }), context)).reason).toBe('');
    const verdict = await down(lambdaRequest({ query: `CAT=${other}` }), context);
    expect(verdict.reason).toBe('store_error');
    expect(answerOf(verdict)).toMatchObject({
      status: '503',
      headers: { 'retry-after': [{ value: '1' }], 'cache-control': [{ value: 'no-store' }] },
      body: '{"error":"store_error","id":"request-1"}',
    });
    const unknown = await signCat(claims, { alg: 'HS256', kid: 'nobody', secret });
    expect((await validate(lambdaRequest({ query: `CAT=${unknown}` }), context)).reason).toBe('unknown_key');
  });
});

describe('on viewer-request', () => {
  const alone = createValidator(
    validatorConfig({ eventType: 'viewer-request', keys: sources, hosts: undefined }),
    ports,
  );
  const lenient = createValidator(
    validatorConfig({
      eventType: 'viewer-request',
      keys: sources,
      policy: { ...validatorConfig().policy, allowUnknown: [311, 316, 282, 314, 317] },
    }),
    ports,
  );
  const typed = {
    'CloudFront-Viewer-Country': 'GB',
    'CloudFront-Viewer-Country-Region': 'LND',
    'CloudFront-Viewer-ASN': '64500',
    'CloudFront-Viewer-Latitude': '51.50',
    'CloudFront-Viewer-Longitude': '-0.12',
    'CloudFront-Viewer-Http-Version': '2.0',
    'CloudFront-Viewer-TLS': 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake',
    'CloudFront-Viewer-Cert-Sha256': 'ab',
  };

  it.each<[string, Claims]>([
    ['country_mismatch', { catgeoiso3166: ['GB'] }],
    ['network_mismatch', { catnip: [64500] }],
    ['geo_mismatch', { geohash: 'gcpu' }],
    ['alpn_mismatch', { catalpn: ['h2'] }],
    ['tls_key_mismatch', { cattpk: 'AAAA' }],
    ['header_mismatch', { cath: { 'CloudFront-Viewer-Country': { exact: 'GB' } } }],
  ])(
    'refuses with %s what rests on a header that the viewer typed, whatever the policy allows',
    async (reason, claim) => {
      const token = await signCat({ ...claims, ...claim }, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
      const request = lambdaRequest({ query: `CAT=${token}`, headers: typed });
      expect((await alone(request, context)).reason).toBe(reason);
      expect((await lenient(request, context)).reason).toBe(reason);
      // The same request where the headers are CloudFront's own.
      if (reason !== 'tls_key_mismatch') expect((await validate(request, context)).reason).toBe('');
    },
  );

  it('forwards neither those headers nor what our functions say to each other', async () => {
    const token = await signCat(claims, { alg: 'ES256', kid: 'ES256', privateKey: keyOf('ES256') });
    const verdict = await alone(
      lambdaRequest({ query: `CAT=${token}`, headers: { ...typed, Accept: '*/*', 'X-Portcullis-Start': 'x' } }),
      context,
    );
    expect(Object.keys(requestOf(verdict).headers)).toEqual(['host', 'accept']);
  });
});
