/**
 * The signing SDK: make a signer once, then `sign` and `signPlaybackUrl`; `verify`, `decode` and `explain` read tokens
 * back with the evaluator that runs at the edge. Key providers, manifests, players, ads, compatibility and the vending
 * service are entry points of their own, so that an import brings only what it uses.
 */
export {
  createSigner,
  type CatSignerOptions,
  type JwtSignerOptions,
  type KeyProvider,
  type SignedPlaybackUrl,
  type SignedToken,
  type Signer,
  type SignerOptions,
} from './signer.js';
export { signCat, signJwt } from './sign.js';
export { encryptToken, type EncryptionKey } from './encrypt.js';
export { proofKeyOf } from './proof-key.js';
export {
  verify,
  verifyRequest,
  VerificationError,
  type EntitledKey,
  type RequestVerdict,
  type VerifyOptions,
  type VerifyPolicy,
  type VerifyRequestOptions,
} from './verify.js';
export { decode, type DecodedToken } from './decode.js';
export { explain, type ExplainedCheck, type Explanation, type ExplainOptions } from './explain.js';
export { SignatureError } from './signature.js';
export type { ViewerRequest } from './request-facts.js';
export { reasons, type Reason } from './core/reasons.js';
export { clearTokenCookie } from './cookies.js';
export { placeToken, type CookieAttributes, type Placement, type PlacedToken } from './placement.js';
export { secretFromBase64url } from './keys.js';
export type {
  CatAlgorithm,
  HmacKey,
  JwtAlgorithm,
  KeyId,
  PrivateKey,
  PublicKey,
  SignatureAlgorithm,
  SigningKey,
  VerificationKey,
} from './keys.js';
export { CborEncodeError, KeyError, PlacementError, PolicyError, TokensError } from './errors.js';
export type { Claims, RenewalClaim, TextMatch, UriComponent } from './claims.js';
export type { CountryCode, CountryOrRegion } from './countries.js';
export type { Duration, Moment } from './duration.js';
export type {
  ExpiredAnswer,
  HostRule,
  HttpMethod,
  NetworkRule,
  NonEmpty,
  PathRule,
  PlaybackPolicy,
  Policy,
  PolicyOptions,
  PolicyWarning,
  Renewal,
} from './policy.js';
