import { createHash, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Claims } from '@portcullis/tokens/claims';
import { AUTHORIZATION, URI } from '@portcullis/tokens/core/placement';
import { signCat, signJwt } from '@portcullis/tokens/sign';
import { context, lambdaRequest, validatorConfig } from '../test/edge/requests.js';
import { createProver, thumbprint, type ProofContext, type ProofSettings, type ReplayStore } from './proof.js';
import { rememberedProofs } from './remembered-proofs.js';
import { answerOf, createValidator, type EdgeVerdict, type ValidatorConfig, type ValidatorPorts } from './validator.js';

const now = 1_800_000_000;
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuerKey = { alg: 'ES256', kid: 'issuer', privateKey: issuer.privateKey } as const;
const jwks = { keys: [{ ...issuer.publicKey.export({ format: 'jwk' }), kid: 'issuer' }] };

const viewer = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const viewerJwk = viewer.publicKey.export({ format: 'jwk' });
const jkt = thumbprint(viewerJwk);
const uri = '/live/ch1/main.m3u8';
const hash = (text: string): string => createHash('sha256').update(text).digest('base64url');

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function es256(key: KeyObject, text: string): string {
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

interface ProofParts {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly key?: KeyObject;
}

/** A proof as a player makes it, some of it changed; members set to undefined are left out. */
function makeProof({ header, claims, key = viewer.privateKey }: ProofParts = {}): string {
  const text = [
    encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: viewerJwk, ...header }),
    encode({ jti: randomUUID(), htm: 'GET', htu: `https://cdn.example${uri}`, iat: now, ...claims }),
  ].join('.');
  return `${text}.${es256(key, text)}`;
}

interface Attempt {
  readonly proof: string | readonly string[] | undefined;
  readonly claims?: Claims;
  readonly scheme?: 'DPoP' | 'Bearer';
  readonly method?: string;
  readonly uri?: string;
  readonly jwt?: boolean;
  readonly query?: string;
}

function player(settings: ProofSettings = {}, ports: ValidatorPorts = {}) {
  const validate = createValidator(
    validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: settings, hosts: ['cdn.example'] }),
    { now: () => now * 1000, ...ports },
  );
  return async (attempt: Attempt): Promise<EdgeVerdict> => {
    const claims: Claims = { exp: now + 600, cnf: { jkt }, ...attempt.claims };
    const token = attempt.jwt ? await signJwt(claims, issuerKey) : await signCat(claims, issuerKey);
    const header = attempt.scheme
      ? { Authorization: `${attempt.scheme} ${token}` }
      : { 'CTA-Common-Access-Token': token };
    return validate(
      lambdaRequest({
        uri: attempt.uri ?? uri,
        ...(attempt.method === undefined ? {} : { method: attempt.method }),
        ...(attempt.query === undefined ? {} : { query: attempt.query }),
        headers: { ...header, ...(attempt.proof === undefined ? {} : { DPoP: attempt.proof }) },
      }),
      context,
    );
  };
}

const problemOf = ({ reason, proof }: EdgeVerdict): unknown => (proof && 'problem' in proof ? proof.problem : reason);

/** RFC 9449 4.1, figure 2; and 7.1, figure 12, with the token and key of its section. */
const rfc = {
  tokenRequest:
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg',
  resourceRequest:
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA',
  accessToken: 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU',
  thumbprint: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
};

describe('the examples of RFC 9449', () => {
  /** A token bound to the example's key, as the evaluator holds it. */
  const attempt = (text: string, place: 'authorization' | 'query') =>
    ({
      token: { isJwt: true, claims: { 8: { jkt: rfc.thumbprint } } },
      found: { text, place: place === 'query' ? URI : AUTHORIZATION, name: '' },
    }) as unknown as EdgeVerdict;
  const example = (proof: string, at: number, facts: Partial<ProofContext>) =>
    createProver(
      {},
      { now: () => at },
    )({
      proofs: { value: proof },
      method: 'GET',
      origins: ['https://resource.example.org'],
      paths: ['/protectedresource'],
      scheme: 'dpop',
      namesToken: false,
      ...facts,
    });

  it('holds the proof for a protected resource (7.1), to the hash of its access token', async () => {
    const check = example(rfc.resourceRequest, 1_562_262_618, {});
    expect(await check(attempt(rfc.accessToken, 'authorization'))).toMatchObject({ thumbprint: rfc.thumbprint });
    const other = example(rfc.resourceRequest, 1_562_262_618, {});
    expect(await other(attempt('Kz~8mXK1EalYznwH', 'authorization'))).toMatchObject({ problem: 'token_hash' });
  });

  it('holds the proof for a token request (4.1), where no access token was presented in Authorization', async () => {
    const facts = { method: 'POST', origins: ['https://server.example.com'], paths: ['/token'], scheme: undefined };
    expect(await example(rfc.tokenRequest, 1_562_262_616, facts)(attempt('x', 'query'))).toMatchObject({
      thumbprint: rfc.thumbprint,
    });
    expect(await example(rfc.tokenRequest, 1_562_262_616, facts)(attempt('x', 'authorization'))).toMatchObject({
      problem: 'token_hash',
    });
  });

  it('holds through the whole handler, for the claims of its access token (6.1) and the proof of 4.1', async () => {
    const claims = {
      sub: 'someone@example.com',
      iss: 'https://server.example.com',
      nbf: 1_562_262_611,
      exp: 1_562_266_216,
      cnf: { jkt: rfc.thumbprint },
    };
    const ask = async (proof: string, now: number, more: Partial<ValidatorConfig> = {}): Promise<string> => {
      const validate = createValidator(
        validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: {}, hosts: ['server.example.com'], ...more }),
        { now: () => now * 1000 },
      );
      const headers = { 'CTA-Common-Access-Token': await signJwt(claims, issuerKey), DPoP: proof };
      const verdict = await validate(lambdaRequest({ method: 'POST', uri: '/token', headers }), context);
      return String(problemOf(verdict));
    };
    expect(await ask(rfc.tokenRequest, 1_562_262_616)).toBe('');
    expect(await ask(rfc.tokenRequest, 1_562_262_616 + 301)).toBe('time');
    expect(await ask(rfc.tokenRequest, 1_562_262_616, { hosts: ['resource.example.org'] })).toBe('uri');
    expect(await ask(rfc.resourceRequest, 1_562_262_618)).toBe('method');
  });

  it('makes the thumbprints of RFC 7638 3.1 and RFC 8037 A.3', () => {
    expect(
      thumbprint({
        kty: 'RSA',
        n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
        e: 'AQAB',
        alg: 'RS256',
        kid: '2011-04-29',
      }),
    ).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
    expect(
      thumbprint({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', d: 'nWGx' }),
    ).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });
});

describe('a proof of possession', () => {
  it('opens what its key is bound to, in either format and wherever the token stands', async () => {
    const play = player();
    expect((await play({ proof: makeProof() })).reason).toBe('');
    expect((await play({ proof: makeProof(), jwt: true })).reason).toBe('');
    const bearer = await play({ proof: makeProof(), scheme: 'Bearer' });
    expect([bearer.reason, bearer.proof]).toMatchObject(['', { thumbprint: jkt }]);
  });

  it('carries the hash of its token where that came as Authorization: DPoP', async () => {
    const play = player();
    const token = await signJwt({ exp: now + 600, cnf: { jkt } }, { ...issuerKey, alg: 'ES256' });
    // Each ES256 signature is another, so the token has to be the very one.
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: {} }), {
      now: () => now * 1000,
    });
    const ask = async (ath: string | undefined): Promise<unknown> =>
      problemOf(
        await validate(
          lambdaRequest({
            headers: { Authorization: `DPoP ${token}`, DPoP: makeProof({ claims: ath === undefined ? {} : { ath } }) },
          }),
          context,
        ),
      );
    expect(await ask(hash(token))).toBe('');
    expect(await ask(undefined)).toBe('token_hash');
    expect(await ask(hash(`${token}x`))).toBe('token_hash');
    expect(problemOf(await play({ proof: makeProof(), scheme: 'DPoP' }))).toBe('token_hash');
  });

  it('may be made with RSA, P-384 or Ed25519 keys', async () => {
    const keys = [
      ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
      ['EdDSA', generateKeyPairSync('ed25519')],
      ['PS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
      ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ] as const;
    for (const [alg, { publicKey, privateKey }] of keys) {
      const jwk = publicKey.export({ format: 'jwk' });
      const text = `${encode({ typ: 'dpop+jwt', alg, jwk })}.${encode({ jti: alg, htm: 'GET', htu: `https://cdn.example${uri}`, iat: now })}`;
      const options = {
        ES384: { dsaEncoding: 'ieee-p1363' },
        PS256: { padding: 6, saltLength: 32 },
        RS256: {},
        EdDSA: {},
      }[alg];
      const digest = { ES384: 'sha384', PS256: 'sha256', RS256: 'sha256', EdDSA: null }[alg];
      const signature = sign(digest, Buffer.from(text), { key: privateKey, ...options } as Parameters<typeof sign>[2]);
      const proof = `${text}.${signature.toString('base64url')}`;
      const ask = player({ algorithms: ['ES384', 'PS256', 'RS256', 'EdDSA'] });
      expect([alg, (await ask({ proof, claims: { cnf: { jkt: thumbprint(jwk) } } })).reason]).toEqual([alg, '']);
      const strict = player({ algorithms: ['ES256'] });
      expect(problemOf(await strict({ proof, claims: { cnf: { jkt: thumbprint(jwk) } } }))).toBe('algorithm');
    }
  });

  it.each<[string, string]>([
    ['in upper case and with its port', `HTTPS://CDN.Example:443${uri}`],
    ['with a query and a fragment', `https://cdn.example${uri}?a=b&c#d`],
    ['with escapes that need not be', 'https://cdn.example/%6Cive/ch1/main%2Em3u8'],
    ['with dot segments', 'https://cdn.example/x/../live/./ch1/main.m3u8'],
  ])('may name its address %s', async (_, htu) => {
    expect((await player()({ proof: makeProof({ claims: { htu } }) })).reason).toBe('');
  });

  it('may name its address with the token in the path, or without', async () => {
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: {} }), {
      now: () => now * 1000,
    });
    const token = await signCat({ exp: now + 600, cnf: { jkt } }, issuerKey);
    for (const path of [`/${token}${uri}`, uri]) {
      const proof = makeProof({ claims: { htu: `https://cdn.example${path}` } });
      const verdict = await validate(lambdaRequest({ uri: `/${token}${uri}`, headers: { DPoP: proof } }), context);
      expect(problemOf(verdict)).toBe('');
      const handed = await validate(
        lambdaRequest({ uri, headers: { DPoP: makeProof({ claims: { htu: `https://cdn.example${path}` } }) } }),
        {
          ...context,
          given: { text: token, place: URI, name: '' },
          originalUri: `/${token}${uri}`,
        },
      );
      expect(problemOf(handed)).toBe('');
    }
  });

  it('is made for a host of ours: a configured one, else the distribution’s own names', async () => {
    const token = await signCat({ exp: now + 600, cnf: { jkt } }, issuerKey);
    const ask = async (changes: Partial<ValidatorConfig>, origin: string, more: object = {}): Promise<unknown> => {
      const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: {}, ...changes }), {
        now: () => now * 1000,
      });
      const headers = {
        'CTA-Common-Access-Token': token,
        DPoP: makeProof({ claims: { htu: origin + uri } }),
        'CloudFront-Forwarded-Proto': new URL(origin).protocol.slice(0, -1),
      };
      return problemOf(await validate(lambdaRequest({ uri, headers }), { ...context, ...more }));
    };
    const several = { hosts: ['cdn.example', 'tv.example', 'http://localhost:8080'] };
    expect(await ask(several, 'https://tv.example')).toBe('');
    expect(await ask(several, 'http://localhost:8080')).toBe('');
    expect(await ask(several, 'https://localhost:8080')).toBe('uri');
    expect(await ask(several, 'https://d111111abcdef8.cloudfront.net')).toBe('uri');
    // A viewer that came over http, where CloudFront says so.
    expect(await ask(several, 'http://tv.example')).toBe('');
    const none = { hosts: undefined };
    expect(await ask(none, 'https://d111111abcdef8.cloudfront.net')).toBe('');
    // On origin-request `Host` is the origin's; on viewer-request it is the one that the viewer asked.
    expect(await ask(none, 'https://origin.example')).toBe('uri');
    const alone = { hosts: undefined, eventType: 'viewer-request' } as const;
    expect(await ask(alone, 'https://origin.example')).toBe('');
    // There, a typed scheme is not believed.
    expect(await ask(alone, 'http://origin.example')).toBe('uri');
    // What viewer-request handed over goes before everything.
    expect(await ask(several, 'https://cdn2.example', { host: 'cdn2.example' })).toBe('');
    expect(await ask(several, 'https://tv.example', { host: 'cdn2.example' })).toBe('uri');
  });

  it('is looked at only for tokens that demand one, and never forwarded', async () => {
    const play = player();
    const verdict = await play({ proof: 'garbage', claims: { cnf: undefined as never } });
    expect([verdict.reason, verdict.proof]).toEqual(['', undefined]);
    expect(verdict.http.headers['dpop']).toBeUndefined();
  });

  it('is asked for in the answer', async () => {
    const answer = answerOf(await player()({ proof: undefined }));
    expect(answer?.status).toBe('401');
    expect(answer?.headers?.['www-authenticate']?.map(({ value }) => value)).toEqual([
      'Bearer',
      'DPoP algs="ES256 ES384 PS256 EdDSA"',
    ]);
  });

  it('is not taken where the deployment checks none', async () => {
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }] }), { now: () => now * 1000 });
    const token = await signCat({ cnf: { jkt } }, issuerKey);
    const verdict = await validate(lambdaRequest({ query: `CAT=${token}`, headers: { DPoP: makeProof() } }), context);
    expect([verdict.reason, answerOf(verdict)?.headers?.['www-authenticate']?.length]).toEqual(['proof_required', 1]);
  });
});

describe('a proof with one thing wrong', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const body = (proof: string, part: number, change: (text: string) => string): string =>
    proof
      .split('.')
      .map((text, i) => (i === part ? change(text) : text))
      .join('.');
  const rejoin = (header: string, claims: string): string => {
    const text = `${encode(header)}.${encode(claims)}`;
    return `${text}.${es256(viewer.privateKey, text)}`;
  };
  const head = JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: viewerJwk });
  const hmacProof = (): string => {
    const text = `${encode({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } })}.${encode({ jti: 'x', htm: 'GET', htu: `https://cdn.example${uri}`, iat: now })}`;
    return `${text}.AAAA`;
  };
  const deviations: [string, string, string | readonly string[] | undefined][] = [
    ['no proof', 'missing', undefined],
    ['an empty one', 'malformed', ''],
    ['two of them', 'repeated', [makeProof(), makeProof()]],
    ['two in one line', 'malformed', `${makeProof()}, ${makeProof()}`],
    ['no signature', 'malformed', makeProof().split('.').slice(0, 2).join('.')],
    ['an empty signature', 'malformed', body(makeProof(), 2, () => '')],
    ['five parts', 'malformed', `${makeProof()}.a.b`],
    ['padding', 'malformed', `${makeProof()}=`],
    ['a header that is no JSON', 'malformed', rejoin('no', '{}')],
    ['a header that is a list', 'malformed', rejoin('[]', '{}')],
    ['claims that are no object', 'malformed', rejoin(head, '"x"')],
    [
      'bytes that are no UTF-8',
      'malformed',
      body(makeProof(), 1, () => Buffer.from('7b22ff223a317d', 'hex').toString('base64url')),
    ],
    ['more than 4,096 characters', 'malformed', makeProof({ claims: { pad: 'x'.repeat(4096) } })],
    ['no type', 'type', makeProof({ header: { typ: undefined } })],
    ['the type JWT', 'type', makeProof({ header: { typ: 'JWT' } })],
    ['the type in capitals', 'type', makeProof({ header: { typ: 'DPOP+JWT' } })],
    ['no algorithm', 'algorithm', makeProof({ header: { alg: undefined } })],
    ['the algorithm none', 'algorithm', body(makeProof({ header: { alg: 'none' } }), 2, () => 'AAAA')],
    ['a symmetric algorithm', 'algorithm', hmacProof()],
    ['an algorithm that is not its key’s', 'key', makeProof({ header: { alg: 'ES384' } })],
    ['an algorithm of another family', 'key', makeProof({ header: { alg: 'PS256' } })],
    ['something critical', 'malformed', makeProof({ header: { crit: ['x'], x: 1 } })],
    ['an unencoded payload', 'malformed', makeProof({ header: { b64: false } })],
    ['no key', 'key', makeProof({ header: { jwk: undefined } })],
    ['a key id for a key', 'key', makeProof({ header: { jwk: undefined, kid: 'issuer' } })],
    ['a private key in it', 'key', makeProof({ header: { jwk: viewer.privateKey.export({ format: 'jwk' }) } })],
    ['a key that is a list', 'key', makeProof({ header: { jwk: [viewerJwk] } })],
    ['a key for encryption', 'key', makeProof({ header: { jwk: { ...viewerJwk, use: 'enc' } } })],
    ['a point that is not on the curve', 'key', makeProof({ header: { jwk: { ...viewerJwk, y: viewerJwk.x } } })],
    [
      'an RSA key of 1,024 bits',
      'key',
      makeProof({ header: { alg: 'PS256', jwk: rsa.publicKey.export({ format: 'jwk' }) } }),
    ],
    ['another’s signature', 'signature', makeProof({ key: stranger.privateKey })],
    ['a signature of zeros', 'signature', body(makeProof(), 2, () => 'A'.repeat(86))],
    [
      'a signature in DER',
      'signature',
      body(makeProof(), 2, () => sign('sha256', Buffer.from('x'), viewer.privateKey).toString('base64url')),
    ],
    [
      'claims changed after signing',
      'signature',
      body(makeProof(), 1, () => encode({ jti: 'y', htm: 'GET', htu: `https://cdn.example${uri}`, iat: now })),
    ],
    ['no id', 'malformed', makeProof({ claims: { jti: undefined } })],
    ['an empty id', 'malformed', makeProof({ claims: { jti: '' } })],
    ['an id that is a number', 'malformed', makeProof({ claims: { jti: 1 } })],
    ['an endless id', 'malformed', makeProof({ claims: { jti: 'x'.repeat(257) } })],
    ['no method', 'malformed', makeProof({ claims: { htm: undefined } })],
    ['another method', 'method', makeProof({ claims: { htm: 'POST' } })],
    ['the method in small letters', 'method', makeProof({ claims: { htm: 'get' } })],
    ['no address', 'malformed', makeProof({ claims: { htu: undefined } })],
    ['an address that is none', 'uri', makeProof({ claims: { htu: uri } })],
    ['another host', 'uri', makeProof({ claims: { htu: `https://cdn.example.evil.example${uri}` } })],
    ['the origin’s host', 'uri', makeProof({ claims: { htu: `https://origin.example${uri}` } })],
    ['another scheme', 'uri', makeProof({ claims: { htu: `http://cdn.example${uri}` } })],
    ['another port', 'uri', makeProof({ claims: { htu: `https://cdn.example:8443${uri}` } })],
    ['a user in the address', 'uri', makeProof({ claims: { htu: `https://u:p@cdn.example${uri}` } })],
    ['another path', 'uri', makeProof({ claims: { htu: 'https://cdn.example/live/ch2/main.m3u8' } })],
    ['a path in other letters', 'uri', makeProof({ claims: { htu: 'https://cdn.example/Live/ch1/main.m3u8' } })],
    ['a slash more', 'uri', makeProof({ claims: { htu: `https://cdn.example${uri}/` } })],
    ['an escaped slash', 'uri', makeProof({ claims: { htu: 'https://cdn.example/live%2Fch1/main.m3u8' } })],
    ['no time', 'malformed', makeProof({ claims: { iat: undefined } })],
    ['a time that is text', 'malformed', makeProof({ claims: { iat: String(now) } })],
    ['a time beyond the window', 'time', makeProof({ claims: { iat: now - 301 } })],
    ['a time in milliseconds', 'time', makeProof({ claims: { iat: now * 1000 } })],
    ['a time ahead of ours', 'time', makeProof({ claims: { iat: now + 31 } })],
    ['the hash of another token', 'token_hash', makeProof({ claims: { ath: hash('another') } })],
    ['a hash that is no text', 'token_hash', makeProof({ claims: { ath: 1 } })],
  ];

  it.each(deviations)('is refused: %s', async (_, problem, proof) => {
    const verdict = await player()({ proof });
    expect([verdict.reason, problemOf(verdict)]).toEqual(['proof_required', problem]);
    expect(answerOf(verdict)?.status).toBe('401');
  });

  it('is refused whichever of its characters is another', async () => {
    const proof = makeProof();
    const play = player({ jti: 'ignore' });
    expect((await play({ proof })).reason).toBe('');
    for (let i = 0; i < proof.length; i++) {
      const changed = `${proof.slice(0, i)}${proof[i] === 'A' ? 'B' : 'A'}${proof.slice(i + 1)}`;
      expect([i, (await play({ proof: changed })).reason]).toEqual([i, 'proof_required']);
    }
  });

  it('is refused for a token that is bound to another key', async () => {
    const jwk = stranger.publicKey.export({ format: 'jwk' });
    const verdict = await player()({ proof: makeProof({ header: { jwk }, key: stranger.privateKey }) });
    expect(verdict.reason).toBe('proof_required');
  });

  it('is refused for a request with another method or path than its own', async () => {
    expect(problemOf(await player()({ proof: makeProof(), method: 'HEAD' }))).toBe('method');
    expect(problemOf(await player()({ proof: makeProof(), uri: '/live/ch1/other.m3u8' }))).toBe('uri');
  });
});

describe('the settings of catdpop', () => {
  it('say how old a proof may be', async () => {
    const aged = makeProof({ claims: { iat: now - 20 } });
    expect((await player()({ proof: aged, claims: { catdpop: { window: 20 } } })).reason).toBe('');
    expect(problemOf(await player()({ proof: aged, claims: { catdpop: { window: 19 } } }))).toBe('time');
    const early = makeProof({ claims: { iat: now + 3 } });
    expect((await player()({ proof: early, claims: { catdpop: { window: 3 } } })).reason).toBe('');
    expect(problemOf(await player()({ proof: early, claims: { catdpop: { window: 2 } } }))).toBe('time');
    expect(problemOf(await player({ window: 10 })({ proof: aged }))).toBe('time');
  });

  it('say whether a proof is good once', async () => {
    for (const jwt of [false, true]) {
      const play = player();
      const once = makeProof();
      const reasons = [];
      for (const jti of [1, 1, 0, 0] as const)
        reasons.push(problemOf(await play({ proof: once, jwt, claims: { catdpop: { jti } } })));
      expect(reasons).toEqual(['', 'replayed', '', '']);
    }
  });

  it('default to what the deployment says', async () => {
    const strict = player();
    const proof = makeProof();
    expect([problemOf(await strict({ proof })), problemOf(await strict({ proof }))]).toEqual(['', 'replayed']);
    const lenient = player({ jti: 'ignore' });
    expect([problemOf(await lenient({ proof })), problemOf(await lenient({ proof }))]).toEqual(['', '']);
  });

  it.each([[{ window: -1 }], [{ window: '5' }], [{ jti: 2 }]])(
    'make the token invalid where they are malformed: %j',
    async (catdpop) => {
      const verdict = await player()({ proof: makeProof(), jwt: true, claims: { catdpop: catdpop as never } });
      expect(verdict.reason).toBe('invalid_claim');
    },
  );

  it('refuse where they must be understood and are not', async () => {
    const verdict = await player()({ proof: makeProof(), jwt: true, claims: { catdpop: { crit: [0, 7] } } });
    expect(verdict.reason).toBe('proof_required');
  });
});

describe('replay', () => {
  it('is refused as long as the proof would be good, by whichever token', async () => {
    let at = now;
    const play = player({ window: 60 }, { now: () => at * 1000 });
    const proof = makeProof();
    expect(problemOf(await play({ proof }))).toBe('');
    for (at = now; at <= now + 60; at += 15) expect(problemOf(await play({ proof }))).toBe('replayed');
    at = now + 61;
    expect(problemOf(await play({ proof }))).toBe('time');
  });

  it('lets one of fifty requests at once pass', async () => {
    const play = player();
    const proof = makeProof();
    const reasons = await Promise.all(Array.from({ length: 50 }, async () => (await play({ proof })).reason));
    expect(reasons.filter((reason) => reason === '')).toHaveLength(1);
  });

  it('is not confused by several tokens in one request', async () => {
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }], proof: {} }), {
      now: () => now * 1000,
    });
    const expired = await signCat({ exp: now - 1, cnf: { jkt } }, issuerKey);
    const good = await signCat({ exp: now + 1, cnf: { jkt } }, issuerKey);
    const request = lambdaRequest({ query: `CAT=${expired}&CAT=${good}`, headers: { DPoP: makeProof() } });
    expect((await validate(request, context)).reason).toBe('');
    expect(problemOf(await validate(request, context))).toBe('replayed');
  });

  it('spends nothing for who has another key, and nothing for who has no token', async () => {
    const spent: string[] = [];
    const replay: ReplayStore = { spend: (id) => (spent.push(id), Promise.resolve(true)) };
    const play = player({}, { replay });
    const jwk = stranger.publicKey.export({ format: 'jwk' });
    await play({ proof: makeProof({ header: { jwk }, key: stranger.privateKey }) });
    expect(spent).toEqual([]);
    await play({ proof: makeProof() });
    expect(spent).toHaveLength(1);
    expect(spent[0]).toMatch(/^[\w-]{43}$/);
  });

  it('is 503 where the store cannot tell', async () => {
    const play = player({}, { replay: { spend: () => Promise.reject(new Error('throttled')) } });
    const verdict = await play({ proof: makeProof() });
    expect([verdict.reason, answerOf(verdict)?.status]).toEqual(['store_error', '503']);
  });

  it('is remembered in bounded memory, which fails rather than forgets', async () => {
    let at = now;
    const memory = rememberedProofs(() => at, 100);
    for (let i = 0; i < 100; i++) expect(await memory.spend(`${i}`, now + 10)).toBe(true);
    await expect(memory.spend('more', now + 10)).rejects.toThrow('No room');
    expect(await memory.spend('7', now + 10)).toBe(false);
    at = now + 11;
    expect(await memory.spend('more', now + 20)).toBe(true);
  });
});
