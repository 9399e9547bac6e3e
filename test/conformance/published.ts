import { createHmac, type JsonWebKey } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EntitledKey } from '@portcullis/tokens';
import { Decoder } from 'cbor-x';
import { cbor, makeCat, makeCatBytes, makeJwt, Raw } from '../engine/token-maker.js';
import { NOW, type Expected } from '../verdicts/requests.js';

/** Vectors that others published, turned into requests. */
export interface PublishedCase {
  readonly name: string;
  readonly token: string;
  /** Path and query with the token put in for `TOKEN`. */
  readonly target?: string;
  /** Seconds. */
  readonly now?: number;
  readonly kid?: string;
  /** The HMAC key of the store's record. */
  readonly secret: Uint8Array;
  /** `refused`: for whatever reason. */
  readonly expected: Expected | 'refused';
  /** Node checks public-key signatures, too. */
  readonly inNode?: Expected | 'refused';
  readonly nodeKey?: EntitledKey;
}

const folder = fileURLToPath(new URL('../../../shared/vectors/', import.meta.url));
export const present = existsSync(folder);
if (!present) console.warn('Skipped: the published vectors are not in ../shared/vectors.');

const read = <T>(file: string): T => JSON.parse(readFileSync(`${folder}${file}`, 'utf8')) as T;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const hmac = (key: Uint8Array, data: string | Uint8Array): Buffer => createHmac('sha256', key).update(data).digest();
const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));

/** CTA-5007-B annexes A.3 and B. */
export function annexCases(): PublishedCase[] {
  interface Annex {
    readonly tokens: { alg: string; token: string; key: { kid: string; base64?: string; pem?: string } }[];
  }
  const { tokens } = read<Annex>('cta-5007-b-annex.json');
  const path = '/b04c80bf74ff02b4/x';
  return tokens.flatMap(({ alg, token, key }): PublishedCase[] => {
    const now = 1_600_000_000;
    const inQuery = `${path}?CAT=TOKEN`;
    if (!key.base64) {
      const nodeKey: EntitledKey = { alg: 'PS256', publicKey: key.pem as string };
      const common = { token, secret: KEY, now, nodeKey, expected: 'unsupported_algorithm' } as const;
      return [
        { ...common, name: `annex B, ${alg}: not at the function, but in Node`, target: inQuery, inNode: 'admitted' },
        { ...common, name: `annex B, ${alg}: expired`, target: inQuery, now: 1_700_000_000, inNode: 'expired' },
      ];
    }
    const common = { token, secret: Buffer.from(key.base64, 'base64'), now } as const;
    return [
      { ...common, name: `annex B, ${alg}: in the query`, target: inQuery, expected: 'admitted' },
      { ...common, name: `annex B, ${alg}: in the path`, target: `/TOKEN${path}`, expected: 'admitted' },
      { ...common, name: `annex B, ${alg}: as a path parameter`, target: `${path};CAT=TOKEN`, expected: 'admitted' },
      {
        ...common,
        name: `annex B, ${alg}: padded`,
        target: `${inQuery}=`,
        token: token.replace(/=*$/, ''),
        expected: 'admitted',
      },
      {
        ...common,
        name: `annex B, ${alg}: the second before its end`,
        target: inQuery,
        now: 1_699_999_999,
        expected: 'admitted',
      },
      { ...common, name: `annex B, ${alg}: at its end`, target: inQuery, now: 1_700_000_000, expected: 'expired' },
      {
        ...common,
        name: `annex B, ${alg}: for another path`,
        target: '/b04c80bf74ff02b/x?CAT=TOKEN',
        expected: 'uri_mismatch',
      },
      {
        ...common,
        name: `annex B, ${alg}: under another key`,
        target: inQuery,
        secret: Buffer.alloc(32),
        expected: 'bad_signature',
      },
    ];
  });
}

/** RFC 8392 A.1: the claims of all its examples; A.2.2: their symmetric key. */
const CLAIMS = hex(
  'a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e6578616d706c652e636f6d041a5612aeb0051a5610d9f0061a5610d9f007420b71',
);
const KEY = hex('403697de87af64611c1d32a05dab0fe1fcb715a86ab435f1ec99192d79569388');
const NBF = 1_443_944_944;
const EXP = 1_444_064_944;
const SYMMETRIC = 'Symmetric256';
/** RFC 8392 A.7: a MACed token whose one claim is a fraction. */
export const A7 = 'd18443a10104a1044c53796d6d65747269633235364ba106fb41d584367c20000048b8816f34c0542892';

/** RFC 8392 A.4: a MACed token with the CWT tag. */
export const A4 = `d83dd18443a10104a1044c53796d6d65747269633235365850${CLAIMS.toString('hex')}48093101ef6d789200`;

/** The two as they are made here: HMAC 256/64, the kid unprotected. */
export function remadeExamples(): { readonly a4: string; readonly a7: string } {
  const parts = {
    key: KEY,
    alg: 4,
    unprotectedHeader: new Map([[4, Buffer.from(SYMMETRIC)]]),
    mac: (mac: Buffer) => mac.subarray(0, 8),
  };
  return {
    a4: makeCatBytes({ ...parts, payload: CLAIMS }).toString('hex'),
    a7: makeCatBytes({ ...parts, tags: [17], claims: { iat: 1443944944.5 } }).toString('hex'),
  };
}

export function rfc8392Cases(): PublishedCase[] {
  const common = { kid: SYMMETRIC, secret: KEY };
  const maced = makeCat({ key: KEY, kid: SYMMETRIC, payload: CLAIMS });
  const fraction = makeCat({ key: KEY, kid: SYMMETRIC, payload: hex('a106fb41d584367c200000') });
  return [
    { ...common, name: 'RFC 8392 A.4: its claims under HMAC 256/256', token: maced, now: NBF, expected: 'admitted' },
    { ...common, name: 'RFC 8392 A.4: a second before its nbf', token: maced, now: NBF - 1, expected: 'not_yet_valid' },
    { ...common, name: 'RFC 8392 A.4: a second before its exp', token: maced, now: EXP - 1, expected: 'admitted' },
    { ...common, name: 'RFC 8392 A.4: at its exp', token: maced, now: EXP, expected: 'expired' },
    {
      ...common,
      name: 'RFC 8392 A.4: as published, under HMAC 256/64, which no CAT may use',
      token: hex(A4).toString('base64url'),
      now: NBF,
      expected: 'unsupported_algorithm',
    },
    {
      ...common,
      name: 'RFC 8392 A.7: as published, under HMAC 256/64',
      token: hex(A7).toString('base64url'),
      now: NBF,
      expected: 'unsupported_algorithm',
    },
    {
      ...common,
      name: 'RFC 8392 A.7: its fraction under HMAC 256/256',
      token: fraction,
      now: NBF,
      expected: 'admitted',
    },
  ];
}

interface CoseExample {
  readonly title: string;
  readonly input: {
    readonly mac0?: {
      readonly recipients: readonly { readonly key: { readonly k?: string; readonly k_hex?: string } }[];
    };
    readonly sign0?: { readonly key: Record<string, string> };
  };
  readonly intermediates: { readonly ToMac_hex?: string };
  readonly output: { readonly cbor: string };
}

const coseFiles = (under: string): string[] =>
  readdirSync(`${folder}cose/${under}`).map((file) => `cose/${under}/${file}`);
const decoder = new Decoder({ mapsAsObjects: false });
const bytesOf = (value: unknown): Buffer => Buffer.from(value as Uint8Array);

/** The COSE working group's CWT examples, as published. */
export function publishedCwtCases(): PublishedCase[] {
  const token = (file: string): string => hex(read<CoseExample>(`cose/CWT/${file}`).output.cbor).toString('base64url');
  const { key } = read<CoseExample>('cose/CWT/A_3.json').input.sign0!;
  const coordinate = (name: string): string => hex(key[`${name}_hex`]!).toString('base64url');
  const publicKey = { kty: 'EC', crv: 'P-256', x: coordinate('x'), y: coordinate('y') } satisfies JsonWebKey;
  const nodeKey: EntitledKey = { alg: 'ES256', publicKey };
  const signed = { token: token('A_3.json'), secret: KEY, nodeKey, expected: 'unsupported_algorithm' } as const;
  return [
    { ...signed, name: 'RFC 8392 A.3: ES256, not at the function, but in Node', now: NBF, inNode: 'admitted' },
    { ...signed, name: 'RFC 8392 A.3: expired', now: EXP, inNode: 'expired' },
    {
      name: 'RFC 8392 A.4: as the working group has it, without a kid',
      token: token('A_4.json'),
      secret: KEY,
      now: NBF,
      expected: 'unsupported_algorithm',
    },
    {
      name: 'RFC 8392 A.6: encrypted, which only Lambda@Edge reads',
      token: token('A_6.json'),
      secret: KEY,
      now: NBF,
      expected: 'malformed_token',
    },
  ];
}

/**
 * What each MAC0 example comes to when claims stand in the place of its text, and everything else, flaws included, is
 * as in the example.
 */
const macVerdicts: Readonly<Record<string, readonly [Expected, why: string]>> = {
  'mac0-tests/HMac-01.json': ['admitted', 'sound'],
  'mac0-tests/mac-pass-01.json': ['admitted', 'alg unprotected, an empty protected map'],
  'mac0-tests/mac-pass-02.json': ['bad_signature', 'external data, which a CWT has none of (RFC 8392 7.2)'],
  'mac0-tests/mac-pass-03.json': ['malformed_token', 'untagged, which could be anything'],
  'mac0-tests/mac-fail-01.json': ['malformed_token', 'an unknown tag'],
  'mac0-tests/mac-fail-02.json': ['bad_signature', 'another MAC'],
  'mac0-tests/mac-fail-03.json': ['unsupported_algorithm', 'an unknown algorithm'],
  'mac0-tests/mac-fail-04.json': ['unsupported_algorithm', 'an unknown algorithm by name'],
  'mac0-tests/mac-fail-06.json': ['bad_signature', 'a protected header added'],
  'mac0-tests/mac-fail-07.json': ['bad_signature', 'a protected header removed'],
};

interface MacParts {
  /** The tag's bytes, if there is one. */
  readonly tag: Buffer;
  readonly structure: readonly [Buffer, Buffer | Raw, Buffer, Buffer];
  readonly key: Buffer;
  /** What was MACed: context, protected header, external data, payload. */
  readonly maced: readonly [string, Buffer, Buffer, Buffer];
}

function macParts(file: string): MacParts {
  const { input, intermediates, output } = read<CoseExample>(file);
  const bytes = hex(output.cbor);
  // The tag's head is one byte or three, and an array of four follows.
  const start = bytes.indexOf(0x84);
  const [protectedBytes, unprotected, payload, mac] = decoder.decode(bytes.subarray(start)) as unknown[];
  const [context, ...maced] = decoder.decode(hex(intermediates.ToMac_hex!)) as [string, ...unknown[]];
  const { k, k_hex } = input.mac0!.recipients[0]!.key;
  return {
    tag: bytes.subarray(0, start),
    structure: [bytesOf(protectedBytes), new Raw(cbor(unprotected)), bytesOf(payload), bytesOf(mac)],
    key: k_hex ? hex(k_hex) : Buffer.from(k!, 'base64url'),
    maced: [context, ...maced.map(bytesOf)] as never,
  };
}

/** Each example as it is: the MAC may hold, but a text is no claim set; and with claims. */
export function macCases(): PublishedCase[] {
  return coseFiles('mac0-tests').flatMap((file): PublishedCase[] => {
    const { tag, structure, key, maced } = macParts(file);
    const [protectedBytes, unprotected, , mac] = structure;
    const published = Buffer.concat([tag, cbor([...structure])]).toString('base64url');
    const claims = cbor(new Map([[4, NOW + 60]]));
    const [context, macedHeader, external] = maced;
    const flaw = xor(mac, hmac(key, cbor([...maced])));
    const ours = xor(hmac(key, cbor([context, macedHeader, external, claims])), flaw);
    const token = Buffer.concat([tag, cbor([protectedBytes, unprotected, claims, ours])]).toString('base64url');
    const name = file.replace('cose/', '');
    const [expected, why] = macVerdicts[name] ?? ['internal_error', 'not in the table'];
    return [
      {
        name: `COSE ${name}, as published: no claims in it`,
        token: published,
        secret: key,
        expected: 'malformed_token',
      },
      { name: `COSE ${name}, with claims: ${why}`, token, secret: key, expected },
    ];
  });
}

/** That the flaw of an example is what it says: none where its MAC is of what it shows. */
export function macFlaws(): { readonly file: string; readonly sound: boolean }[] {
  return coseFiles('mac0-tests').map((file) => {
    const { structure, key, maced } = macParts(file);
    return { file: file.replace(/^.*\//, ''), sound: structure[3].equals(hmac(key, cbor([...maced]))) };
  });
}

/** Other COSE messages under keys of ours: COSE_Mac with recipients, AES-MAC. */
export function otherCoseCases(): PublishedCase[] {
  return [...coseFiles('hmac-examples'), ...coseFiles('RFC8152')].map((file) => ({
    name: `COSE ${file.replace('cose/', '')}, as published`,
    token: hex(read<CoseExample>(file).output.cbor).toString('base64url'),
    secret: Buffer.alloc(32),
    expected: 'malformed_token',
  }));
}

interface Group<Case> {
  readonly private?: { readonly kty?: string; readonly k?: string; readonly kid?: string };
  readonly tagSize?: number;
  readonly tests: readonly Case[];
}
const groups = <Case>(file: string): readonly Group<Case>[] =>
  read<{ testGroups: Group<Case>[] }>(`wycheproof/${file}`).testGroups;

interface JwsCase {
  readonly tcId: number;
  readonly comment: string;
  readonly jws: string;
  readonly result: string;
}

/** Cases whose label contradicts their own text: see `test/sdk/wycheproof.test.ts`. */
const mislabelled: Readonly<Record<number, 'valid' | 'invalid'>> = {
  367: 'valid',
  370: 'valid',
  372: 'invalid',
  373: 'invalid',
};

/** A change from one text to another, made to a third: what is alike at both ends stays. */
function edited(from: string, to: string, text: string): string {
  if (from === to) return text;
  const shortest = Math.min(from.length, to.length);
  let before = 0;
  while (before < shortest && from[before] === to[before]) before++;
  let after = 0;
  while (after < shortest - before && from.at(-1 - after) === to.at(-1 - after)) after++;
  return (
    text.slice(0, before) +
    to.slice(before, to.length - after) +
    text.slice(text.length - (text.length - from.length + after))
  );
}

/** Wycheproof's JWS cases under HS256: as published, whose texts are no claims; and the same flaws on claims. */
export function wycheproofJwsCases(): PublishedCase[] {
  const claims = Buffer.from(`{"exp":${NOW + 60}}`).toString('base64url');
  return groups<JwsCase>('json_web_signature_test.json')
    .filter((group) => group.private?.kty === 'oct')
    .flatMap(({ private: key, tests }, group): PublishedCase[] => {
      const secret = Buffer.from(key!.k!, 'base64url');
      const sign = (input: string): string => hmac(secret, input).toString('base64url');
      const [, soundPayload = ''] = tests[0]!.jws.split('.');
      return tests.flatMap(({ tcId, comment, jws, result }): PublishedCase[] => {
        const common = { secret, kid: key!.kid!, target: '/x?CAT=TOKEN' };
        const [header = '', payload, signature, ...rest] = jws.split('.');
        // A payload that is base64url of its own stands for itself; another is a flaw in the group's first.
        const sound = (text: string): string =>
          Buffer.from(text, 'base64url').toString('base64url') === text ? text : soundPayload;
        const body = payload === undefined ? undefined : edited(sound(payload), payload, claims);
        const full = `${header}.${payload}`;
        const ours = signature === undefined ? undefined : edited(sign(full), signature, sign(`${header}.${body}`));
        const token = [header, body, ours, ...rest].filter((part) => part !== undefined).join('.');
        const name = `Wycheproof JWS group ${group} case ${tcId}, ${comment}`;
        const label = mislabelled[tcId] ?? result;
        return [
          { ...common, name: `${name}, as published: no claims in it`, token: jws, expected: 'refused' },
          {
            ...common,
            name: `${name}, with claims: ${label}`,
            token,
            expected: label === 'valid' ? 'admitted' : 'refused',
          },
        ];
      });
    });
}

interface HmacCase {
  readonly tcId: number;
  readonly key: string;
  readonly msg: string;
  readonly tag: string;
  readonly result: 'valid' | 'invalid';
}

export interface HmacVector {
  readonly tcId: number;
  readonly key: Buffer;
  readonly message: Buffer;
  readonly tag: Buffer;
  readonly valid: boolean;
}

export function hmacVectors(): HmacVector[] {
  return groups<HmacCase>('hmac_sha256_test.json').flatMap(({ tests }) =>
    tests.map(({ tcId, key, msg, tag, result }) => ({
      tcId,
      key: hex(key),
      message: hex(msg),
      tag: hex(tag),
      valid: result === 'valid',
    })),
  );
}

/** Each of Wycheproof's keys and messages in a token of either format, with the flaw that its tag has. */
export function wycheproofHmacCases(): PublishedCase[] {
  return hmacVectors().flatMap(({ tcId, key, message, tag, valid }): PublishedCase[] => {
    const flaw = xor(tag, hmac(key, message));
    const flawed = (mac: Buffer): Buffer => xor(mac.subarray(0, tag.length), flaw);
    const common = { secret: key, target: '/x?CAT=TOKEN' };
    const expected = valid && tag.length === 32 ? 'admitted' : 'bad_signature';
    const exp = NOW + 60;
    const name = `Wycheproof HMAC-SHA-256 case ${tcId}, a tag of ${tag.length} bytes, ${valid ? 'valid' : 'invalid'}`;
    return [
      {
        ...common,
        name: `${name} (CAT)`,
        token: makeCat({ key, claims: { exp, 1000: message }, mac: flawed }),
        expected,
      },
      {
        ...common,
        name: `${name} (JWT)`,
        token: makeJwt({ key, claims: { exp, x: message.toString('hex') }, signature: flawed }),
        expected,
      },
    ];
  });
}
