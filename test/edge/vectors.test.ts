import { createHmac, createPrivateKey, createPublicKey, sign, type JsonWebKey } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import { encodeCatClaims } from '@portcullis/tokens/claims';
import { createKeyRing, type KeySource } from '../../edge/keys.js';
import { isGenuine, isSigned, type EdgeKey } from '../../edge/signature.js';
import { misspelling } from '../../edge/spelling.js';
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

describe.skipIf(!present)('Wycheproof: signatures', () => {
  it.each([
    ['ES256', 'wycheproof/ecdsa_secp256r1_sha256_p1363_test.json', 262],
    ['PS256', 'wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json', 108],
  ] as const)('%s: every case of %s', (algorithm, file, count) => {
    let seen = 0;
    for (const { publicKeyPem, tests } of read<{ testGroups: SignatureGroup[] }>(file).testGroups) {
      const key = createPublicKey(publicKeyPem);
      for (const { tcId, msg, sig, result } of tests) {
        const holds = isSigned(algorithm, key, Buffer.from(msg, 'hex'), Buffer.from(sig, 'hex'));
        expect([tcId, holds]).toEqual([tcId, result === 'valid']);
        seen++;
      }
    }
    expect(seen).toBe(count);
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

/** What the handler finds of a JWS, the payload aside, which is no claim set in these vectors. */
async function isSound(jws: string, jwk: JsonWebKey): Promise<boolean> {
  const parts = jws.split('.');
  if (!/^[\w-]*\.[\w-]*\.[\w-]*$/.test(jws) || misspelling(jws)) return false;
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(Buffer.from(parts[0] as string, 'base64url').toString()) as Record<string, unknown>;
  } catch {
    return false;
  }
  const [sources, ports] = sourceOf(jwk);
  const key = await createKeyRing(sources, ports).find((header['kid'] as string | undefined) ?? '', 'verify');
  if (!key || header['crit'] !== undefined || key.algorithm !== header['alg']) return false;
  const token = { signed: [`${parts[0]}.${parts[1]}`], signature: Buffer.from(parts[2] as string, 'base64url') };
  if (key.algorithm !== 'HS256') return isGenuine(key, token);
  return createHmac('sha256', key.key)
    .update(token.signed[0] as string)
    .digest()
    .equals(token.signature);
}

describe.skipIf(!present)('Wycheproof: JSON Web Signature', () => {
  const { testGroups } = present
    ? read<{ testGroups: JwsGroup[] }>('wycheproof/json_web_signature_test.json')
    : { testGroups: [] };

  it('holds and refuses what it should, and admits none: no payload is a claim set', async () => {
    let seen = 0;
    for (const group of testGroups) {
      const jwk = group.public ?? group.private;
      if (!jwk) continue;
      const [keys, ports] = sourceOf(jwk);
      const validate = createValidator(validatorConfig({ keys }), ports);
      for (const { tcId, jws, result } of group.tests) {
        const header = /^[\w-]+/.exec(jws)?.[0] ?? '';
        const algorithm = /"alg" *: *"(\w+)"/.exec(Buffer.from(header, 'base64url').toString())?.[1] ?? '';
        const label = result === 'valid' && supported.includes(String(jwk.alg)) && supported.includes(algorithm);
        const expected = mislabelled[tcId] ?? label;
        if (result !== 'acceptable') expect([tcId, await isSound(jws, jwk)]).toEqual([tcId, expected]);
        const verdict = await validate(lambdaRequest({ query: `CAT=${jws}` }), context);
        expect([tcId, verdict.reason === '']).toEqual([tcId, false]);
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(390);
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
    const validate = createValidator(validatorConfig({ keys: keyRing(input.sign0) }));
    const reasonFor = async (bytes: Buffer): Promise<string> =>
      (await validate(lambdaRequest({ query: `CAT=${bytes.toString('base64url')}` }), context)).reason;

    // As it is, it is no token: its content is no claim set.
    expect(await reasonFor(message)).toBe('malformed_token');
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
    const wrong = fail === true || refused.some((name) => name in (input.failures ?? {}) || name in input.sign0);
    expect((await reasonFor(token)) === '').toBe(!wrong);
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
