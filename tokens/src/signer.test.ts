import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseCat } from './core/cose.js';
import { createSigner } from './signer.js';

const secret = randomBytes(32);
const key = { alg: 'HS256', kid: 'k1', secret } as const;

describe('createSigner', () => {
  it('makes a COSE_Mac0 whose MAC and headers the core reads', async () => {
    const signer = createSigner({ issuer: 'cms', key });
    const { token } = await signer.sign({ paths: '/live/ch1/', expiresIn: '2h', countries: ['GB', 'US-CA'] });
    const parsed = parseCat(Buffer.from(token, 'base64url'));
    expect(parsed.kid).toBe('k1');
    expect(
      createHmac('sha256', secret)
        .update(Buffer.concat(parsed.signed.map((piece) => Buffer.from(piece))))
        .digest(),
    ).toEqual(parsed.signature);
  });
});
