/** Akamai EdgeAuth style tokens, `exp=…~acl=…~hmac=…`, for several CDNs behind one CMS and for changing over. */
import { createHmac } from 'node:crypto';
import type { Reason } from '../core/reasons.js';
import { normalisePath } from '../core/uri.js';
import { durationSeconds, momentSeconds, type Duration, type Moment } from '../duration.js';
import { KeyError, PolicyError } from '../errors.js';
import { splitUrl, withQueryParameter } from '../placement.js';
import { edgeAuthResult, escapeEarly } from './akamai-edge-auth-core.js';

/** The shared key, as hexadecimal text or bytes. */
export type EdgeAuthKey = string | Uint8Array;

export type EdgeAuthPolicy = {
  readonly notBefore?: Moment;
  /** Bound address of the viewer. */
  readonly ip?: string;
  /** Session id, `id=`. */
  readonly session?: string;
  /** Free text, `data=`. */
  readonly data?: string;
  readonly salt?: string;
  /** Escape values before they are signed. */
  readonly escapeEarly?: boolean;
} & (
  | { readonly expiresIn: Duration; readonly expiresAt?: never }
  | { readonly expiresAt: Moment; readonly expiresIn?: never }
) &
  (
    | {
        /** Patterns with `*` and `?`: `/live/*`. */
        readonly acl: string | readonly [string, ...string[]];
        readonly path?: never;
      }
    | {
        /** The one path that the token admits. */
        readonly path: `/${string}`;
        readonly acl?: never;
      }
  );

function macOf(key: EdgeAuthKey): (text: string) => string {
  if (typeof key === 'string' && !/^(?:[0-9a-f]{2})+$/i.test(key))
    throw new KeyError('invalid_key', 'An EdgeAuth key is hexadecimal text.');
  const bytes = typeof key === 'string' ? Buffer.from(key, 'hex') : key;
  // EdgeAuth keys are often 16 bytes: less than RFC 7518 asks of a JWT's, and not ours to choose.
  if (bytes.length < 16) throw new KeyError('weak_key', 'An EdgeAuth key must have at least 16 bytes.');
  return (text) => createHmac('sha256', bytes).update(text).digest('hex');
}

/**
 * Makes an EdgeAuth token.
 *
 * @throws PolicyError when a value holds the field delimiter, which would let it forge another field.
 * @example
 * ```ts
 * const token = signEdgeAuth({ acl: '/live/*', expiresIn: '2h' }, keyHex);
 * ```
 */
export function signEdgeAuth(policy: EdgeAuthPolicy, key: EdgeAuthKey, now: number = Date.now()): string {
  const mac = macOf(key);
  const seconds = Math.floor(now / 1000);
  const escape = policy.escapeEarly ? escapeEarly : (text: string): string => text;
  const value = (text: string, path: string): string => {
    const written = escape(text);
    if (text === '' || /[~\s]/.test(written)) throw new PolicyError(path, "text without '~' or blanks", text);
    return written;
  };
  const fields: string[] = [];
  if (policy.ip !== undefined) fields.push(`ip=${value(policy.ip, 'ip')}`);
  const starts = policy.notBefore === undefined ? undefined : momentSeconds(policy.notBefore, 'notBefore');
  if (starts !== undefined) fields.push(`st=${starts}`);
  if ((policy.expiresIn === undefined) === (policy.expiresAt === undefined))
    throw new PolicyError('expiresIn', 'either expiresIn or expiresAt');
  const expires =
    policy.expiresIn !== undefined
      ? (starts ?? seconds) + durationSeconds(policy.expiresIn, 'expiresIn')
      : momentSeconds(policy.expiresAt as Moment, 'expiresAt');
  fields.push(`exp=${expires}`);
  if (policy.acl !== undefined) {
    const patterns = typeof policy.acl === 'string' ? [policy.acl] : policy.acl;
    for (const pattern of patterns) {
      if (!/^[/*?][^~!\s]*$/.test(pattern))
        throw new PolicyError('acl', "patterns that start with '/' or a wildcard, without '~' or '!'", pattern);
    }
    fields.push(`acl=${patterns.join('!')}`);
  }
  if (policy.session !== undefined) fields.push(`id=${value(policy.session, 'session')}`);
  if (policy.data !== undefined) fields.push(`data=${value(policy.data, 'data')}`);
  const signed = [...fields];
  if (policy.path !== undefined) signed.push(`url=${escape(policy.path)}`);
  if (policy.salt !== undefined) signed.push(`salt=${policy.salt}`);
  return `${fields.join('~')}~hmac=${mac(signed.join('~'))}`;
}

/** Puts the token into the query, by default as `hdnts`. */
export function edgeAuthUrl(url: string, token: string, name = 'hdnts'): string {
  const { origin, path, query, fragment } = splitUrl(url);
  return origin + path + withQueryParameter(query, name, token) + fragment;
}

export type EdgeAuthVerdict =
  | { readonly admitted: true; readonly session: string; readonly data: string }
  | { readonly admitted: false; readonly reason: Reason };

/** Checks a token against a request, with the rules that the viewer function applies when built with them. */
export function verifyEdgeAuth(
  token: string,
  request: { readonly path: string; readonly address: string },
  key: EdgeAuthKey,
  options: { readonly salt?: string; readonly now?: number } = {},
): EdgeAuthVerdict {
  let path: string;
  try {
    path = normalisePath(request.path);
  } catch {
    return { admitted: false, reason: 'ambiguous_path' };
  }
  const { reason, session, data } = edgeAuthResult(token, {
    path,
    address: request.address,
    now: (options.now ?? Date.now()) / 1000,
    salt: options.salt,
    mac: macOf(key),
  });
  return reason === '' ? { admitted: true, session, data } : { admitted: false, reason };
}
