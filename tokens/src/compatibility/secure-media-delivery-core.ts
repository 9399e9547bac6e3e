import { addressOf } from '../address-core.js';
import type { Reason } from '../core/reasons.js';

/** A "Secure Media Delivery at the Edge" v1 token as it stands in the path: `/[session.]header.claims.mac/…`. */
export interface SecureMediaToken {
  readonly session: string;
  /** The JWT without the session. */
  readonly jwt: string;
  /** What is forwarded. */
  readonly path: string;
}

/** What the request and the host give. */
export interface SecureMediaFacts {
  /** The normalised path without the token. */
  readonly path: string;
  readonly session: string;
  /** The viewer's address. */
  readonly address: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** A request header by lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** A query parameter. */
  readonly query: (name: string) => string | undefined;
  /** HMAC-SHA-256 of a text with the key that the JWT was made with, in base64url. */
  readonly mac: (text: string) => string;
}

/** Takes the token segment off a path, if there is one. Written for the function's runtime, like `core/`. */
export function takeSecureMediaToken(uri: string): SecureMediaToken | undefined {
  const end = uri.indexOf('/', 1);
  if (end < 0) return undefined;
  const parts = uri.slice(1, end).split('.');
  if (parts.length !== 3 && parts.length !== 4) return undefined;
  const session = parts.length === 4 ? (parts[0] as string) : '';
  const jwt = (parts.length === 4 ? parts.slice(1) : parts).join('.');
  // Shorter ones are file names with dots; v1 draws the same line.
  if (jwt.length < 60 || !/^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(jwt)) return undefined;
  return { session: session, jwt: jwt, path: uri.slice(end) };
}

/** Equality that takes the same time wherever texts of one length differ. */
export function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

/** IPv4 as it is, IPv6 in eight groups of four digits: the form that v1's SDK signs. */
export function fullAddress(address: string): string {
  const bytes = addressOf(address);
  if (!bytes) return '';
  if (bytes.length === 4) return bytes.join('.');
  let text = '';
  for (let i = 0; i < 16; i++)
    text += (i && i % 2 === 0 ? ':' : '') + ('0' + (bytes[i] as number).toString(16)).slice(-2);
  return text;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function startsWithAny(path: string, prefixes: string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix));
}

/**
 * Holds v1 claims, whose outer MAC is checked already, against a request; `''` admits it.
 * Stricter than v1's own function where that was a gap: `exp` must be there and ends at its second, malformed claims
 * refuse, `cty` is checked, and a bound attribute that nothing can check refuses unless the token has its fallback.
 */
export function secureMediaReason(claims: unknown, facts: SecureMediaFacts): Reason | '' {
  if (!claims || typeof claims !== 'object' || Array.isArray(claims)) return 'malformed_token';
  const token = claims as Record<string, unknown>;
  const exclusions = token['exc'] === undefined ? [] : token['exc'];
  const bound = token['headers'] === undefined ? [] : token['headers'];
  const queried = token['qs'] === undefined ? [] : token['qs'];
  if (
    typeof token['exp'] !== 'number' ||
    (token['nbf'] !== undefined && typeof token['nbf'] !== 'number') ||
    !isTexts(token['paths']) ||
    !isTexts(exclusions) ||
    !isTexts(bound) ||
    !isTexts(queried)
  )
    return 'invalid_claim';
  if (facts.now >= token['exp']) return 'expired';
  if (token['nbf'] !== undefined && facts.now < (token['nbf'] as number)) return 'not_yet_valid';
  // Excluded paths need the token, but none of its bindings.
  if (startsWithAny(facts.path, exclusions)) return '';
  if (!startsWithAny(facts.path, token['paths'])) return 'uri_mismatch';

  const parts: string[] = [];
  if (token['ip']) {
    const address = fullAddress(facts.address);
    const version = address.includes(':') ? 6 : 4;
    if (!address || Number(token['ip_ver']) !== version) return 'network_mismatch';
    parts.push(address);
  }
  const places = [
    ['co', 'cloudfront-viewer-country'],
    ['cty', 'cloudfront-viewer-city'],
    ['reg', 'cloudfront-viewer-country-region'],
  ];
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as string[];
    if (!token[place[0] as string]) continue;
    const value = facts.header(place[1] as string);
    // A fallback drops the inner MAC as a whole: without this value it cannot be computed.
    if (value === undefined) return token[place[0] + '_fallback'] === true ? '' : 'country_mismatch';
    parts.push(value);
  }
  if (token['ssn']) {
    if (!facts.session) return 'invalid_claim';
    parts.push(facts.session);
  }
  bound.forEach((name) => {
    const value = facts.header(name.toLowerCase());
    if (value !== undefined) parts.push(value);
  });
  queried.forEach((name) => {
    const value = facts.query(name);
    if (value !== undefined) parts.push(value);
  });
  const inner = token['intsig'];
  if (inner === undefined) return parts.length ? 'invalid_claim' : '';
  if (typeof inner !== 'string') return 'invalid_claim';
  // No bound header or parameter came with the request, although the token was made for one.
  if (!parts.length) return 'header_mismatch';
  return sameText(inner, facts.mac(parts.join(':'))) ? '' : token['ip'] ? 'network_mismatch' : 'header_mismatch';
}
