import { generateKeyPairSync } from 'node:crypto';
import { Decoder, type Tag } from 'cbor-x';
import { describe, expect, it } from 'vitest';
import { createSigner } from '../signer.js';
import { parseCat } from './cose.js';
import type { ParsedToken } from './token.js';

/*
 * `parseCat` tells the usual CAT by its frame and reads any other item by item. Here each byte of usual ones is changed, and
 * whatever is still taken must say what another decoder reads in it.
 */

const decoder = new Decoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });

/** What a COSE message says, by cbor-x; undefined where it is none of four parts with byte strings where they belong. */
function decoded(input: Buffer) {
  const tagged = decoder.decode(input) as Tag & { tag: number };
  const inner = (tagged.tag === 61 ? tagged.value : tagged) as Tag & { tag: number };
  const parts = inner.value as [Buffer, Map<number, unknown>, Buffer, Buffer];
  const head = parts[0].length > 0 ? (decoder.decode(parts[0]) as Map<number, unknown>) : parts[1];
  return {
    tag: inner.tag,
    parts: parts.length,
    algorithm: (head.get(1) ?? parts[1].get(1)) as number | undefined,
    kid: (head.get(4) ?? parts[1].get(4)) as Buffer | undefined,
    labels: [...(decoder.decode(parts[2]) as Map<unknown, unknown>).keys()]
      // Integers that no number holds are of no claim.
      .map((label) => String(typeof label === 'bigint' ? Number(label) : label))
      .sort(),
    payload: parts[2],
    signature: parts[3],
  };
}

const names: Record<number, string> = { 5: 'HS256', [-7]: 'ES256' };

function agrees(input: Buffer, token: ParsedToken): void {
  const other = decoded(input);
  const at = input.toString('hex');
  expect(other.parts, at).toBe(4);
  expect([17, 18], at).toContain(other.tag);
  const named = other.algorithm === undefined ? undefined : (names[other.algorithm] ?? token.algorithm);
  // A COSE_Mac0 that names none is for HMAC; in a COSE_Sign1 the key says.
  expect(token.algorithm, at).toBe(named ?? (other.tag === 17 ? 'HS256' : undefined));
  const kid = Buffer.from(other.kid ?? []).toString('latin1');
  expect(token.kid, at).toBe(/^[!-~]*$/.test(kid) ? kid : Buffer.from(kid, 'latin1').toString('base64url'));
  expect(Buffer.from(token.payload as Buffer).equals(other.payload), at).toBe(true);
  expect(token.signature.equals(other.signature), at).toBe(true);
  expect(
    Object.keys(token.claims)
      .map((label) => label.replace('$', ''))
      .sort(),
    at,
  ).toEqual(other.labels);
  // What is signed: context, protected header with its head, nothing from outside, payload with its head.
  const [context, , external, payload] = token.signed;
  expect(Buffer.from(context as Buffer).toString('latin1'), at).toBe(
    other.tag === 17 ? '\x84dMAC0' : '\x84jSignature1',
  );
  expect(external, at).toBe('@');
  expect((payload as Buffer).subarray(-other.payload.length).equals(other.payload), at).toBe(true);
}

async function tokens(): Promise<readonly (readonly [string, Buffer])[]> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const policy = { paths: '/live/ch1/', countries: ['GB'], expiresIn: '2h', subject: 'u-1' } as const;
  const of = async (signer: ReturnType<typeof createSigner>): Promise<Buffer> =>
    Buffer.from((await signer.sign(policy)).token, 'base64url');
  return [
    [
      'HS256',
      await of(createSigner({ issuer: 'cms', key: { alg: 'HS256', kid: 'a-key', secret: Buffer.alloc(32, 7) } })),
    ],
    ['ES256', await of(createSigner({ issuer: 'cms', key: { alg: 'ES256', kid: 'a-key', privateKey } }))],
  ];
}

describe('the usual CAT and those beside it', async () => {
  for (const [name, token] of await tokens()) {
    it(`${name}: says what another decoder reads`, () => {
      agrees(token, parseCat(token));
      expect(parseCat(token)).toMatchObject({ algorithm: name, kid: 'a-key' });
    });

    it(`${name}: changed in any byte it is refused, or still says what another decoder reads`, () => {
      let taken = 0;
      const changes = [1, 2, 4, 8, 16, 32, 64, 128, 0x20, 0x45, 0x60, 0xff];
      for (let i = 0; i < token.length; i++)
        for (const change of changes) {
          const changed = Buffer.from(token);
          changed[i] = (changed[i] as number) ^ change;
          let parsed: ParsedToken;
          try {
            parsed = parseCat(changed);
          } catch {
            continue;
          }
          taken++;
          agrees(changed, parsed);
        }
      // Most bytes are of keys, ids, texts and signatures, which may be any.
      expect(taken).toBeGreaterThan(token.length);
    });

    it(`${name}: cut short or with something behind it, it is none`, () => {
      for (let length = 0; length < token.length; length++) expect(() => parseCat(token.subarray(0, length))).toThrow();
      for (const more of ['00', 'ff', '40', '5820'])
        expect(() => parseCat(Buffer.concat([token, Buffer.from(more, 'hex')]))).toThrow();
    });
  }
});
