import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { isNumber, isText, must } from '@portcullis/tokens/core/basics';
import { fromBase64, isBytes, toBase64 } from '@portcullis/tokens/core/bytes';
import { isMap, type CborMap, type CborValue } from '@portcullis/tokens/core/cbor';
import type { Verdict } from '@portcullis/tokens/core/gate';
import { CATDPOP, CNF } from '@portcullis/tokens/core/labels';
import { AUTHORIZATION, type FoundToken } from '@portcullis/tokens/core/placement';
import type { Reason } from '@portcullis/tokens/core/reasons';
import type { EventValue } from '@portcullis/tokens/core/request';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { normalisePath } from '@portcullis/tokens/core/uri';
import { isSound, publicKeyAlgorithm } from './keys.js';
import { rememberedProofs } from './remembered-proofs.js';
import { isSigned } from './signature.js';
import { misspelling } from './spelling.js';

/** Algorithms that proofs may be signed with: public-key ones alone (RFC 9449 4.2). */
export type ProofAlgorithm = 'ES256' | 'ES384' | 'PS256' | 'RS256' | 'EdDSA';

/** How proofs of possession are checked (RFC 9449). */
export interface ProofSettings {
  /** Default: ES256, ES384, PS256, EdDSA. */
  readonly algorithms?: readonly ProofAlgorithm[] | undefined;
  /** Age in seconds up to which a proof is taken where the token's `catdpop` does not say. Default 300. */
  readonly window?: number | undefined;
  /** Seconds that a viewer's clock may be ahead. Default 30; never more than the window. */
  readonly clockSkew?: number | undefined;
  /** Whether each proof is good for one request where the token's `catdpop` does not say. Default `honour`. */
  readonly jti?: 'honour' | 'ignore' | undefined;
}

/** Remembers the ids of proofs. */
export interface ReplayStore {
  /**
   * Notes an id, once.
   *
   * @param id 43 characters of base64url; the same for the same proof.
   * @param until When the id may be forgotten, seconds since 1970.
   * @returns True the first time, false for an id that was noted and not forgotten.
   * @throws when that cannot be told: the request is then refused with `store_error`.
   */
  spend(id: string, until: number): Promise<boolean>;
}

/** Why a proof does not hold. */
export type ProofProblem =
  /** This deployment checks no proofs. */
  | 'unsupported'
  /** None, or more than one. */
  | 'missing'
  | 'repeated'
  /** Not a JWS in compact form with the members that a proof has. */
  | 'malformed'
  | 'type'
  | 'algorithm'
  /** Not a public key for the algorithm. */
  | 'key'
  | 'signature'
  | 'method'
  | 'uri'
  /** `iat` outside the window. */
  | 'time'
  /** `ath` is not of this token, or is not there where it must be. */
  | 'token_hash'
  | 'replayed';

/** What came of a request's proof. */
export type ProofResult =
  | { readonly thumbprint: string; readonly algorithms: readonly string[] }
  | { readonly problem: ProofProblem; readonly algorithms: readonly string[] };

/** What a request shows that a proof is held against. */
export interface ProofContext {
  /** The `DPoP` header. */
  readonly proofs: EventValue | undefined;
  readonly method: string;
  /** Origins that the viewer may have asked, such as `https://cdn.example`. */
  readonly origins: readonly string[];
  /** The path as sent, and without its token; a proof may be for either. */
  readonly paths: readonly string[];
  /** The scheme of the `Authorization` that the token came with. */
  readonly scheme: 'bearer' | 'dpop' | undefined;
  /** Whether a proof must name its token (`ath`) wherever that stood. */
  readonly namesToken: boolean;
}

/**
 * Checks the proof of one request, for each of its tokens that demands one. Throws as the gate's hosts do: a reason where
 * the store or the token is at fault, anything else for a malformed `catdpop`.
 */
export type Prover = (context: ProofContext) => (attempt: Verdict) => Promise<ProofResult>;

/** Characters of a proof: a key of 8,192 bits and its signature fit. */
const MAXIMUM_LENGTH = 4096;
const MAXIMUM_ID = 256;

/** Members of a JWK that hold what must stay with the viewer (RFC 7518 6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** A proof whose signature holds, by the key that it carries. */
interface Proof {
  readonly thumbprint: string;
  readonly jti: string;
  readonly iat: number;
  readonly ath: unknown;
}

/** Makes the check of proofs, once. */
export function createProver(
  settings: ProofSettings,
  { now, replay = rememberedProofs(now) }: { readonly now: () => number; readonly replay?: ReplayStore | undefined },
): Prover {
  const { algorithms = ['ES256', 'ES384', 'PS256', 'EdDSA'], window = 300, clockSkew = 30, jti = 'honour' } = settings;
  return (context) => {
    // The proof is one for all tokens of the request, and spends itself once.
    let read: Proof | ProofProblem | undefined;
    const spent = new Map<string, boolean>();

    return async (attempt) => {
      const token = attempt.token as ParsedToken;
      const failed = (problem: ProofProblem): ProofResult => ({ problem, algorithms });
      const demand = demandOf(token, { window, honour: jti === 'honour' });
      read ??= readProof(context, algorithms);
      if (typeof read === 'string') return failed(read);
      const age = now() - read.iat;
      if (age > demand.window || age < -Math.min(clockSkew, demand.window)) return failed('time');
      const { text, place } = attempt.found as FoundToken;
      // Needed where the token came as `Authorization: DPoP` (RFC 9449 4.3), and believed nowhere unless it is right.
      const bound = context.namesToken || (place === AUTHORIZATION && context.scheme !== 'bearer');
      if ((bound || read.ath !== undefined) && read.ath !== sha256(text)) return failed('token_hash');
      const { thumbprint } = read;
      // Another's proof spends nothing: whoever has no key must not fill the store.
      if (demand.honour && thumbprint === thumbprintOf(token)) {
        const id = sha256(`${thumbprint}\n${read.jti}`);
        let fresh = spent.get(id);
        if (fresh === undefined) {
          try {
            fresh = await replay.spend(id, Math.ceil(read.iat + demand.window));
          } catch {
            throw 'store_error' satisfies Reason;
          }
          spent.set(id, fresh);
        }
        if (!fresh) return failed('replayed');
      }
      return { thumbprint, algorithms };
    };
  };
}

/**
 * What a token's `catdpop` demands of its proofs (CTA-5007-B 4.6). Throws when it is malformed; what is critical and not
 * understood is for the evaluator to refuse.
 */
function demandOf(
  { claims, isJwt }: ParsedToken,
  defaults: { readonly window: number; readonly honour: boolean },
): { readonly window: number; readonly honour: boolean } {
  const settings = claims[CATDPOP];
  if (settings === undefined) return defaults;
  must(isMap(settings));
  const member = (label: number, name: string): CborValue => (settings as CborMap)[isJwt ? name : label];
  const window = member(0, 'window') ?? defaults.window;
  const jti = member(1, 'jti') ?? Number(defaults.honour);
  must(isNumber(window) && window >= 0 && (jti === 0 || jti === 1));
  return { window: window as number, honour: jti === 1 };
}

/** The thumbprint that a token is bound to; undefined where its `cnf` is of another kind, which the evaluator refuses. */
function thumbprintOf({ claims, isJwt }: ParsedToken): string | undefined {
  const confirmation = claims[CNF];
  const value = isMap(confirmation) ? confirmation[isJwt ? 'jkt' : 323] : undefined;
  return isBytes(value) ? toBase64(value) : isText(value) ? value : undefined;
}

/** Takes the request's proof apart and checks what does not depend on a token (RFC 9449 4.3). */
function readProof(context: ProofContext, algorithms: readonly ProofAlgorithm[]): Proof | ProofProblem {
  const { proofs, method, origins, paths } = context;
  if (!proofs) return 'missing';
  if (proofs.multiValue && proofs.multiValue.length > 1) return 'repeated';
  const text = proofs.value;
  if (text.length > MAXIMUM_LENGTH || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text) || misspelling(text)) return 'malformed';
  const [head, body, signature] = text.split('.') as [string, string, string];
  const header = jsonObject(head);
  const claims = jsonObject(body);
  if (!header || !claims || 'crit' in header || 'b64' in header) return 'malformed';
  if (header['typ'] !== 'dpop+jwt') return 'type';
  const algorithm = algorithms.find((name) => name === header['alg']);
  if (!algorithm) return 'algorithm';
  const jwk = header['jwk'];
  const key = isMap(jwk) ? proofKey(jwk as JsonWebKey, algorithm) : undefined;
  if (!key) return 'key';
  if (!isSigned(algorithm, key, Buffer.from(`${head}.${body}`), fromBase64(signature))) return 'signature';
  const { jti, htm, htu, iat, ath } = claims;
  if (!isText(jti) || jti === '' || jti.length > MAXIMUM_ID || !isText(htm) || !isText(htu) || !isNumber(iat))
    return 'malformed';
  if (htm !== method) return 'method';
  if (!isTarget(htu, origins, paths)) return 'uri';
  return { thumbprint: thumbprint(jwk as JsonWebKey), jti, iat, ath };
}

function jsonObject(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromBase64(part)));
    return isMap(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The public key that a proof carries; undefined where it is not one for the algorithm. */
function proofKey(jwk: JsonWebKey, algorithm: ProofAlgorithm): KeyObject | undefined {
  if (PRIVATE_MEMBERS.some((name) => name in jwk) || (jwk.use !== undefined && jwk.use !== 'sig')) return undefined;
  const rsa = algorithm === 'RS256' ? 'RS256' : 'PS256';
  if (publicKeyAlgorithm(jwk, rsa) !== algorithm) return undefined;
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return isSound(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

/** JWK thumbprint with SHA-256 (RFC 7638 3; RFC 8037 2 for Ed25519): the required members alone, in this order. */
export function thumbprint({ kty, crv, x, y, n, e }: JsonWebKey): string {
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'OKP' ? { crv, kty, x } : { crv, kty, x, y };
  return sha256(JSON.stringify(members));
}

/**
 * Whether a proof's `htu` is the request's address: without query and fragment, both in normal form (RFC 9449 4.3,
 * RFC 3986 6.2.2, 6.2.3).
 */
function isTarget(htu: string, origins: readonly string[], paths: readonly string[]): boolean {
  try {
    const target = new URL(htu);
    if (target.username !== '' || target.password !== '') return false;
    const path = normalisePath(target.pathname);
    return (
      origins.some((origin) => new URL(origin).origin === target.origin) &&
      paths.some((sent) => normalisePath(sent) === path)
    );
  } catch {
    return false;
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
