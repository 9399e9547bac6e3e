import { valuesOf, type EventRequest, type EventValue } from './request.js';

/** Where a token segment stands in the path: behind `before`; what is left of that in the forwarded path is `keep`. */
export interface PathPlacement {
  /** `/live` (behind a prefix), `/~t` (behind a marker) or `''` (first). No slash at the end. */
  readonly before: string;
  /** The same as `before` for a prefix, `''` for a marker, which goes with its token. */
  readonly keep: string;
}

/** Where tokens are looked for (CTA-5007-B 4.4). One definition for signing, functions, manifests, logs and deployment. */
export interface Placements {
  readonly path?: readonly PathPlacement[] | undefined;
  /** The same for a build with a single one. */
  readonly pathBefore?: string | undefined;
  readonly pathKeep?: string | undefined;
  /** Name of the path parameter: `;CAT=…`. */
  readonly pathParameter?: string | undefined;
  /** Name of the query parameter. */
  readonly query?: string | undefined;
  /** Name of the cookie. */
  readonly cookie?: string | undefined;
  /** Whether the headers `CTA-Common-Access-Token` and `Common-Access-Token` are read. */
  readonly header?: boolean | undefined;
  /** Whether `Authorization: Bearer` and `DPoP` are read. */
  readonly authorization?: boolean | undefined;
}

/** The standard's header, and the name that players really send. */
export const TOKEN_HEADERS = ['cta-', ''].map((prefix) => prefix + 'common-access-token');

/**
 * How a token begins: a JWT's `{"`, or the tags 17, 18, 61+17, 61+18 over an array of four whose first item is a byte
 * string; tag 16 over three, where tokens may be encrypted. A path segment that begins otherwise is content, not a token.
 */
const TOKEN_START = FEATURES.encrypted ? /^(eyJ|0[Yo]R|0IN|2D3)/ : /^(eyJ|0[Yo]R|2D3)/;

/** Where a token was found; renewal answers by the same way (CTA-5007-B 4.9.2). */
export type Place = 'uri' | 'cookie' | 'header' | 'authorization';

export interface FoundToken {
  readonly text: string;
  readonly place: Place;
  /** The header's name, when it came in one. */
  readonly name: string;
}

/**
 * Takes every token out of a request, which is changed, so that none reaches the origin whatever the verdict.
 *
 * @returns The tokens to be evaluated, in the standard's order: those of the header alone where it is present (4.4),
 *   else from left to right in the URI, then cookies, then Authorization.
 */
export const takeTokens = (request: EventRequest, policy: Placements): FoundToken[] => {
  let found: FoundToken[] = [];
  const add = (text: string | undefined, place: Place, name: string): void => {
    // Only renewal asks where a token came from.
    if (text) found.push(FEATURES.catr ? { text: text, place: place, name: name } : ({ text: text } as FoundToken));
  };
  /** Adds the values under a name, or what a pattern finds in them, and takes them away. */
  const take = (from: Record<string, EventValue>, name: string, pattern: RegExp, place: Place): void => {
    const entry = from[name];
    if (entry) {
      valuesOf(entry).forEach((value) => add((pattern.exec(value) || [])[1], place, name));
      delete from[name];
    }
  };
  /** Takes a token segment behind `before`, if one is there. */
  const takeSegment = (before: string, keep: string): boolean => {
    const rest = request.uri.slice(before.length + 1);
    // Behind a marker any segment is a token; elsewhere only what looks like one.
    if (!request.uri.startsWith(before + '/') || (before === keep && rest.search(TOKEN_START))) return false;
    const text = rest.split('/')[0] as string;
    add(text, 'uri', '');
    request.uri = keep + (rest.slice(text.length) || '/');
    return true;
  };
  if (FEATURES.path && FEATURES.manyPaths)
    (policy.path || []).some((placement) => takeSegment(placement.before, placement.keep));
  if (FEATURES.path && !FEATURES.manyPaths) takeSegment(policy.pathBefore as string, policy.pathKeep as string);
  if (FEATURES.pathParameter && policy.pathParameter && request.uri.includes(';'))
    request.uri = request.uri.replace(new RegExp(';' + policy.pathParameter + '=([^/;]*)', 'g'), (_, text: string) => {
      add(text, 'uri', '');
      return '';
    });
  if (FEATURES.query && policy.query) take(request.querystring, policy.query, /(.*)/, 'uri');
  if (FEATURES.cookie && policy.cookie) take(request.cookies, policy.cookie, /(.*)/, 'cookie');
  if (FEATURES.authorization && policy.authorization)
    take(request.headers, 'authorization', /^(?:Bearer|DPoP) +(.*)/i, 'authorization');
  if (FEATURES.header && policy.header) {
    const others = found;
    found = [];
    // A structured field: a token or string, its parameters ignored (RFC 8941 3.3).
    TOKEN_HEADERS.forEach((name) => take(request.headers, name, /([^"; ]+)/, 'header'));
    if (!found[0]) found = others;
  }
  return found;
};
