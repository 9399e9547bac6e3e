/**
 * Why a request is refused: one closed list, shared by every host, the logs, the answers and the documentation.
 * The core throws these as bare strings: an `Error` object costs over a millisecond in older njs.
 */
export const reasons = [
  /** No token where the policy looks for one. */
  'missing_token',
  /** Not a token: encoding, structure or size. */
  'malformed_token',
  /** The algorithm is not the key's, or not one this host can check. */
  'unsupported_algorithm',
  /** No key under the token's kid. */
  'unknown_key',
  'bad_signature',
  /** A claim whose value is of the wrong type or syntax makes the whole token invalid. */
  'invalid_claim',
  /** A claim that the standard knows and this host or build cannot decide. */
  'unsupported_claim',
  /** The policy demands a claim that the token lacks. */
  'claim_missing',
  'expired',
  'not_yet_valid',
  /** The session's absolute end has come. */
  'session_ended',
  'issuer_mismatch',
  'audience_mismatch',
  /** The token's key or issuer is not entitled to this path. */
  'not_entitled',
  'version_mismatch',
  'uri_mismatch',
  'method_mismatch',
  'network_mismatch',
  'country_mismatch',
  'geo_mismatch',
  'header_mismatch',
  'alpn_mismatch',
  'tls_key_mismatch',
  /** Proof of possession is needed, which Lambda@Edge checks. */
  'proof_required',
  'replay_refused',
  /** `catpor`: refused by the dice, or by its block list. */
  'probabilistic_refusal',
  'revoked',
  'blackout',
  /** The page that embeds the player is not on the list. */
  'origin_mismatch',
  /** Two parties could read this path differently. */
  'ambiguous_path',
  /** The store did not answer, or holds a malformed record. */
  'store_error',
  /** An unexpected fault of ours. */
  'internal_error',
] as const;

export type Reason = (typeof reasons)[number];
