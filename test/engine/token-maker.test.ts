import { describe, expect, it } from 'vitest';
import { Float, LABEL, Raw, Tagged, cbor, cborHead, makeCatBytes, makeJwt } from './token-maker.js';

const hex = (value: unknown): string => cbor(value).toString('hex');

describe('the CBOR of tests', () => {
  // RFC 8949, Appendix A.
  it.each([
    [0, '00'],
    [23, '17'],
    [24, '1818'],
    [1000, '1903e8'],
    [1_000_000, '1a000f4240'],
    [1_000_000_000_000, '1b000000e8d4a51000'],
    [18446744073709551615n, '1bffffffffffffffff'],
    [-1, '20'],
    [-1000, '3903e7'],
    [-18446744073709551616n, '3bffffffffffffffff'],
    [-0, 'f98000'],
    [1.1, 'fb3ff199999999999a'],
    [1.5, 'f93e00'],
    [new Float(65504, 2), 'f97bff'],
    [new Float(100000, 4), 'fa47c35000'],
    [5.960464477539063e-8, 'f90001'],
    [0.00006103515625, 'f90400'],
    [Infinity, 'f97c00'],
    [NaN, 'f97e00'],
    [-4.1, 'fbc010666666666666'],
    [true, 'f5'],
    [null, 'f6'],
    [undefined, 'f7'],
    [new Tagged(1, 1363896240), 'c11a514b67b0'],
    [Buffer.from([1, 2, 3, 4]), '4401020304'],
    ['IETF', '6449455446'],
    ['\u6c34', '63e6b0b4'],
    [[1, [2, 3], [4, 5]], '8301820203820405'],
    [
      new Map([
        [1, 2],
        [3, 4],
      ]),
      'a201020304',
    ],
    [{ a: 1, b: [2, 3] }, 'a26161016162820203'],
    [new Raw('5f 42 0102 43 030405 ff'), '5f42010243030405ff'],
  ])('encodes %o as the RFC does', (value, expected) => {
    expect(hex(value)).toBe(expected);
  });

  it('makes heads longer than they need to be when asked', () => {
    expect(cborHead(0, 5, 4).toString('hex')).toBe('1a00000005');
  });
});

describe('the tokens of tests', () => {
  it('are COSE_Mac0 as in RFC 8392 A.4 (its key, its claims, its order)', () => {
    const key = Buffer.from('403697de87af64611c1d32a05dab0fe1fcb715a86ab435f1ec99192d79569388', 'hex');
    const token = makeCatBytes({
      key,
      alg: null,
      protectedHeader: new Map([[1, 5]]),
      claims: new Map<number, unknown>([
        [LABEL.iss, 'coap://as.example.com'],
        [LABEL.sub, 'erikw'],
        [LABEL.aud, 'coap://light.example.com'],
        [LABEL.exp, 1444064944],
        [LABEL.nbf, 1443944944],
        [LABEL.iat, 1443944944],
        [LABEL.cti, Buffer.from('0b71', 'hex')],
      ]),
    });
    // The RFC's example is HMAC 256/64 and carries its kid outside: only what both share is compared.
    expect(token.subarray(0, 7).toString('hex')).toBe('d83dd18443a101');
    expect(token.toString('hex')).toContain(
      '5850a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e6578616d706c652e' +
        '636f6d041a5612aeb0051a5610d9f0061a5610d9f007420b71',
    );
  });

  it('are JWTs as in RFC 7515 A.1', () => {
    const token = makeJwt({
      key: Buffer.from(
        'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
        'base64url',
      ),
      headerText: '{"typ":"JWT",\r\n "alg":"HS256"}',
      payloadText: '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}',
    });
    expect(token.split('.')[2]).toBe('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk');
  });
});
