import {
  decideWithCore,
  evaluateWithCore,
  isBelow,
  readablePath,
  type EvaluationPolicy,
  type ParsedToken,
  type Rejection,
} from './core-bridge.js';
import type { Reason } from './core/reasons.js';
import { encodeBase64url } from './base64url.js';
import { describeToken, type DecodedToken } from './decode.js';
import { claimLabels } from './claims.js';
import { PolicyError, TokensError } from './errors.js';
import { keyIdText, secretOf, type VerificationKey } from './keys.js';
import type { Placement } from './placement.js';
import { nameOfClaim } from './readable-claims.js';
import { eventRequest, placementsToFind, withParameters, type ViewerRequest } from './request-facts.js';
import { digestText, genuineToken, signatureCheck, SignatureError } from './signature.js';
import { synchronousHmac } from './crypto-backend.js';

/** A token that does not admit the request. Branch on `code`, one of the closed list of reasons. */
export class VerificationError extends TokensError {
  declare readonly code: Reason;
  /** The claim that refused, by its JWT name; undefined where it was not a claim. */
  readonly claim: string | undefined;
  /** What the claim demands. */
  readonly expected: unknown;

  constructor(code: Reason, message: string, claim?: string, expected?: unknown) {
    super(code, message);
    this.claim = claim;
    this.expected = expected;
  }
}

/** A key, and what its tokens may open: CTA-5007-B 4.10.2 asks for more than a good signature. */
export type EntitledKey = VerificationKey & {
  /** `iss` of its tokens; absent: any, also none. */
  readonly issuers?: readonly string[];
  /** Path prefixes, whole segments; absent: any. */
  readonly paths?: readonly `/${string}`[];
};

/** What the recipient demands, whatever the request. */
export interface VerifyPolicy {
  readonly keys: readonly EntitledKey[];
  /** Who we are: a token with `aud` must name one of these. Absent: any. */
  readonly audiences?: readonly string[];
  /** Claims that every token must carry, by JWT name. */
  readonly requiredClaims?: readonly string[];
  /** Admit addresses longer than /24 and /56 in the clear. */
  readonly exactAddresses?: boolean;
  /** Refuse one-time tokens (`catreplay` 1), which only a store of used tokens can decide. Default: admit. */
  readonly refuseReplay?: boolean;
  /** Claims whose viewer header may be missing: they then hold. Default: none. */
  readonly allowUnknown?: readonly string[];
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
}

export interface VerifyOptions extends VerifyPolicy {
  /** The request, without its token; `null` on purpose: a bare token, whose claims about requests are not checked. */
  readonly request: ViewerRequest | null;
  /** Asked last, with the token's ids. */
  readonly isRevoked?: (token: DecodedToken) => boolean | Promise<boolean>;
}

/** Claims that say something about the token itself rather than about a request. */
const ownClaims = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'sxp', 'catv'];

/**
 * Checks one token: its signature, then every claim against the request, with the evaluator that runs at the edge.
 *
 * @returns What the token says.
 * @throws VerificationError with the reason as `code` when the token does not admit the request.
 * @example
 * ```ts
 * const { subject } = await verify(token, { keys: [key], request: { url: 'https://cdn.example/live/ch1/a.ts', headers, address } });
 * ```
 */
export async function verify(token: string, options: VerifyOptions): Promise<DecodedToken> {
  let parsed: ParsedToken;
  try {
    const genuine = genuineToken(token, options.keys);
    parsed = genuine instanceof Promise ? await genuine : genuine;
  } catch (error) {
    if (error instanceof SignatureError) throw new VerificationError(error.code as Reason, error.message);
    throw error;
  }
  const described = describeToken(parsed);
  const now = (options.clock ?? Date.now)() / 1000;
  checkEntitlement(parsed, options, described);
  try {
    const rejected = rejections(parsed, options, now);
    const first = rejected[0];
    if (first) {
      const name = nameOfClaim(first.label);
      throw new VerificationError(
        first.reason,
        `The claim ${name} refuses: ${first.reason}.`,
        name,
        described.claims[name],
      );
    }
  } catch (thrown) {
    if (thrown instanceof TokensError) throw thrown;
    const reason = typeof thrown === 'string' ? (thrown as Reason) : 'invalid_claim';
    throw new VerificationError(reason, `A claim makes the token unusable: ${reason}.`);
  }
  if (options.isRevoked && (await options.isRevoked(described)))
    throw new VerificationError('revoked', 'The token is revoked.');
  return described;
}

function checkEntitlement(token: ParsedToken, options: VerifyOptions, described: DecodedToken): void {
  // Where several keys share a kid, what binds one of them binds them all: which of them fitted is not told.
  for (const key of options.keys) {
    if ((key.kid === undefined ? '' : keyIdText(key.kid)) !== token.kid) continue;
    if (key.issuers && !key.issuers.includes(described.issuer as string)) {
      throw new VerificationError('issuer_mismatch', 'The key is not for tokens of this issuer.', 'iss', key.issuers);
    }
    if (key.paths && options.request) {
      const { uri } = eventRequest(options.request);
      // One that can be read in several ways is refused by the claims' evaluation.
      const below = isBelow(readablePath(uri) ?? uri, key.paths);
      if (!below)
        throw new VerificationError('not_entitled', 'The key is not entitled to this path.', 'iss', key.paths);
    }
  }
}

function rejections(token: ParsedToken, options: VerifyOptions, now: number): readonly Rejection[] {
  const { request } = options;
  const policy = evaluationPolicy(options);
  if (request) {
    const event = eventRequest(request);
    const path = readablePath(event.uri);
    if (path === undefined) throw new VerificationError('ambiguous_path', 'The path can be read in more than one way.');
    return evaluateWithCore(
      token.claims,
      token.jwt,
      { event, path, address: request.address ?? '', now },
      policy,
      digestText,
    );
  }
  const claims = Object.fromEntries(
    Object.entries(token.claims).filter(([key]) => ownClaims.includes(nameOfClaim(key))),
  );
  return evaluateWithCore(
    claims,
    token.jwt,
    { event: eventRequest({ url: '/' }), address: '', now },
    policy,
    digestText,
  );
}

function labelOf(name: string): number {
  const label = (claimLabels as Record<string, number>)[name];
  if (label === undefined)
    throw new PolicyError('claims', `names of claims: ${Object.keys(claimLabels).join(', ')}`, name);
  return label;
}

/** The evaluator's own form of what the recipient demands. */
export function evaluationPolicy(options: VerifyPolicy): EvaluationPolicy {
  return {
    audiences: options.audiences,
    requiredClaims: options.requiredClaims?.map(labelOf),
    exactNetworks: options.exactAddresses,
    allowUnknown: options.allowUnknown?.map(labelOf),
    refuseReplay: options.refuseReplay,
  };
}

export interface VerifyRequestOptions extends VerifyPolicy {
  /** Where tokens are looked for. Default: first path segment, `CAT` in query, cookie and path parameter, and the headers. */
  readonly placements?: readonly Placement[];
  /**
   * Reads other records of the edge's store, such as revocations: `undefined` where there is none. Default: there are none.
   */
  readonly read?: (key: string) => Promise<string | undefined>;
  /** The part of a path that names its content, as the first group. */
  readonly contentId?: RegExp;
}

export interface RequestVerdict {
  /** Undefined: admitted. */
  readonly reason: Reason | undefined;
  /** The token decided on. */
  readonly token: DecodedToken | undefined;
  /** Claims that did not hold. */
  readonly rejections: readonly { readonly claim: string; readonly reason: Reason }[];
  /** The path as it may be forwarded, normalised and without its token. */
  readonly path: string;
}

const allPlacements: readonly Placement[] = [
  { kind: 'path', mode: 'first' },
  { kind: 'pathParameter' },
  { kind: 'query' },
  { kind: 'cookie' },
  { kind: 'header' },
  { kind: 'authorization' },
];

/**
 * Decides on a whole request as the edge does: finds its tokens, strips them, and looks for one that admits it.
 * Never rejects for what a viewer sends.
 *
 * @example
 * ```ts
 * const { reason } = await verifyRequest({ url: playbackUrl, headers }, { keys: [key] });
 * ```
 */
export async function verifyRequest(request: ViewerRequest, options: VerifyRequestOptions): Promise<RequestVerdict> {
  const { keys, clock = Date.now } = options;
  const byId = new Map(keys.map((key) => [key.kid === undefined ? '' : keyIdText(key.kid), key]));
  const event = withParameters(eventRequest(request));
  let checking: EntitledKey | undefined;
  const verdict = await decideWithCore(
    event,
    request.address ?? '',
    {
      read: (name) => {
        const key = name.startsWith('k:') ? byId.get(name.slice(2)) : undefined;
        if (!key)
          return name.startsWith('k:')
            ? Promise.resolve(undefined)
            : (options.read?.(name) ?? Promise.resolve(undefined));
        checking = key;
        return Promise.resolve(JSON.stringify(keyRecord(key)));
      },
      mac: (secret, pieces) => Buffer.from(synchronousHmac(secret)?.(pieces, 'latin1') ?? '', 'latin1'),
      verify: async (_, token) => {
        const check = await signatureCheck(checking as EntitledKey);
        return check(token);
      },
      digest: digestText as (text: string) => Buffer,
      now: () => clock() / 1000,
      random: Math.random,
    },
    {
      ...placementsToFind(options.placements ?? allPlacements),
      ...evaluationPolicy(options),
      mode: 'enforce',
      contentId: options.contentId,
    },
  );
  return {
    reason: verdict.reason,
    token: verdict.token ? describeToken(verdict.token) : undefined,
    rejections: verdict.rejections.map(({ label, reason }) => ({ claim: nameOfClaim(label), reason })),
    path: verdict.path,
  };
}

/** A key as the edge's store has it. */
function keyRecord(key: EntitledKey): object {
  const scope = { ...(key.issuers ? { iss: key.issuers } : {}), ...(key.paths ? { paths: key.paths } : {}) };
  if (key.alg !== 'HS256') return { alg: key.alg, ...scope };
  const secret = secretOf(key);
  if (!(secret instanceof Uint8Array))
    throw new TokensError('unsupported_key', 'verifyRequest needs secrets as bytes, JWK or KeyObject.');
  return { alg: key.alg, k: encodeBase64url(secret), ...scope };
}
