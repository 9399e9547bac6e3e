import { createHmac } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { synchronousHmac } from '@portcullis/tokens/crypto-backend';
import { verifyJws } from '@portcullis/tokens/jws';
import type { Jwk, SignatureAlgorithm, VerificationKey } from '@portcullis/tokens/keys';

const folder = fileURLToPath(new URL('../../../shared/vectors/wycheproof/', import.meta.url));
const present = existsSync(folder);
if (!present) console.warn('Skipped: the Wycheproof vectors are not in ../shared/vectors/wycheproof.');

interface Group<Case> {
  readonly comment?: string;
  readonly public?: Jwk;
  readonly private?: Jwk;
  readonly tagSize?: number;
  readonly tests: readonly Case[];
}

function groups<Case>(file: string): readonly Group<Case>[] {
  return (JSON.parse(readFileSync(`${folder}${file}`, 'utf8')) as { testGroups: Group<Case>[] }).testGroups;
}

/**
 * Cases whose label contradicts their own text. 367 and 370 are called padded and invalid, but hold no padding: they
 * are a sound JWS, byte for byte. 372 and 373 are called valid, and have a "?" in their base64url.
 */
const mislabelled: Readonly<Record<number, 'accepted' | 'refused'>> = {
  367: 'accepted',
  370: 'accepted',
  372: 'refused',
  373: 'refused',
};

/** The algorithm that the JWS itself names: 346 and 350 hand a PS384 signature to a key for PS256. */
function headerAlgorithm(jws: string): string {
  try {
    return (JSON.parse(Buffer.from(jws.split('.')[0] ?? '', 'base64url').toString()) as { alg: string }).alg;
  } catch {
    return '';
  }
}

const supported: readonly string[] = ['HS256', 'ES256', 'PS256', 'RS256', 'EdDSA', 'ES384'];

function keyOf(jwk: Jwk): VerificationKey {
  const named = jwk.kid === undefined ? {} : { kid: jwk.kid };
  if (jwk.kty === 'oct') return { alg: 'HS256', ...named, secret: jwk as Jwk & { kty: 'oct' } };
  return { alg: jwk.alg as Exclude<SignatureAlgorithm, 'HS256'>, ...named, publicKey: jwk } as VerificationKey;
}

describe.skipIf(!present)('Wycheproof: JSON Web Signature', () => {
  interface Case {
    readonly tcId: number;
    readonly comment: string;
    readonly jws: string;
    readonly result: 'valid' | 'invalid' | 'acceptable';
  }
  for (const [i, group] of (present ? groups<Case>('json_web_signature_test.json') : []).entries()) {
    const jwk = group.public ?? group.private;
    for (const { tcId, comment, jws, result } of group.tests) {
      const algorithm = jwk?.alg ?? '';
      const sound = result === 'valid' && supported.includes(algorithm) && supported.includes(headerAlgorithm(jws));
      const expected = mislabelled[tcId] ?? (sound ? 'accepted' : 'refused');
      it(`group ${i} (${group.comment ?? ''}) case ${tcId}: ${comment}: ${expected}`, async () => {
        const verdict = await verifyJws(jws, jwk && supported.includes(algorithm) ? [keyOf(jwk)] : []).then(
          () => 'accepted',
          () => 'refused',
        );
        if (result !== 'acceptable') expect(verdict).toBe(expected);
      });
    }
  }
});

describe.skipIf(!present)('Wycheproof: HMAC-SHA-256', () => {
  interface Case {
    readonly tcId: number;
    readonly key: string;
    readonly msg: string;
    readonly tag: string;
    readonly result: 'valid' | 'invalid';
  }
  it('agrees on every case, whatever the length of the key', () => {
    let seen = 0;
    for (const group of groups<Case>('hmac_sha256_test.json')) {
      for (const { tcId, key, msg, tag, result } of group.tests) {
        const mac = synchronousHmac(Buffer.from(key, 'hex'))?.(Buffer.from(msg, 'hex'), 'latin1') ?? '';
        const truncated = Buffer.from(mac, 'latin1')
          .subarray(0, (group.tagSize ?? 256) / 8)
          .toString('hex');
        expect(truncated === tag, `case ${tcId}`).toBe(result === 'valid');
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(100);
  });
});

describe('the quick HMAC', () => {
  it('is createHmac for every length of key and message', () => {
    for (const keyLength of [32, 63, 64, 65, 200]) {
      const secret = Buffer.alloc(keyLength, keyLength);
      const hmac = synchronousHmac(secret);
      for (const length of [0, 1, 63, 64, 65, 4095, 4096, 4097, 10_000]) {
        const data = Buffer.alloc(length, 'x');
        const expected = createHmac('sha256', secret).update(data).digest('base64url');
        expect([hmac?.(data, 'base64url'), hmac?.(data.toString(), 'base64url')]).toEqual([expected, expected]);
      }
    }
  });
});
