import { encodeBase64url } from './base64url.js';
import { CborWriter } from './cbor/writer.js';
import { importHmac, synchronousHmac, webCryptoParameters, type SynchronousHmac } from './crypto-backend.js';
import {
  importAsymmetricKey,
  keyIdBytes,
  keyIdText,
  secretOf,
  type PrivateKey,
  type SignatureAlgorithm,
  type SigningKey,
} from './keys.js';

/** COSE algorithm identifiers (IANA "COSE Algorithms"). */
const coseAlgorithms: Partial<Record<SignatureAlgorithm, number>> = { HS256: 5, ES256: -7, PS256: -37 };

/** A signing key with everything that does not change from token to token already encoded. */
export interface PreparedKey {
  readonly alg: SignatureAlgorithm;
  /** Key id as text, as the key store names it. */
  readonly kid: string | undefined;
  /** Base64url of the JOSE header, with its dot. */
  readonly jwtHead: string;
  /** Everything of the COSE message that stands before the payload; absent where CAT has no such algorithm. */
  readonly coseHead: Uint8Array | undefined;
  /** Everything of the COSE MAC or signature input that stands before the payload (RFC 9052 4.4, 6.3). */
  readonly coseInputHead: Uint8Array | undefined;
  /** HMAC in one synchronous call, where the runtime can: raw bytes as a binary string, or base64url text. */
  readonly hmac: SynchronousHmac | undefined;
  /** Any algorithm, in WebCrypto. */
  readonly sign: (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;
}

/** At once for a secret where `node:crypto` is at hand, else a promise. */
export function prepareKey(key: SigningKey): PreparedKey | Promise<PreparedKey> {
  const { alg } = key;
  const kid = key.kid === undefined ? undefined : keyIdText(key.kid);
  const head = {
    alg,
    kid,
    jwtHead: `${encodeBase64url(new TextEncoder().encode(JSON.stringify(kid === undefined ? { alg } : { alg, kid })))}.`,
    ...coseHeads(alg, key.kid === undefined ? undefined : keyIdBytes(key.kid)),
  };
  if (key.alg !== 'HS256') return prepareAsymmetric(key, head);
  const secret = secretOf(key);
  if (secret instanceof Uint8Array) {
    let imported: Promise<CryptoKey> | undefined;
    const prepared = {
      ...head,
      hmac: synchronousHmac(secret),
      sign: async (data: Uint8Array<ArrayBuffer>) =>
        signWith(await (imported ??= importHmac(secret, ['sign'])), alg, data),
    };
    return prepared;
  }
  return { ...head, hmac: undefined, sign: (data) => signWith(secret, alg, data) };
}

async function prepareAsymmetric(key: PrivateKey, head: Omit<PreparedKey, 'hmac' | 'sign'>): Promise<PreparedKey> {
  const imported = await importAsymmetricKey(key.alg, key.privateKey, 'private');
  return { ...head, hmac: undefined, sign: (data) => signWith(imported, key.alg, data) };
}

async function signWith(key: CryptoKey, alg: SignatureAlgorithm, data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign(webCryptoParameters[alg], key, data));
}

/**
 * The constant parts of COSE_Mac0 (tag 17) and COSE_Sign1 (tag 18). `alg` and `kid` both stand in the protected
 * header, so that nobody can point a token at another key.
 */
function coseHeads(
  alg: SignatureAlgorithm,
  kid: Uint8Array | undefined,
): Pick<PreparedKey, 'coseHead' | 'coseInputHead'> {
  const algorithm = coseAlgorithms[alg];
  if (algorithm === undefined) return { coseHead: undefined, coseInputHead: undefined };
  const header = new CborWriter(64);
  header.map(kid ? 2 : 1);
  header.number(1);
  header.number(algorithm);
  if (kid) {
    header.number(4);
    header.byteString(kid);
  }
  const protectedHeader = header.bytes.subarray(0, header.end);
  const mac = alg === 'HS256';

  const message = new CborWriter(64);
  message.tag(mac ? 17 : 18);
  message.array(4);
  message.byteString(protectedHeader);
  message.map(0);

  const input = new CborWriter(64);
  input.array(4);
  input.text(mac ? 'MAC0' : 'Signature1');
  input.byteString(protectedHeader);
  input.byteString(new Uint8Array(0));
  return { coseHead: message.bytes.slice(0, message.end), coseInputHead: input.bytes.slice(0, input.end) };
}
