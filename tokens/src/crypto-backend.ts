import type { SignatureAlgorithm } from './keys.js';

/** The part of `node:crypto` that is used where it exists: synchronous HMAC, several times faster than WebCrypto. */
export interface NodeCrypto {
  createHmac(
    hash: string,
    key: unknown,
  ): { update(data: Uint8Array | string, encoding?: string): { digest(encoding?: string): unknown } };
  createSecretKey(secret: Uint8Array): unknown;
  createHash(hash: string): { update(data: Uint8Array): { digest(): Uint8Array } };
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;
}

/**
 * `node:crypto` without an import statement, so that one build serves Node, Bun, Deno, Workers and browsers.
 * `undefined` in browsers, and in Workers without Node compatibility.
 */
export const nodeCrypto: NodeCrypto | undefined = /* @__PURE__ */ (() => {
  const runtime = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  try {
    return runtime?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined;
  } catch {
    return undefined;
  }
})();

/** WebCrypto parameters for signing and verifying, by JOSE name. ECDSA signatures are r‖s, as both JOSE and COSE want. */
export const webCryptoParameters: Record<SignatureAlgorithm, AlgorithmIdentifier | RsaPssParams | EcdsaParams> = {
  HS256: 'HMAC',
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
  ES384: { name: 'ECDSA', hash: 'SHA-384' },
  PS256: { name: 'RSA-PSS', saltLength: 32 },
  RS256: 'RSASSA-PKCS1-v1_5',
  EdDSA: 'Ed25519',
};

/** Imports raw bytes for HMAC-SHA-256 in WebCrypto. */
export function importHmac(secret: Uint8Array<ArrayBuffer>, usages: KeyUsage[]): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, usages);
}
