import { createHmac } from 'node:crypto';
import type { Tag } from 'cbor-x';
import { Decoder } from 'cbor-x';
import { decode } from '@portcullis/tokens';
import { cbor } from '../engine/token-maker.js';
import { secretOf } from '../verdicts/requests.js';

/** The claims of a token that the edge made, by JWT name; its MAC is checked without the project's own code. */
export function claimsOf(token: string, kid: string): Readonly<Record<string, unknown>> {
  const mac = (data: string | Uint8Array): string =>
    createHmac('sha256', secretOf(kid)).update(data).digest('base64url');
  const decoded = decode(token);
  if (decoded.kid !== kid) throw new Error(`the kid is ${decoded.kid}, not ${kid}`);
  if (decoded.format === 'jwt') {
    const [header = '', payload = '', signature] = token.split('.');
    if (signature !== mac(`${header}.${payload}`)) throw new Error('the signature is wrong');
    return decoded.claims;
  }
  const { tag, value } = new Decoder({ mapsAsObjects: false }).decode(Buffer.from(token, 'base64url')) as Tag & {
    value: [Uint8Array, unknown, Uint8Array, Uint8Array];
  };
  const [protectedBytes, , payload, tagBytes] = value;
  if (tag !== 17) throw new Error(`the tag is ${tag}, not 17`);
  const structure = cbor(['MAC0', protectedBytes, Buffer.alloc(0), payload]);
  if (Buffer.from(tagBytes).toString('base64url') !== mac(structure)) throw new Error('the MAC is wrong');
  return decoded.claims;
}
