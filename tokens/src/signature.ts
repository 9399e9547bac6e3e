import type { Reason } from './core/reasons.js';
import { parseWithCore, type ParsedToken } from './core-bridge.js';
import { importHmac, nodeCrypto, synchronousHmac, webCryptoParameters } from './crypto-backend.js';
import { TokensError } from './errors.js';
import { importAsymmetricKey, keyIdText, secretOf, type HmacKey, type VerificationKey } from './keys.js';

/** A token that is not genuine: `code` is a reason of the closed list, such as `bad_signature`. */
export class SignatureError extends TokensError {
  constructor(code: Reason, message: string) {
    super(code, message);
  }
}

/** Checks one token's MAC or signature; at once where the runtime can, else as a promise. */
export type SignatureCheck = (token: Pick<ParsedToken, 'signed' | 'signature'>) => boolean | Promise<boolean>;

const checks = new WeakMap<object, SignatureCheck | Promise<SignatureCheck>>();

/** The check for a key, prepared once per key object. */
export function signatureCheck(key: VerificationKey): SignatureCheck | Promise<SignatureCheck> {
  let check = checks.get(key);
  if (!check) {
    check = prepareCheck(key);
    checks.set(key, check);
    if (check instanceof Promise) check.then((ready) => checks.set(key, ready)).catch(() => checks.delete(key));
  }
  return check;
}

function prepareCheck(key: VerificationKey): SignatureCheck | Promise<SignatureCheck> {
  if (key.alg === 'HS256') return hmacCheck(key);
  const { alg } = key;
  const parameters = webCryptoParameters[alg];
  return importAsymmetricKey(alg, key.publicKey, 'public').then(
    (imported) => (token) =>
      crypto.subtle.verify(parameters, imported, new Uint8Array(token.signature), joined(token.signed)),
  );
}

function hmacCheck(key: HmacKey): SignatureCheck | Promise<SignatureCheck> {
  const secret = secretOf(key);
  if (!(secret instanceof Uint8Array)) {
    return (token) => crypto.subtle.verify('HMAC', secret, new Uint8Array(token.signature), joined(token.signed));
  }
  const hmac = synchronousHmac(secret);
  if (!hmac) {
    return importHmac(secret, ['verify']).then(
      (imported) => (token) =>
        crypto.subtle.verify('HMAC', imported, new Uint8Array(token.signature), joined(token.signed)),
    );
  }
  return (token) => equalMac(token.signature, hmac(token.signed, 'latin1'));
}

/** The pieces as one run of bytes. */
export function joined(pieces: ParsedToken['signed']): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') for (let i = 0; i < piece.length; i++) bytes[at++] = piece.charCodeAt(i);
    else {
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  return bytes;
}

/** Compares in the same time whatever the bytes are. */
function equalMac(signature: Uint8Array, mac: string): boolean {
  if (signature.length !== 32) return false;
  let difference = 0;
  for (let i = 0; i < 32; i++) difference |= (signature[i] as number) ^ mac.charCodeAt(i);
  return difference === 0;
}

/**
 * Takes a token apart and checks that one of the keys made it. The key decides the algorithm: a token that names
 * another is refused, as is one that names a kid which is not there.
 *
 * @throws SignatureError with the reason as `code`.
 */
export async function checkToken(text: string, keys: readonly VerificationKey[]): Promise<ParsedToken> {
  return genuineToken(text, keys);
}

/** The same, without a promise where the runtime checks at once: promises cost as much as a short MAC. */
export function genuineToken(text: string, keys: readonly VerificationKey[]): ParsedToken | Promise<ParsedToken> {
  const token = parseTokenText(text);
  const { kid, algorithm } = token;
  const known = keys.filter((key) => (key.kid === undefined ? '' : keyIdText(key.kid)) === kid);
  if (known.length === 0) throw new SignatureError('unknown_key', `No key has the kid ${JSON.stringify(kid)}.`);
  const fitting = known.filter((key) =>
    // A COSE_Sign1 may name no algorithm; then the key's is meant.
    algorithm === undefined ? !token.jwt && key.alg !== 'HS256' : key.alg === algorithm,
  );
  if (fitting.length === 0) throw new SignatureError('unsupported_algorithm', `The key is not for ${algorithm}.`);
  return genuineByOneOf(token, fitting, 0);
}

function genuineByOneOf(
  token: ParsedToken,
  keys: readonly VerificationKey[],
  from: number,
): ParsedToken | Promise<ParsedToken> {
  for (let i = from; i < keys.length; i++) {
    const check = signatureCheck(keys[i] as VerificationKey);
    const genuine = check instanceof Promise ? check.then((ready) => ready(token)) : check(token);
    if (genuine === true) return token;
    if (genuine !== false) return genuine.then((holds) => (holds ? token : genuineByOneOf(token, keys, i + 1)));
  }
  throw new SignatureError('bad_signature', 'The signature does not belong to this token and key.');
}

/**
 * Takes a token apart.
 *
 * @throws SignatureError with the reason as `code`.
 */
export function parseTokenText(text: string): ParsedToken {
  try {
    return parseWithCore(text);
  } catch (thrown) {
    // The core throws a bare reason, or something else for what it need not name.
    const reason = typeof thrown === 'string' ? (thrown as Reason) : 'malformed_token';
    throw new SignatureError(reason, `Not a token that can be read: ${reason}.`);
  }
}

/** SHA-256 of a text as the evaluator asks for it. */
export function digestText(text: string): Uint8Array {
  if (!nodeCrypto) throw new TokensError('unsupported_runtime', 'Matching by hash needs node:crypto.');
  return nodeCrypto.createHash('sha256').update(new TextEncoder().encode(text)).digest();
}
