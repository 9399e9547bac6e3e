import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, it } from 'vitest';
import { proofKeyOf } from './proof-key.js';
import type { Jwk } from './keys.js';

const pairs = [
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  generateKeyPairSync('ed25519'),
  generateKeyPairSync('rsa', { modulusLength: 2048 }),
];

describe('proofKeyOf', () => {
  it('makes the thumbprint of RFC 8037 A.3', async () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid: 'whatever' };
    expect(await proofKeyOf(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  it('agrees with another library on every kind of key', async () => {
    for (const { publicKey } of pairs) {
      const jwk = publicKey.export({ format: 'jwk' });
      expect(await proofKeyOf({ ...jwk, alg: 'x', use: 'sig' } as Jwk)).toBe(await calculateJwkThumbprint(jwk));
    }
  });

  it('takes no private key, and nothing that is no key', async () => {
    for (const { privateKey } of pairs)
      await expect(proofKeyOf(privateKey.export({ format: 'jwk' }) as Jwk)).rejects.toThrow('public JWK');
    for (const jwk of [
      {},
      { kty: 'oct', k: 'AAAA' },
      { kty: 'EC', crv: 'P-256', x: 'AA' },
      { kty: 'RSA', n: 'AA', e: 1 },
    ])
      await expect(proofKeyOf(jwk as Jwk)).rejects.toThrow('public JWK');
  });
});
