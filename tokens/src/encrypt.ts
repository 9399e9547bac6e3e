import { decodeBase64url, encodeBase64url } from './base64url.js';
import { CborWriter } from './cbor/writer.js';
import { KeyError, PolicyError } from './errors.js';
import { keyIdBytes, keyIdText, type KeyId } from './keys.js';
import { maximumTokenLength } from './sign.js';

/** A secret that the recipient shares: 32 bytes for A256GCM, 16 for A128GCM. It encrypts and nothing else. */
export interface EncryptionKey {
  readonly kid: KeyId;
  readonly secret: Uint8Array;
}

const nonceBytes = 12;
const utf8 = new TextEncoder();

/**
 * Encrypts a signed token: COSE_Encrypt0 around a CAT (RFC 9052 5.2, tagged as a CWT), a JWE with a directly used key
 * around a JWT (RFC 7516, RFC 7519 11.2). Exact addresses, coordinates and long geohashes must travel so (CTA-5007-B 4.6).
 * Only Lambda@Edge opens such tokens; a CloudFront Function has no ciphers.
 *
 * @throws KeyError `invalid_key` for a secret of another length; PolicyError for what is no token, or too long a one.
 * @example
 * ```ts
 * const token = await encryptToken(await signCat(claims, signingKey), { kid: 'enc1', secret });
 * ```
 */
export async function encryptToken(token: string, key: EncryptionKey): Promise<string> {
  const { secret } = key;
  if (!(secret instanceof Uint8Array) || (secret.length !== 16 && secret.length !== 32))
    throw new KeyError('invalid_key', 'An encryption key has 32 bytes (A256GCM) or 16 (A128GCM).');
  const sealed = token.includes('.') ? await sealJwt(token, key) : await sealCat(token, key);
  if (sealed.length > maximumTokenLength)
    throw new PolicyError('policy', `an encrypted token of at most ${maximumTokenLength} characters`, sealed.length);
  return sealed;
}

async function sealCat(token: string, { kid, secret }: EncryptionKey): Promise<string> {
  const plain = decodeBase64url(token);
  if (!plain) throw new PolicyError('token', 'a signed CAT in base64url, or a JWT');
  const header = new CborWriter(192);
  header.map(2);
  header.number(1);
  header.number(secret.length === 32 ? 3 : 1);
  header.number(4);
  header.byteString(keyIdBytes(kid));
  const protectedHeader = header.bytes.slice(0, header.end);

  const structure = new CborWriter(256);
  structure.array(3);
  structure.text('Encrypt0');
  structure.byteString(protectedHeader);
  structure.byteString(new Uint8Array(0));
  const { nonce, sealed } = await seal(plain, secret, structure.bytes.slice(0, structure.end));

  const message = new CborWriter(sealed.length + 256);
  message.tag(61);
  message.tag(16);
  message.array(3);
  message.byteString(protectedHeader);
  message.map(1);
  message.number(5);
  message.byteString(nonce);
  message.byteString(sealed);
  return encodeBase64url(message.bytes, 0, message.end);
}

async function sealJwt(token: string, { kid, secret }: EncryptionKey): Promise<string> {
  const header = { alg: 'dir', enc: secret.length === 32 ? 'A256GCM' : 'A128GCM', cty: 'JWT', kid: keyIdText(kid) };
  const head = encodeBase64url(utf8.encode(JSON.stringify(header)));
  const { nonce, sealed } = await seal(utf8.encode(token), secret, utf8.encode(head));
  const tagStart = sealed.length - 16;
  return [
    head,
    '',
    encodeBase64url(nonce),
    encodeBase64url(sealed, 0, tagStart),
    encodeBase64url(sealed, tagStart, sealed.length),
  ].join('.');
}

/** AES-GCM with a nonce that is drawn anew each time: good for 2^32 tokens with one key (NIST SP 800-38D 8.3). */
async function seal(
  plain: Uint8Array<ArrayBuffer>,
  secret: Uint8Array,
  additionalData: Uint8Array<ArrayBuffer>,
): Promise<{ nonce: Uint8Array; sealed: Uint8Array }> {
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
  const key = await crypto.subtle.importKey('raw', new Uint8Array(secret), 'AES-GCM', false, ['encrypt']);
  const parameters = { name: 'AES-GCM', iv: nonce, additionalData, tagLength: 128 };
  return { nonce, sealed: new Uint8Array(await crypto.subtle.encrypt(parameters, key, plain)) };
}
