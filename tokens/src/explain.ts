import { evaluateWithCore, isReadablePath, type EventRequest, type Facts, type ParsedToken } from './core-bridge.js';
import type { Reason } from './core/reasons.js';
import { headerText } from './core/request.js';
import { describeToken, type DecodedToken } from './decode.js';
import { TokensError } from './errors.js';
import { keyIdText } from './keys.js';
import { claimOf, nameOfClaim } from './readable-claims.js';
import { eventRequest, type ViewerRequest } from './request-facts.js';
import { digestText, parseTokenText, signatureCheck } from './signature.js';
import { evaluationPolicy, type VerifyPolicy } from './verify.js';

/** One check, and what it came to. */
export interface ExplainedCheck {
  /** `form`, `key`, `algorithm`, `signature`, `path`, `issuer`, or a claim by its JWT name. */
  readonly check: string;
  /** Undefined: not done, since something before it failed or there was no request. */
  readonly holds: boolean | undefined;
  /** The reason that a refusal would give. */
  readonly reason?: Reason;
  /** What the token says. */
  readonly value?: unknown;
  /** What the request shows. */
  readonly actual?: unknown;
  /** A sentence for the person who looks for the mistake. */
  readonly message: string;
}

export interface Explanation {
  readonly admitted: boolean;
  /** The first reason that refuses. */
  readonly reason: Reason | undefined;
  readonly token: DecodedToken | undefined;
  readonly checks: readonly ExplainedCheck[];
}

export interface ExplainOptions extends Partial<VerifyPolicy> {
  /** The request that was refused, without its token. Absent: only what the token says of itself is checked. */
  readonly request?: ViewerRequest;
}

/** Claims that need a request to be decided. */
const requestClaims = [
  'catu',
  'catm',
  'catnip',
  'catgeoiso3166',
  'geohash',
  'cath',
  'catalpn',
  'cattpk',
  'cnf',
  'catreplay',
  'catpor',
];

/**
 * Goes through every check that the edge makes, also past the first that fails, and says what each expected and found.
 * Never rejects for what is in the token.
 *
 * @example
 * ```ts
 * const { checks } = await explain(token, { keys: [key], request });
 * for (const { check, message } of checks.filter(({ holds }) => holds === false)) console.log(check, message);
 * ```
 */
export async function explain(text: string, options: ExplainOptions = {}): Promise<Explanation> {
  let token: ParsedToken;
  try {
    token = parseTokenText(text);
  } catch (error) {
    const reason = (error instanceof TokensError ? error.code : 'malformed_token') as Reason;
    return {
      admitted: false,
      reason,
      token: undefined,
      checks: [
        {
          check: 'form',
          holds: false,
          reason,
          message: 'This is not a token that can be read: cut off, re-encoded, or of another format.',
        },
      ],
    };
  }
  const described = describeToken(token);
  const checks: ExplainedCheck[] = [
    { check: 'form', holds: true, message: `A ${token.jwt ? 'JWT' : 'CAT'} of ${text.length} characters.` },
    ...(await keyChecks(token, options)),
  ];
  const now = (options.clock ?? Date.now)() / 1000;
  const event = options.request ? eventRequest(options.request) : undefined;
  const readable = event === undefined || isReadablePath(event.uri);
  if (!readable) {
    checks.push({
      check: 'path',
      holds: false,
      reason: 'ambiguous_path',
      actual: event.uri,
      message: 'The path can be read in more than one way, and is refused before any token.',
    });
  }
  const facts: Facts = {
    event: event && readable ? event : eventRequest({ url: '/' }),
    address: options.request?.address ?? '',
    now,
  };
  const required = options.requiredClaims?.find((name) => described.claims[name] === undefined);
  if (required !== undefined)
    checks.push({
      check: required,
      holds: false,
      reason: 'claim_missing',
      message: `Every token must carry ${required}, and this one does not.`,
    });
  for (const key of Object.keys(token.claims)) {
    const name = nameOfClaim(key);
    const value = described.claims[name];
    if (!event && requestClaims.includes(name)) {
      checks.push({ check: name, holds: undefined, value, message: 'Not checked: no request was given.' });
      continue;
    }
    const reason = claimReason(token, key, facts, options);
    checks.push({
      check: name,
      holds: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
      value,
      ...actual(name, event, options.request, now),
      message: sentence(name, reason),
    });
  }
  const failed = checks.find(({ holds }) => holds === false);
  return { admitted: failed === undefined, reason: failed?.reason, token: described, checks };
}

async function keyChecks(token: ParsedToken, options: ExplainOptions): Promise<ExplainedCheck[]> {
  if (!options.keys) return [{ check: 'signature', holds: undefined, message: 'Not checked: no key was given.' }];
  const key = options.keys.find(
    (candidate) => (candidate.kid === undefined ? '' : keyIdText(candidate.kid)) === token.kid,
  );
  const kid = token.kid === '' ? 'no kid' : `kid ${token.kid}`;
  if (!key)
    return [
      {
        check: 'key',
        holds: false,
        reason: 'unknown_key',
        value: token.kid,
        message: `The token names ${kid}, for which there is no key.`,
      },
    ];
  const checks: ExplainedCheck[] = [
    { check: 'key', holds: true, value: token.kid, message: `The token names ${kid}.` },
  ];
  if (token.algorithm !== undefined && token.algorithm !== key.alg) {
    return [
      ...checks,
      {
        check: 'algorithm',
        holds: false,
        reason: 'unsupported_algorithm',
        value: token.algorithm,
        actual: key.alg,
        message: `The token says ${token.algorithm}, and its key is for ${key.alg}: the key decides.`,
      },
    ];
  }
  const check = await signatureCheck(key);
  const genuine = await check(token);
  checks.push(
    genuine
      ? { check: 'signature', holds: true, message: 'The key made this token.' }
      : {
          check: 'signature',
          holds: false,
          reason: 'bad_signature',
          message: 'The token was changed, or made with another key.',
        },
  );
  const issuer = claimOf(token, 'iss');
  if (key.issuers && !key.issuers.includes(issuer as string)) {
    checks.push({
      check: 'issuer',
      holds: false,
      reason: 'issuer_mismatch',
      value: issuer,
      actual: key.issuers,
      message: `The key is for the issuers ${key.issuers.join(', ')}.`,
    });
  }
  return checks;
}

/** One claim by itself, so that a malformed one does not hide what the others come to. */
function claimReason(token: ParsedToken, key: string, facts: Facts, options: ExplainOptions): Reason | undefined {
  const name = nameOfClaim(key);
  // A catpor may stand on the value of another claim.
  const needed = name === 'catpor' ? ['catpor', 'jti', 'sub', 'sid'] : [name];
  const claims = Object.fromEntries(
    Object.entries(token.claims).filter(([other]) => needed.includes(nameOfClaim(other))),
  );
  try {
    const { requiredClaims: _, ...policy } = evaluationPolicy({ keys: [], ...options });
    return evaluateWithCore(claims, token.jwt, facts, policy, digestText).find(
      ({ label }) => nameOfClaim(label) === name,
    )?.reason;
  } catch (thrown) {
    return typeof thrown === 'string' ? (thrown as Reason) : 'invalid_claim';
  }
}

/** What the request shows where a claim looks. */
function actual(
  name: string,
  event: EventRequest | undefined,
  request: ViewerRequest | undefined,
  now: number,
): { actual?: unknown } {
  const header = (line: string): string | undefined => event && headerText(event, line);
  switch (name) {
    case 'exp':
    case 'nbf':
    case 'sxp':
      return { actual: Math.floor(now) };
    case 'catu':
      return { actual: request?.url };
    case 'catm':
      return { actual: event?.method };
    case 'catnip':
      return { actual: { address: request?.address, asn: header('cloudfront-viewer-asn') } };
    case 'catgeoiso3166':
      return {
        actual: { country: header('cloudfront-viewer-country'), region: header('cloudfront-viewer-country-region') },
      };
    case 'geohash':
      return {
        actual: { latitude: header('cloudfront-viewer-latitude'), longitude: header('cloudfront-viewer-longitude') },
      };
    case 'catalpn':
      return { actual: header('cloudfront-viewer-http-version') };
    case 'cath':
      return { actual: request?.headers };
    default:
      return {};
  }
}

const meanings: Partial<Record<Reason, string>> = {
  expired: 'The token has ended: it is refused from that second on.',
  not_yet_valid: 'The token is not valid yet.',
  session_ended: 'The session has reached its end; nothing renews beyond it.',
  audience_mismatch: 'The token is for another audience.',
  uri_mismatch: 'The URL is not one that the token admits.',
  method_mismatch: 'The method is not one that the token admits; names are case-sensitive.',
  network_mismatch: 'The viewer is in none of the token\u2019s networks.',
  country_mismatch: 'The viewer\u2019s country or region is not on the list, or CloudFront did not say it.',
  geo_mismatch: 'The viewer\u2019s place is not on the list, or CloudFront did not say it.',
  header_mismatch: 'A request header is missing or differs.',
  alpn_mismatch: 'The connection\u2019s protocol is not on the list.',
  proof_required: 'The token is bound to a key whose possession must be proved (DPoP).',
  replay_refused: 'A one-time token, and whether it was used cannot be told here.',
  version_mismatch: 'The version is not 1.',
  invalid_claim: 'The claim is malformed, which makes the whole token invalid.',
  unsupported_claim: 'The claim uses something that this recipient cannot decide.',
  probabilistic_refusal: 'The claim asks to refuse some requests by chance, and this was one.',
  tls_key_mismatch: 'The viewer did not show the certificate that the token is bound to.',
};

function sentence(name: string, reason: Reason | undefined): string {
  return reason === undefined ? `${name} holds.` : (meanings[reason] ?? reason);
}
