import type { Claims, RenewalClaim, TextMatch } from './claims.js';
import { matchesPattern } from './core/match.js';
import { isCountryOrRegion } from './countries.js';
import { durationSeconds, momentSeconds } from './duration.js';
import { PolicyError } from './errors.js';
import { formatNetwork, parseNetwork, widen, widestClear } from './networks.js';
import type { HostRule, NetworkRule, OneOrMore, PathRule, Policy, PolicyWarning, Renewal } from './policy.js';

/** What the signer adds to a policy: moments in epoch seconds, ids as base64url text. */
export interface PolicyContext {
  readonly now: number;
  readonly issuer: string | null;
  readonly audience: OneOrMore<string> | undefined;
  readonly tokenId: string;
  readonly session: string;
  /** Share of the lifetime to take off, 0…1 of the most allowed. */
  readonly jitter: number;
  readonly clockSkew: number;
  /** Default length of a session in seconds; `null`: none. */
  readonly sessionLength: number | null;
  /** Admit addresses longer than /24 and /56 in the clear, against CTA-5007-B 4.6.9. */
  readonly exactAddresses: boolean;
  /** The token will be encrypted, and may point at a household. */
  readonly encrypted: boolean;
  readonly warn: (warning: PolicyWarning) => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Most that jitter takes from a lifetime: a tenth, and never more than this many seconds. */
const jitterCeiling = 300;

/** Lifetimes above this get a warning: a leaked token works as long. */
const longLifetime = 86_400;

/**
 * Claims of a policy, cheapest check first: times and versions, then plain comparisons, then URI, headers and
 * networks. CTA-5007-B 4.5 leaves the order of claims to the issuer.
 *
 * @throws PolicyError naming the field and what was expected.
 */
export function policyClaims(policy: Policy, context: PolicyContext): Claims {
  const claims: Mutable<Claims> = {};
  const { now, warn } = context;
  const expires = expiry(policy, context);
  const sessionEnd = sessionEnding(policy, context, expires);
  if (expires !== undefined) claims.exp = sessionEnd === undefined ? expires : Math.min(expires, sessionEnd);
  if (sessionEnd !== undefined) claims.sxp = sessionEnd;
  if (policy.notBefore !== undefined) {
    claims.nbf = (policy.notBefore === 'now' ? now : momentSeconds(policy.notBefore, 'notBefore')) - context.clockSkew;
    if (claims.exp !== undefined && claims.nbf >= claims.exp)
      throw new PolicyError('notBefore', 'a moment before the token ends', policy.notBefore);
  }
  claims.catv = 1;
  if (context.issuer !== null) claims.iss = context.issuer;
  const audience = policy.audience ?? context.audience;
  if (audience !== undefined)
    claims.aud = typeof audience === 'string' ? nonEmptyText(audience, 'audience') : texts(audience, 'audience');
  if (policy.oneTime) claims.catreplay = 1;
  if (policy.methods !== undefined) claims.catm = texts(policy.methods, 'methods');
  if (policy.countries !== undefined) claims.catgeoiso3166 = countries(policy.countries);
  const uri = uriMatches(policy, warn);
  if (uri) claims.catu = uri;
  if (policy.asns !== undefined || policy.networks !== undefined) claims.catnip = networks(policy, context);
  if (policy.alpn !== undefined) claims.catalpn = texts(policy.alpn, 'alpn');
  if (policy.userAgent !== undefined || policy.headers !== undefined) claims.cath = headerMatches(policy);
  if (policy.geohash !== undefined) claims.geohash = geohash(policy.geohash, context.encrypted ? 12 : 4);
  if (policy.proofKey !== undefined) claims.cnf = { jkt: policy.proofKey };
  if (policy.subject !== undefined) {
    claims.sub = nonEmptyText(policy.subject, 'subject');
    if (/^[^@\s]+@[^@\s]+\.[^@\s]+$|^\+?\d[\d ()-]{6,}$/.test(claims.sub)) {
      warn({
        code: 'identifying_subject',
        path: 'subject',
        message:
          'The subject looks like an e-mail address or telephone number, and whoever holds the token can read it: use a pseudonym (CTA-5007-B 4.7.1).',
      });
    }
  }
  claims.iat = now;
  claims.jti = context.tokenId;
  claims.sid = context.session;
  if (policy.renewal !== undefined) claims.catr = renewalClaim(policy.renewal, claims.exp);
  if (policy.onExpired !== undefined) {
    const answer = policy.onExpired;
    if (claims.exp === undefined) throw new PolicyError('onExpired', 'a policy that expires');
    claims.catif = {
      exp:
        'redirect' in answer
          ? [answer.status ?? 302, { Location: answer.redirect }]
          : answer.headers
            ? [statusCode(answer.status), { ...answer.headers }]
            : [statusCode(answer.status)],
    };
  }
  if (policy.claims !== undefined) addRawClaims(claims, policy.claims, context.encrypted);
  return claims;
}

function expiry(policy: Policy, { now, jitter, warn }: PolicyContext): number | undefined {
  if (policy.expiresIn !== undefined) {
    if (policy.expiresAt !== undefined) throw new PolicyError('expiresAt', 'either expiresIn or expiresAt, not both');
    const lifetime = durationSeconds(policy.expiresIn, 'expiresIn');
    if (lifetime > longLifetime) {
      warn({
        code: 'long_lifetime',
        path: 'expiresIn',
        message: 'The token lives for more than a day: prefer a short one with renewal.',
      });
    }
    return now + lifetime - Math.floor(Math.min(lifetime / 10, jitterCeiling) * jitter);
  }
  if (policy.expiresAt === undefined)
    throw new PolicyError('expiresIn', "a lifetime such as '2h', or expiresAt (null on purpose: never)");
  if (policy.expiresAt === null) {
    warn({
      code: 'no_expiry',
      path: 'expiresAt',
      message: 'A token without exp works until its key is retired (CTA-5007-B 4.6.3 advises an end).',
    });
    return undefined;
  }
  const expires = momentSeconds(policy.expiresAt, 'expiresAt');
  if (expires <= now) throw new PolicyError('expiresAt', 'a moment in the future', policy.expiresAt);
  return expires;
}

/** The session outlives its first token, so a default is never shorter than the token. */
function sessionEnding(
  policy: Policy,
  { now, sessionLength, warn }: PolicyContext,
  expires: number | undefined,
): number | undefined {
  if (policy.sessionEndsIn !== undefined) return now + durationSeconds(policy.sessionEndsIn, 'sessionEndsIn');
  if (policy.sessionEndsAt !== undefined && policy.sessionEndsAt !== null) {
    const end = momentSeconds(policy.sessionEndsAt, 'sessionEndsAt');
    if (end <= now) throw new PolicyError('sessionEndsAt', 'a moment in the future', policy.sessionEndsAt);
    return end;
  }
  if (policy.sessionEndsAt === null || sessionLength === null) {
    if (policy.renewal)
      warn({
        code: 'no_session_end',
        path: 'sessionEndsAt',
        message: 'The token renews itself and its session has no end: it never stops.',
      });
    return undefined;
  }
  // A token that must never expire would be ended by the default after all.
  if (expires === undefined) return undefined;
  return Math.max(now + sessionLength, expires);
}

function uriMatches(policy: Policy, warn: PolicyContext['warn']): Claims['catu'] {
  const { paths, hosts, schemes, uri } = policy;
  if (paths === undefined) throw new PolicyError('paths', 'the paths that the token admits (null on purpose: any)');
  if (paths === null) {
    warn({
      code: 'no_path',
      path: 'paths',
      message: 'The token opens every path of every host that knows its key (CTA-5007-B 4.6.10 advises catu).',
    });
  }
  if (paths === null && hosts === undefined && schemes === undefined && uri === undefined) return undefined;
  const matches: Record<string, TextMatch> = {};
  if (schemes !== undefined)
    matches['scheme'] =
      typeof schemes === 'string'
        ? { exact: schemes }
        : anyOf(
            schemes.map((scheme) => ({ exact: scheme })),
            'schemes',
          );
  if (hosts !== undefined)
    matches['host'] = isList(hosts)
      ? anyOf(
          hosts.map((host) => hostMatch(host)),
          'hosts',
        )
      : hostMatch(hosts);
  if (paths !== null)
    matches['path'] = isList(paths)
      ? anyOf(
          paths.map((rule) => pathMatch(rule, warn)),
          'paths',
        )
      : pathMatch(paths, warn);
  for (const [component, match] of Object.entries(uri ?? {}))
    matches[component] = checkedMatch(match, `uri.${component}`);
  return matches;
}

function isList<T>(value: OneOrMore<T>): value is readonly [T, ...T[]] {
  return Array.isArray(value);
}

function pathMatch(rule: PathRule, warn: PolicyContext['warn']): TextMatch {
  if (typeof rule === 'string') {
    if (!rule.startsWith('/') || !rule.endsWith('/'))
      throw new PolicyError('paths', "a prefix that starts and ends with '/', or { exact: … }", rule);
    return { prefix: rule };
  }
  const { prefix, exact } = rule as TextMatch;
  if (prefix !== undefined && !prefix.startsWith('/'))
    throw new PolicyError('paths.prefix', "text that starts with '/'", prefix);
  if (exact !== undefined && !exact.startsWith('/'))
    throw new PolicyError('paths.exact', "text that starts with '/'", exact);
  if (prefix === undefined && exact === undefined) return checkedMatch(rule as TextMatch, 'paths');
  if (prefix !== undefined && !prefix.endsWith('/')) {
    warn({
      code: 'prefix_without_slash',
      path: 'paths',
      message: `The prefix ${JSON.stringify(prefix)} also admits ${JSON.stringify(`${prefix}-other`)}: end it with a slash.`,
    });
  }
  return rule as TextMatch;
}

function hostMatch(rule: HostRule): TextMatch {
  if (typeof rule !== 'string') return checkedMatch(rule, 'hosts');
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(rule))
    throw new PolicyError('hosts', 'a host name without scheme, port or path', rule);
  return { exact: rule.toLowerCase() };
}

/** `catu` has one match per component, so alternatives become one anchored expression. */
function anyOf(matches: readonly TextMatch[], path: string): TextMatch {
  const [first, ...rest] = matches;
  if (first === undefined) throw new PolicyError(path, 'at least one');
  if (rest.length === 0) return first;
  const alternatives = matches.map((match) => {
    const kinds = Object.keys(match);
    if (kinds.length === 1 && match.exact !== undefined) return `${escapeExpression(match.exact)}$`;
    if (kinds.length === 1 && match.prefix !== undefined) return escapeExpression(match.prefix);
    throw new PolicyError(path, 'exact or prefix matches only, where several are listed');
  });
  return checkedMatch({ regex: `^(${alternatives.join('|')})` }, path);
}

/** Text as a POSIX extended regular expression that matches it and nothing else. */
function escapeExpression(text: string): string {
  return text.replace(/[\\^$.[\]|()*+?{}]/g, '\\$&');
}

function networks(policy: Policy, context: PolicyContext): (string | number)[] {
  const result: (string | number)[] = [];
  const rules =
    policy.networks === undefined ? [] : isList<NetworkRule>(policy.networks) ? policy.networks : [policy.networks];
  rules.forEach((rule, i) => result.push(networkText(rule, `networks[${i}]`, context)));
  for (const asn of policy.asns ?? []) {
    if (!Number.isInteger(asn) || asn < 0 || asn > 0xffffffff)
      throw new PolicyError('asns', 'AS numbers, 0 to 4294967295', asn);
    result.push(asn);
  }
  if (result.length === 0) throw new PolicyError('networks', 'at least one network or AS number');
  return result;
}

function networkText(rule: NetworkRule, path: string, { exactAddresses, encrypted, warn }: PolicyContext): string {
  const given = typeof rule === 'string' ? rule : rule.viewer;
  const network = parseNetwork(given);
  if (!network) throw new PolicyError(path, 'a network such as 203.0.113.0/24, or { viewer: address }', given);
  const limit = widestClear[network.family];
  const length = network.length ?? network.bytes.length * 8;
  if (length <= limit || encrypted) return formatNetwork(network);
  if (exactAddresses) {
    warn({
      code: 'exact_address',
      path,
      message: `An address in the clear identifies a household; CTA-5007-B 4.6.9 allows /${limit} at most.`,
    });
    return formatNetwork(network);
  }
  if (typeof rule === 'string')
    throw new PolicyError(
      path,
      `a network of at most /${limit} (longer ones must be encrypted, CTA-5007-B 4.6.9)`,
      given,
    );
  warn({
    code: 'network_widened',
    path,
    message: `The viewer's address was widened to /${limit} (CTA-5007-B 4.6.9): its neighbours are admitted too.`,
  });
  return formatNetwork(widen(network, limit));
}

function countries(codes: readonly string[]): string[] {
  for (const code of codes) {
    if (typeof code !== 'string' || !isCountryOrRegion(code))
      throw new PolicyError('countries', 'ISO 3166 codes in capitals: GB, US, US-CA', code);
  }
  return texts(codes, 'countries');
}

function headerMatches(policy: Policy): NonNullable<Claims['cath']> {
  const matches: Record<string, TextMatch> = {};
  if (policy.userAgent !== undefined) matches['user-agent'] = textMatch(policy.userAgent, 'userAgent');
  for (const [name, value] of Object.entries(policy.headers ?? {})) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new PolicyError('headers', 'header names', name);
    matches[name.toLowerCase()] = textMatch(value, `headers.${name}`);
  }
  return matches;
}

function textMatch(match: string | TextMatch, path: string): TextMatch {
  return typeof match === 'string' ? { exact: match } : checkedMatch(match, path);
}

/** A match that the evaluator will take: expressions are tried here, so that a bad one fails at the issuer. */
function checkedMatch(match: TextMatch, path: string): TextMatch {
  if (match.regex === undefined) return match;
  const regex: readonly [string, ...(string | null)[]] = typeof match.regex === 'string' ? [match.regex] : match.regex;
  try {
    matchesPattern(regex, '');
  } catch (reason) {
    throw new PolicyError(
      `${path}.regex`,
      reason === 'unsupported_claim'
        ? 'an extended regular expression of at most 256 characters and three unbounded repeats, without repeated groups'
        : 'a valid POSIX extended regular expression',
      regex[0],
    );
  }
  return { ...match, regex };
}

function geohash(cells: OneOrMore<string>, longest: 4 | 12): string | string[] {
  const list = isList(cells) ? [...cells] : [cells];
  for (const cell of list) {
    if (!/^[0-9bcdefghjkmnpqrstuvwxyz]+$/.test(cell) || cell.length > longest)
      throw new PolicyError('geohash', `cells of one to ${longest === 4 ? 'four' : 'twelve'} geohash characters`, cell);
  }
  return list.length === 1 ? (list[0] as string) : list;
}

function renewalClaim(renewal: Renewal, expires: number | undefined): RenewalClaim {
  const claim: Mutable<RenewalClaim> = {
    type: renewal.by ?? 'automatic',
    expext: durationSeconds(renewal.extendBy, 'renewal.extendBy'),
  };
  if (renewal.within !== undefined) {
    if (expires === undefined) throw new PolicyError('renewal.within', 'a policy that expires');
    claim.deadline = durationSeconds(renewal.within, 'renewal.within');
  }
  if (renewal.by === 'cookie') {
    if (renewal.cookieName !== undefined) claim.cookieName = cookieToken(renewal.cookieName, 'renewal.cookieName');
    if (renewal.attributes !== undefined)
      claim.cookieParams = renewal.attributes.map((attribute) => safeParameter(attribute, 'renewal.attributes'));
  } else if (renewal.by === 'header') {
    if (renewal.headerName !== undefined) claim.headerName = cookieToken(renewal.headerName, 'renewal.headerName');
    if (renewal.parameters !== undefined)
      claim.headerParams = renewal.parameters.map((parameter) => safeParameter(parameter, 'renewal.parameters'));
  } else if (renewal.by === 'redirect' && renewal.status !== undefined) {
    claim.status = renewal.status;
  }
  return claim;
}

function cookieToken(name: string, path: string): string {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new PolicyError(path, 'a cookie or header name', name);
  return name;
}

/** CTA-5007-B 4.9.2: parameters that could start another attribute or header are a defect. */
function safeParameter(parameter: string, path: string): string {
  if (!/^[\x20-\x3a\x3c-\x7e]+$/.test(parameter)) throw new PolicyError(path, "printable text without ';'", parameter);
  return parameter;
}

function statusCode(status: number): number {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new PolicyError('onExpired.status', 'an HTTP status, 200 to 599', status);
  return status;
}

/** Claims that a token may carry encrypted only (CTA-5007-B 4.6.14, 4.6.16). */
const secretClaims = ['catgeocoord', 'catgeoalt'];

function addRawClaims(claims: Mutable<Claims>, raw: Claims, encrypted: boolean): void {
  for (const name in raw) {
    if (!encrypted && secretClaims.includes(name))
      throw new PolicyError(
        `claims.${name}`,
        'a signer with `encryption`: in the clear this claim makes a token invalid',
      );
    if (claims[name] !== undefined)
      throw new PolicyError(`claims.${name}`, 'a claim that the policy has not set already');
    claims[name] = raw[name];
  }
}

function texts(values: readonly string[], path: string): string[] {
  if (values.length === 0) throw new PolicyError(path, 'at least one');
  return values.map((value) => nonEmptyText(value, path));
}

function nonEmptyText(value: string, path: string): string {
  if (typeof value !== 'string' || value === '') throw new PolicyError(path, 'text that is not empty', value);
  return value;
}
