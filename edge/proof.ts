import type { Verdict } from '@portcullis/tokens/core/gate';
import type { EventValue } from '@portcullis/tokens/core/request';

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

/** What a proof is held against. */
export interface ProofContext {
  /** The `DPoP` header. */
  readonly proofs: EventValue | undefined;
  readonly method: string;
  /** Hosts that the viewer may have asked, with port where it is not the scheme's. */
  readonly hosts: readonly string[];
  /** The path as sent, and without its token; either is taken. */
  readonly paths: readonly string[];
  /** The scheme of the `Authorization` that the token came with. */
  readonly scheme: 'bearer' | 'dpop' | undefined;
}

/** Checks the proof of one request for a token that demands one. Throws a reason where the token or the store is at fault. */
export type Prover = (attempt: Verdict, context: ProofContext) => Promise<ProofResult>;
