/** Tokens of AWS "Secure Media Delivery at the Edge" v1, for changing over without a day on which players break. */
import { encodeBase64url, decodeBase64url } from '../base64url.js';
import { synchronousHmac } from '../crypto-backend.js';
import { durationSeconds, momentSeconds, type Duration, type Moment } from '../duration.js';
import { KeyError, PolicyError } from '../errors.js';
import { splitUrl } from '../placement.js';
import type { Reason } from '../core/reasons.js';
import { normalisePath } from '../core/uri.js';
import { fullAddress, sameText, secureMediaReason, takeSecureMediaToken } from './secure-media-delivery-core.js';

/** A key as v1 keeps it: an id, and a secret whose UTF-8 text is the HMAC key. */
export interface SecureMediaKey {
  readonly uuid: string;
  readonly value: string;
}

/** What the viewer is known to be; only what the policy binds is needed. */
export interface SecureMediaViewer {
  readonly address?: string;
  readonly country?: string;
  readonly region?: string;
  readonly city?: string;
  readonly session?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
}

export interface SecureMediaPolicy {
  readonly paths: readonly [`/${string}`, ...`/${string}`[]];
  /** Paths that need a token but none of its bindings. */
  readonly exclusions?: readonly `/${string}`[];
  readonly expiresIn?: Duration;
  readonly expiresAt?: Moment;
  readonly notBefore?: Moment;
  /** Bind the address. */
  readonly ip?: boolean;
  readonly country?: boolean;
  readonly countryFallback?: boolean;
  readonly region?: boolean;
  readonly regionFallback?: boolean;
  readonly session?: boolean;
  readonly headers?: readonly string[];
  readonly query?: readonly string[];
}

const encoder = new TextEncoder();

function macOf(key: SecureMediaKey): (text: string) => string {
  const secret = encoder.encode(key.value);
  const hmac = secret.length === 0 ? undefined : synchronousHmac(secret);
  if (!hmac) throw new KeyError('invalid_key', 'The v1 key is empty, or this runtime has no synchronous HMAC.');
  return (text) => hmac(encoder.encode(text), 'base64url');
}

/**
 * Makes a v1 token: `[session.]jwt`, with the bound values in the inner MAC `intsig`.
 *
 * @throws PolicyError when a bound value is missing.
 */
export function signSecureMedia(
  policy: SecureMediaPolicy,
  viewer: SecureMediaViewer,
  key: SecureMediaKey,
  now: number = Date.now(),
): string {
  const mac = macOf(key);
  const seconds = Math.floor(now / 1000);
  const parts: string[] = [];
  const claims: Record<string, unknown> = { ip: false, co: false, cty: false, reg: false, ssn: false };
  const needed = (value: string | undefined, path: string): string => {
    if (!value) throw new PolicyError(`viewer.${path}`, 'a value, since the policy binds it');
    return value;
  };
  if (policy.ip) {
    const address = fullAddress(needed(viewer.address, 'address'));
    if (!address) throw new PolicyError('viewer.address', 'an IP address', viewer.address);
    claims['ip'] = true;
    claims['ip_ver'] = address.includes(':') ? 6 : 4;
    parts.push(address);
  }
  if (policy.country) {
    claims['co'] = true;
    if (policy.countryFallback) claims['co_fallback'] = true;
    parts.push(needed(viewer.country, 'country'));
  }
  if (policy.region) {
    claims['reg'] = true;
    if (policy.regionFallback) claims['reg_fallback'] = true;
    parts.push(needed(viewer.region, 'region'));
  }
  if (policy.session) {
    claims['ssn'] = true;
    const session = needed(viewer.session, 'session');
    if (!/^[\w-]{1,64}$/.test(session)) throw new PolicyError('viewer.session', 'letters, digits, - and _', session);
    parts.push(session);
  }
  claims['headers'] = [...(policy.headers ?? [])];
  claims['qs'] = [...(policy.query ?? [])];
  for (const name of policy.headers ?? []) {
    const value = viewer.headers?.[name];
    if (value) parts.push(value);
  }
  for (const name of policy.query ?? []) {
    const value = viewer.query?.[name];
    if (value) parts.push(value);
  }
  if (parts.length > 0) claims['intsig'] = mac(parts.join(':'));
  claims['paths'] = [...policy.paths];
  claims['exc'] = [...(policy.exclusions ?? [])];
  if (policy.notBefore !== undefined) claims['nbf'] = momentSeconds(policy.notBefore, 'notBefore');
  if ((policy.expiresIn === undefined) === (policy.expiresAt === undefined))
    throw new PolicyError('expiresIn', 'either expiresIn or expiresAt');
  claims['exp'] =
    policy.expiresIn !== undefined
      ? seconds + durationSeconds(policy.expiresIn, 'expiresIn')
      : momentSeconds(policy.expiresAt as Moment, 'expiresAt');
  claims['iat'] = seconds;
  const json = (value: unknown): string => encodeBase64url(encoder.encode(JSON.stringify(value)));
  const input = `${json({ alg: 'HS256', typ: 'JWT', kid: key.uuid })}.${json(claims)}`;
  return `${policy.session ? `${viewer.session}.` : ''}${input}.${mac(input)}`;
}

/** Puts a v1 token where v1 has it: the first path segment. */
export function secureMediaUrl(url: string, token: string): string {
  const { origin, path, query, fragment } = splitUrl(url);
  return `${origin}/${token}${path}${query}${fragment}`;
}

/** A request as the validator sees it. */
export interface SecureMediaRequest {
  /** Raw path with the token. */
  readonly uri: string;
  readonly address: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
}

export type SecureMediaVerdict =
  | { readonly admitted: true; readonly path: string; readonly session: string }
  | { readonly admitted: false; readonly reason: Reason };

/** Checks a request that carries a v1 token, with the rules that the viewer function applies when built with them. */
export function verifySecureMedia(
  request: SecureMediaRequest,
  keys: readonly SecureMediaKey[],
  now: number = Date.now(),
): SecureMediaVerdict {
  const refuse = (reason: Reason): SecureMediaVerdict => ({ admitted: false, reason });
  const taken = takeSecureMediaToken(request.uri);
  if (!taken) return refuse('missing_token');
  let path: string;
  try {
    path = normalisePath(taken.path);
  } catch {
    return refuse('ambiguous_path');
  }
  const [head, body, mac] = taken.jwt.split('.') as [string, string, string];
  const header = parseJson(head) as { alg?: unknown; kid?: unknown } | undefined;
  const claims = parseJson(body);
  if (!header || claims === undefined) return refuse('malformed_token');
  if (header.alg !== 'HS256') return refuse('unsupported_algorithm');
  const key = keys.find(({ uuid }) => uuid === header.kid);
  if (!key) return refuse('unknown_key');
  const sign = macOf(key);
  if (!sameText(mac, sign(`${head}.${body}`))) return refuse('bad_signature');
  const reason = secureMediaReason(claims, {
    path,
    session: taken.session,
    address: request.address,
    now: now / 1000,
    header: (name) => own(request.headers, name),
    query: (name) => own(request.query, name),
    mac: sign,
  });
  return reason === '' ? { admitted: true, path: taken.path, session: taken.session } : refuse(reason);
}

function own(values: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return values && Object.hasOwn(values, name) ? values[name] : undefined;
}

function parseJson(segment: string): unknown {
  const bytes = decodeBase64url(segment);
  if (!bytes) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
