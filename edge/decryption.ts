import { createDecipheriv } from 'node:crypto';
import { isText, must } from '@portcullis/tokens/core/basics';
import { fromBase64, isBytes, toBase64 } from '@portcullis/tokens/core/bytes';
import { at, isMap, openCbor, readCbor, readMap, type CborMap, type CborValue } from '@portcullis/tokens/core/cbor';
import { keyIdText } from '@portcullis/tokens/core/cose';
import { MAX_KID_LENGTH } from '@portcullis/tokens/core/limits';
import type { Reason } from '@portcullis/tokens/core/reasons';
import type { EdgeKey } from './signature.js';

/** An encrypted message taken apart. */
interface Sealed {
  readonly algorithm: string;
  readonly kid: string;
  readonly nonce: Buffer;
  /** What is authenticated, but not encrypted. */
  readonly header: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
  /** The token's text from what was encrypted. */
  readonly text: (plain: Buffer) => string;
}

/** COSE algorithms for content (RFC 9053 4.1). */
const COSE_ALGORITHMS: Record<number, string> = { 1: 'A128GCM', 3: 'A256GCM' };
/** `["Encrypt0", …, …]`: an array of three and its first item (RFC 9052 5.3). */
const CONTEXT = Buffer.from('8368456e637279707430', 'hex');
const NO_BYTES = Buffer.from('40', 'hex');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Whether a token begins as a COSE_Encrypt0 (tag 16 over an array of three, the CWT tag optional), or is a JWE of five parts. */
export function isEncrypted(token: string): boolean {
  if (token.startsWith('eyJ')) return token.split('.').length === 5;
  return token.startsWith('0IN') || token.startsWith('2D3Qg');
}

/**
 * Opens a token that was signed first and encrypted then (RFC 8392 7.1, RFC 7519 11.2): A128GCM or A256GCM with a shared
 * key. What is in it must be a token with a signature or MAC of its own: who may encrypt is not who may issue.
 *
 * @returns The token within.
 * @throws A reason, or anything else where the token is malformed.
 */
export async function openToken(
  token: string,
  find: (kid: string) => EdgeKey | undefined | Promise<EdgeKey | undefined>,
): Promise<string> {
  const sealed = token.startsWith('eyJ') ? readJwe(token) : readEncrypt0(token);
  must(sealed.kid.length <= MAX_KID_LENGTH && sealed.nonce.length === NONCE_BYTES && sealed.tag.length === TAG_BYTES);
  let key: EdgeKey | undefined;
  try {
    key = await find(sealed.kid);
  } catch {
    throw 'store_error' satisfies Reason;
  }
  if (!key) throw 'unknown_key' satisfies Reason;
  if (key.algorithm !== sealed.algorithm) throw 'unsupported_algorithm' satisfies Reason;
  return sealed.text(decrypted(sealed, key));
}

function decrypted({ nonce, header, ciphertext, tag }: Sealed, { algorithm, key }: EdgeKey): Buffer {
  const name = algorithm === 'A128GCM' ? 'aes-128-gcm' : 'aes-256-gcm';
  const decipher = createDecipheriv(name, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(header);
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch {
    throw 'bad_signature' satisfies Reason;
  }
}

/** COSE_Encrypt0 (RFC 9052 5.2). */
function readEncrypt0(token: string): Sealed {
  // Padding is allowed (CTA-5007-B 4.3.1.1), and escaped in a query.
  const text = token.replace(/(=|%3d){1,2}$/i, '');
  must(/^[\w-]+$/.test(text) && text.length % 4 !== 1);
  const input = fromBase64(text);
  const start = input[0] === 0xd8 && input[1] === 0x3d ? 2 : 0;
  must(input[start] === 0xd0 && input[start + 1] === 0x83);
  openCbor(input, start + 2);
  const protectedBytes = readCbor(1);
  const protectedEnd = at;
  const outer = readCbor(1);
  const content = readCbor(1);
  must(at === input.length && isBytes(protectedBytes) && isMap(outer) && isBytes(content));
  const inner =
    (protectedBytes as Buffer).length > 0
      ? readMap(protectedBytes as Buffer, 0, (protectedBytes as Buffer).length)
      : {};
  const header = (label: number): CborValue => (label in inner ? inner : (outer as CborMap))[label];
  const kid = header(4);
  const nonce = header(5);
  // `crit` (2) and partial nonces (6) ask for what this recipient does not know (RFC 9052 3.1).
  must(isBytes(nonce) && (kid === undefined || isBytes(kid)) && header(2) === undefined && header(6) === undefined);
  const bytes = content as Buffer;
  must(bytes.length > TAG_BYTES);
  return {
    algorithm: COSE_ALGORITHMS[header(1) as number] ?? 'none',
    kid: kid === undefined ? '' : keyIdText(kid as Buffer),
    nonce: nonce as Buffer,
    header: Buffer.concat([
      CONTEXT,
      (protectedBytes as Buffer).length > 1 ? input.subarray(start + 2, protectedEnd) : NO_BYTES,
      NO_BYTES,
    ]),
    ciphertext: bytes.subarray(0, -TAG_BYTES),
    tag: bytes.subarray(-TAG_BYTES),
    text: toBase64,
  };
}

/** JWE in compact form with a key that is used directly (RFC 7516 7.1, RFC 7518 4.5), a JWT in it (RFC 7519 5.2). */
function readJwe(token: string): Sealed {
  const parts = token.split('.') as [string, string, string, string, string];
  must(parts.every((part) => /^[\w-]*$/.test(part) && part.length % 4 !== 1));
  const [head, encryptedKey, nonce, ciphertext, tag] = parts;
  const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromBase64(head)));
  must(isMap(header));
  const { alg, enc, kid = '', cty, crit, zip } = header as CborMap;
  // Compressed content would say by its length what is in it, and could be of any length itself.
  must(isText(kid) && isText(cty) && /^(?:application\/)?jwt$/i.test(cty) && crit === undefined && zip === undefined);
  if (alg !== 'dir' || !isText(enc)) throw 'unsupported_algorithm' satisfies Reason;
  must(encryptedKey === '');
  return {
    algorithm: enc as string,
    kid: kid as string,
    nonce: fromBase64(nonce),
    header: Buffer.from(head),
    ciphertext: fromBase64(ciphertext),
    tag: fromBase64(tag),
    text: (plain) => {
      const text = plain.toString('latin1');
      // Else what came as a JWT could be a CAT, whose claims mean other things.
      must(text.startsWith('eyJ'));
      return text;
    },
  };
}
