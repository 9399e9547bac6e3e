import type { Reason } from '../core/reasons.js';
import { addressOf } from '../address-core.js';
import { sameText } from './secure-media-delivery-core.js';

/** What the request and the host give. */
export interface EdgeAuthFacts {
  /** The normalised path without the token. */
  readonly path: string;
  /** The viewer's address. */
  readonly address: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** Text that the issuer mixes into every MAC, not in the token. */
  readonly salt?: string | undefined;
  /** HMAC-SHA-256 of a text with the shared key, in lower-case hexadecimal. */
  readonly mac: (text: string) => string;
}

export interface EdgeAuthResult {
  readonly reason: Reason | '';
  /** `id`, the issuer's session. */
  readonly session: string;
  /** `data`, whatever the issuer put there. */
  readonly data: string;
}

/** Fields that a token may have; each once, `hmac` last. */
const FIELDS = ['ip', 'st', 'exp', 'acl', 'id', 'data', 'hmac'];

/** Most characters, and most alternatives, of an access list. */
const LONGEST_LIST = 1024;

/**
 * Whether a path matches a pattern with `*` (any text) and `?` (any character), in time of the product of their
 * lengths at worst: no regular expression is built from what the token says.
 */
export function matchesGlob(pattern: string, path: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < path.length) {
    if (p < pattern.length && pattern[p] === '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === path[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/** Issuers may escape values early, `/` as `%2f`. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (_) {
    return text;
  }
}

/** How early escaping writes a value: everything but letters, digits and `-_.!()`, in lower case. */
export function escapeEarly(text: string): string {
  return encodeURIComponent(text)
    .replace(/[~'*]/g, (character) => '%' + character.charCodeAt(0).toString(16))
    .replace(/%../g, (escape) => escape.toLowerCase());
}

/**
 * Checks an EdgeAuth token, `exp=…~acl=…~hmac=…`, against a request. One without `acl` is for exactly one URL, whose
 * path is under the MAC but not in the token. Written for the function's runtime, like `core/`.
 */
export function edgeAuthResult(token: string, facts: EdgeAuthFacts): EdgeAuthResult {
  const fields: Record<string, string> = {};
  const refuse = function (reason: Reason): EdgeAuthResult {
    return { reason: reason, session: '', data: '' };
  };
  if (token.length > 4096) return refuse('malformed_token');
  const parts = token.split('~');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    const equals = part.indexOf('=');
    const name = part.slice(0, equals);
    // A field given twice could be read in two ways.
    if (equals < 1 || !FIELDS.includes(name) || fields[name] !== undefined) return refuse('malformed_token');
    if ((name === 'hmac') !== (i === parts.length - 1)) return refuse('malformed_token');
    fields[name] = part.slice(equals + 1);
  }
  const mac = fields['hmac'];
  if (mac === undefined || !/^[\da-f]{64}$/i.test(mac)) return refuse('malformed_token');
  const list = fields['acl'];
  const signed = parts.slice(0, -1).join('~');
  const salt = facts.salt === undefined ? '' : '~salt=' + facts.salt;
  let genuine: boolean;
  if (list === undefined) {
    const plain = sameText(mac.toLowerCase(), facts.mac(signed + '~url=' + facts.path + salt));
    genuine = sameText(mac.toLowerCase(), facts.mac(signed + '~url=' + escapeEarly(facts.path) + salt)) || plain;
  } else genuine = sameText(mac.toLowerCase(), facts.mac(signed + salt));
  if (!genuine) return refuse('bad_signature');

  const expires = fields['exp'];
  const starts = fields['st'];
  if (expires === undefined || !/^\d{1,12}$/.test(expires) || (starts !== undefined && !/^\d{1,12}$/.test(starts)))
    return refuse('invalid_claim');
  if (facts.now >= Number(expires)) return refuse('expired');
  if (starts !== undefined && facts.now < Number(starts)) return refuse('not_yet_valid');
  if (list !== undefined) {
    const patterns = unescape(list);
    if (patterns.length > LONGEST_LIST) return refuse('invalid_claim');
    if (!patterns.split('!').some((pattern) => matchesGlob(pattern, facts.path))) return refuse('uri_mismatch');
  }
  if (fields['ip'] !== undefined) {
    const bound = addressOf(unescape(fields['ip']));
    const address = addressOf(facts.address);
    if (!bound) return refuse('invalid_claim');
    if (!address || bound.join() !== address.join()) return refuse('network_mismatch');
  }
  return { reason: '', session: unescape(fields['id'] || ''), data: unescape(fields['data'] || '') };
}
