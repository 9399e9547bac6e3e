import { createHmac, createPrivateKey, createPublicKey, sign, type JsonWebKey } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import { encodeCatClaims } from '@portcullis/tokens/claims';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { createKeyRing, type KeySource } from '../../edge/keys.js';
import { createGuard } from '../../edge/guard/index.js';
import { isGenuine, type EdgeKey } from '../../edge/signature.js';
import { createValidator, type ValidatorPorts } from '../../edge/validator.js';
import { context, lambdaRequest, validatorConfig } from './requests.js';

const folder = fileURLToPath(new URL('../../../shared/vectors/', import.meta.url));
const present = existsSync(folder);
if (!present) console.warn('Skipped: there are no test vectors in ../shared/vectors.');

const read = <T>(file: string): T => JSON.parse(readFileSync(`${folder}${file}`, 'utf8')) as T;

interface SignatureGroup {
  readonly publicKeyPem: string;
  readonly tests: readonly {
    readonly tcId: number;
    readonly msg: string;
    readonly sig: string;
    readonly result: string;
  }[];
}

/**
 * A vector's message is no claim set, so no token. In these tests, and nowhere else, a text that stands for a vector is
 * taken apart into the vector's message and signature, and a payload that is none into no claims: everything before and
 * after that is the handler's own, from the key set to the answer.
 */
const standIns = vi.hoisted(() => new Map<string, ParsedToken>());
vi.mock('../../tokens/src/core/cose.js', async (original) => {
  const cose = await original<typeof import('../../tokens/src/core/cose.js')>();
  const parseCat: typeof cose.parseCat = (input) => {
    const at = input.indexOf(Buffer.from('\x54This is the conten'));
    if (at < 0) return standIns.get(input.toString()) ?? cose.parseCat(input);
    const [before, content, after] = [input.subarray(0, at), input.subarray(at, at + 21), input.subarray(at + 21)];
    const token = cose.parseCat(Buffer.concat([before, Buffer.from('41a0', 'hex'), after]));
    return { ...token, signed: [...token.signed.slice(0, -1), content] };
  };
  return { ...cose, parseCat };
});
vi.mock('../../tokens/src/core/jwt.js', async (original) => {
  const jwt = await original<typeof import('../../tokens/src/core/jwt.js')>();
  const parseJwt: typeof jwt.parseJwt = (text) => {
    const parts = text.split('.');
    const [head = '', payload = '', ...rest] = parts;
    if (parts.length < 2 || Buffer.from(payload, 'base64url').toString().startsWith('{')) return jwt.parseJwt(text);
    return { ...jwt.parseJwt([head, 'e30', ...rest].join('.')), signed: [`${head}.${payload}`] };
  };
  return { ...jwt, parseJwt };
});

/** What the handler does with a token: `admitted`, or why not. */
async function verdictOf(keys: readonly KeySource[], token: string, ports: ValidatorPorts = {}, uri?: string) {
  const guard = createGuard({ ...validatorConfig({ keys }), sample: 0 }, { log: () => undefined, ...ports });
  const request = lambdaRequest({ ...(uri ? { uri } : {}), headers: { 'CTA-Common-Access-Token': token } });
  const result = await guard({ Records: [{ cf: { config: context, request } }] });
  return 'status' in result ? result.headers?.['x-portcullis-reason']?.[0]?.value : 'admitted';
}

describe.skipIf(!present)('Wycheproof: signatures', () => {
  it.each([
    ['ES256', 'wycheproof/ecdsa_secp256r1_sha256_p1363_test.json', { admitted: 173, bad_signature: 89 }],
    ['PS256', 'wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json', { admitted: 63, bad_signature: 45 }],
  ] as const)('%s: every case of %s through the handler', async (algorithm, file, expected) => {
    const seen: Record<string, number> = {};
    for (const { publicKeyPem, tests } of read<{ testGroups: SignatureGroup[] }>(file).testGroups) {
      const jwk = { ...createPublicKey(publicKeyPem).export({ format: 'jwk' }), kid: 'wycheproof', alg: algorithm };
      for (const { tcId, msg, sig, result } of tests) {
        const name = `vector ${algorithm} ${tcId}`;
        standIns.set(name, {
          isJwt: false,
          algorithm,
          kid: 'wycheproof',
          claims: {},
          signed: [Buffer.from(msg, 'hex')],
          signature: Buffer.from(sig, 'hex'),
          payload: Buffer.alloc(0),
        });
        const verdict = await verdictOf(
          [{ kind: 'jwks', jwks: { keys: [jwk] } }],
          Buffer.from(name).toString('base64url'),
        );
        expect([tcId, verdict]).toEqual([tcId, result === 'valid' ? 'admitted' : 'bad_signature']);
        seen[String(verdict)] = (seen[String(verdict)] ?? 0) + 1;
      }
    }
    expect(seen).toEqual(expected);
  });

  it.each([
    ['ES256', 'wycheproof/ecdsa_secp256r1_sha256_p1363_test.json'],
    ['PS256', 'wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json'],
  ] as const)('%s: no signature of %s is one for a token, whose key it is', async (algorithm, file) => {
    const { testGroups } = read<{ testGroups: SignatureGroup[] }>(file);
    const jwks = {
      keys: testGroups.slice(0, 60).map(({ publicKeyPem }, i) => ({
        ...createPublicKey(publicKeyPem).export({ format: 'jwk' }),
        alg: algorithm,
        kid: String(i),
      })),
    };
    const validate = createValidator(validatorConfig({ keys: [{ kind: 'jwks', jwks }] }));
    const seen = new Set<string>();
    for (const [i, { tests }] of testGroups.slice(0, 60).entries())
      for (const { sig } of tests) {
        const text = [{ alg: algorithm, kid: String(i) }, { sub: 'u' }]
          .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
          .join('.');
        const token = `${text}.${Buffer.from(sig, 'hex').toString('base64url')}`;
        seen.add((await validate(lambdaRequest({ query: `CAT=${token}` }), context)).reason);
      }
    expect([...seen]).toEqual(['bad_signature']);
  });
});

interface JwsCase {
  readonly tcId: number;
  readonly comment: string;
  readonly jws: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}
interface JwsGroup {
  readonly public?: JsonWebKey;
  readonly private?: JsonWebKey;
  readonly tests: readonly JwsCase[];
}

/** Cases whose label contradicts their own text: 367 and 370 hold no padding, 372 and 373 have a "?" in them. */
const mislabelled: Readonly<Record<number, boolean>> = { 367: true, 370: true, 372: false, 373: false };
const supported = ['HS256', 'ES256', 'ES384', 'PS256', 'RS256', 'EdDSA'];

/** A vector's key, as this host gets its keys: public ones published, secrets in Secrets Manager. */
function sourceOf(jwk: JsonWebKey): [readonly KeySource[], ValidatorPorts] {
  return jwk.kty === 'oct'
    ? [
        [{ kind: 'secret', secret: 'wycheproof', region: 'us-east-1' }],
        { readSecret: () => Promise.resolve(JSON.stringify({ keys: [jwk] })) },
      ]
    : [[{ kind: 'jwks', jwks: { keys: [jwk] } }], {}];
}

describe.skipIf(!present)('Wycheproof: JSON Web Signature', () => {
  const { testGroups } = present
    ? read<{ testGroups: JwsGroup[] }>('wycheproof/json_web_signature_test.json')
    : { testGroups: [] };

  it('holds and refuses what it should', async () => {
    const seen: Record<string, number> = {};
    for (const group of testGroups) {
      const jwk = group.public ?? group.private;
      if (!jwk) throw new Error('no key');
      const [keys, ports] = sourceOf(jwk);
      for (const { tcId, jws, result } of group.tests) {
        const header = /^[\w-]+/.exec(jws)?.[0] ?? '';
        const algorithm = /"alg" *: *"(\w+)"/.exec(Buffer.from(header, 'base64url').toString())?.[1] ?? '';
        const label = result === 'valid' && supported.includes(String(jwk.alg)) && supported.includes(algorithm);
        const verdict = String(await verdictOf(keys, jws, ports));
        expect([tcId, verdict === 'admitted']).toEqual([tcId, mislabelled[tcId] ?? label]);
        seen[verdict] = (seen[verdict] ?? 0) + 1;
      }
    }
    // 20 of the 46 that are valid are of algorithms that no key is for here: RS384, PS512, ES512 and the like.
    expect(seen).toEqual({
      admitted: 26,
      bad_signature: 292,
      unknown_key: 42,
      malformed_token: 34,
      unsupported_algorithm: 4,
      missing_token: 3,
    });
  });

  it('admits a claim set signed with any of the keys that are for an algorithm of ours, and with no other', async () => {
    const outcomes: Record<string, Set<string>> = {};
    for (const group of testGroups) {
      const jwk = group.public ?? group.private;
      const { private: signing } = group;
      if (!jwk || !signing) continue;
      const algorithm = String(jwk.alg ?? (jwk.kty === 'EC' ? 'ES256' : 'RS256'));
      const text = [{ alg: algorithm, kid: jwk['kid'] }, { sub: 'u' }]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      const hash = `sha${algorithm.slice(2)}`;
      if (!/^(?:HS|RS|PS|ES)(?:256|384|512)$/.test(algorithm)) continue;
      const signature =
        signing.kty === 'oct'
          ? createHmac(hash, Buffer.from(signing.k as string, 'base64url'))
              .update(text)
              .digest()
          : sign(hash, Buffer.from(text), {
              key: createPrivateKey({ key: signing, format: 'jwk' }),
              ...(algorithm.startsWith('PS') ? { padding: 6, saltLength: Number(algorithm.slice(2)) / 8 } : {}),
              dsaEncoding: 'ieee-p1363',
            });
      const [keys, ports] = sourceOf(jwk);
      const verdict = await createValidator(validatorConfig({ keys }), ports)(
        lambdaRequest({ query: `CAT=${text}.${signature.toString('base64url')}` }),
        context,
      );
      const use =
        jwk.use === 'enc' || (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes('verify')) ? ' (encryption)' : '';
      (outcomes[algorithm + use] ??= new Set()).add(verdict.reason);
    }
    for (const [algorithm, reasons] of Object.entries(outcomes))
      expect([algorithm, [...reasons]]).toEqual([algorithm, [supported.includes(algorithm) ? '' : 'unknown_key']]);
    expect(Object.keys(outcomes)).toEqual(expect.arrayContaining(['HS256', 'ES256', 'RS256', 'PS256']));
  });
});

interface CoseExample {
  readonly title: string;
  readonly fail?: boolean;
  readonly input: {
    readonly sign0: { readonly key: JsonWebKey; readonly external?: string };
    readonly failures?: Readonly<Record<string, unknown>>;
  };
  readonly intermediates: { readonly ToBeSign_hex: string };
  readonly output: { readonly cbor: string };
}

describe.skipIf(!present)('COSE working group: Sign1', () => {
  const examples = present
    ? readdirSync(`${folder}cose/sign1-tests`).map((file) => read<CoseExample>(`cose/sign1-tests/${file}`))
    : [];
  const content = Buffer.from('This is the content.');
  /** What is refused here although it passes there: data beside the message, and a message that says not what it is. */
  const refused = ['external', 'RemoveCBORTag'];

  const keyRing = ({ key: { kty, crv, x, y } }: CoseExample['input']['sign0']): KeySource[] => [
    { kind: 'jwks', jwks: { keys: [{ kty, crv, x, y, kid: '11' }] } },
  ];

  it.each(examples.map((example) => [example.title, example] as const))('%s', async (_, example) => {
    const { fail, input, intermediates, output } = example;
    const message = Buffer.from(output.cbor, 'hex');
    const key = (await createKeyRing(keyRing(input.sign0), {}).find('11', 'verify')) as EdgeKey;
    const wrong = fail === true || refused.some((name) => name in (input.failures ?? {}) || name in input.sign0);
    const verdict = async (bytes: Buffer): Promise<string | undefined> =>
      verdictOf(keyRing(input.sign0), bytes.toString('base64url'));

    // As it was published, its own signature included.
    expect((await verdict(message)) === 'admitted').toBe(!wrong);
    // Its signature is over what the example says, which is not what stands in it where the content was changed.
    const toBeSigned = Buffer.from(intermediates.ToBeSign_hex, 'hex');
    expect(isGenuine(key, { signed: [toBeSigned], signature: message.subarray(-64) })).toBe(true);

    // The same message around a claim set, what is wrong with it included: what was signed, and what was made of it.
    const around = (bytes: Buffer): Buffer => {
      const changed = bytes.indexOf(content) < 0;
      const at = bytes.indexOf(content.subarray(0, -1));
      const payload = new CborWriter(64);
      payload.byteString(encodeCatClaims({ sub: changed ? 'v' : 'u' }));
      return Buffer.concat([
        bytes.subarray(0, at - 1),
        Buffer.from(payload.bytes.subarray(0, payload.end)),
        bytes.subarray(at + content.length),
      ]);
    };
    const signature = sign('sha256', around(toBeSigned), {
      key: createPrivateKey({ key: input.sign0.key, format: 'jwk' }),
      dsaEncoding: 'ieee-p1363',
    });
    const token = Buffer.concat([around(message).subarray(0, -64), signature]);
    expect((await verdict(token)) === 'admitted').toBe(!wrong);
  });

  it('RFC 9052 (C.2.1 of RFC 8152) and RFC 8392 A.3: messages of the standards, and one with a byte changed', async () => {
    const { input, output } = read<CoseExample>('cose/RFC8152/Appendix_C_2_1.json');
    const text = Buffer.from(output.cbor, 'hex');
    expect(await verdictOf(keyRing(input.sign0), text.toString('base64url'))).toBe('admitted');

    const { input: cwtInput, output: cwt } = read<CoseExample>('cose/CWT/A_3.json');
    const { x_hex: x, y_hex: y } = cwtInput.sign0.key as Record<string, string>;
    const point = [x, y].map((hex) => Buffer.from(String(hex), 'hex').toString('base64url'));
    const keys: KeySource[] = [
      {
        kind: 'jwks',
        jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: point[0], y: point[1] }] },
        iss: ['coap://as.example.com'],
      },
    ];
    const token = Buffer.from(cwt.cbor, 'hex');
    const at = (now: number) => ({ now: () => now * 1000 });
    const ask = (bytes: Buffer, now: number) => verdictOf(keys, bytes.toString('base64url'), at(now));
    expect(await ask(token, 1_443_944_943)).toBe('not_yet_valid');
    expect(await ask(token, 1_443_944_944)).toBe('admitted');
    expect(await ask(token, 1_444_064_944)).toBe('expired');
    token.write('u', token.indexOf('erik'));
    expect(await ask(token, 1_443_944_944)).toBe('bad_signature');
  });

  it('has passing and failing ones', () => {
    expect([examples.filter(({ fail }) => fail).length, examples.filter(({ fail }) => !fail).length]).toEqual([6, 3]);
  });
});

interface PublishedToken {
  readonly alg: 'HS256' | 'PS256';
  readonly token: string;
  readonly key: { readonly base64?: string; readonly pem?: string };
}

describe.skipIf(!present)('CTA-5007-B: published examples', () => {
  const { tokens } = present
    ? read<{ tokens: PublishedToken[] }>('cta-5007-b-annex.json')
    : { tokens: [] as PublishedToken[] };

  it.each(tokens.map((one) => [one.alg, one] as const))(
    '%s: opens its path until it expires',
    async (alg, { token, key }) => {
      // None of them names a key.
      const jwk =
        key.pem === undefined
          ? { kty: 'oct', alg, k: Buffer.from(key.base64 ?? '', 'base64').toString('base64url') }
          : { ...createPublicKey(key.pem).export({ format: 'jwk' }), alg };
      const [keys, ports] = sourceOf(jwk);
      const ask = async (uri: string, now: number, text = token): Promise<string> => {
        const validate = createValidator(validatorConfig({ keys }), { ...ports, now: () => now * 1000 });
        return (await validate(lambdaRequest({ uri, query: `CAT=${text}` }), context)).reason;
      };
      expect(await ask('/b04c80bf74ff02b4/a.m3u8', 1_699_999_999)).toBe('');
      expect(await ask('/b04c80bf74ff02b4/a.m3u8', 1_700_000_000)).toBe('expired');
      expect(await ask('/another/a.m3u8', 1_699_999_999)).toBe('uri_mismatch');
      const other = `${token.slice(0, 100)}${token[100] === 'A' ? 'B' : 'A'}${token.slice(101)}`;
      expect(await ask('/b04c80bf74ff02b4/a.m3u8', 1_699_999_999, other)).toBe('bad_signature');
    },
  );
});
