import { has } from './basics.js';
import type { EventRequest, EventValue } from './request.js';

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
export const TOKEN_HEADERS = ['cta-common-access-token', 'common-access-token'];

/** What no token holds: anything but base64url and the dots of a JWT. */
const NO_TOKEN = /[^\w.-]/;

/** Padding is allowed (CTA-5007-B 4.3.1.1), and escaped in a query. */
const PADDING = /^(=|%3d){1,2}$/i;

/** A structured field: a token or string, its parameters ignored (RFC 8941 3.3). */
const IN_HEADER = /([^"; ]+)/;

/** Where a token was found, by the standard's number for renewing it the same way (CTA-5007-B 4.9.2). */
export const COOKIE = 1;
export const HEADER = 2;
export const URI = 3;
/** The header `Authorization`, without its scheme; the standard has no number for it, and renews by a header. */
export const AUTHORIZATION = 4;
export type Place = 1 | 2 | 3 | 4;

export interface FoundToken {
  /** The token; `''` where what stands in its place cannot be one. */
  readonly text: string;
  readonly place: Place;
  /** The name of the header, when it came in one of the two for tokens. */
  readonly name?: string | undefined;
}

/** The token in what stands in its place; `''` where that cannot be one. */
export const tokenText = (value: string): string => {
  const end = value.search(NO_TOKEN);
  return end < 0 ? value : FEATURES.cat && !value.slice(end).search(PADDING) ? value.slice(0, end) : '';
};

// What is found in one request: synchronous from end to end.
let found: FoundToken[];

const add = (text: string, place: Place, name?: string): void => {
  // Only renewal asks where a token came from.
  found.push(FEATURES.catr ? { text: text, place: place, name: name } : ({ text: text } as FoundToken));
};

const addValue = (value: string | undefined, place: Place, name?: string): void => {
  if (value) add(tokenText(value), place, name);
};

/** Adds the values under a name, or what a pattern finds in them, and takes them away. */
const take = (from: Record<string, EventValue>, name: string, place: Place, pattern?: RegExp): void => {
  const entry = from[name];
  if (entry) {
    (entry.multiValue || [entry]).forEach((one) =>
      addValue(
        (FEATURES.header || FEATURES.authorization) && pattern ? (pattern.exec(one.value) || [])[1] : one.value,
        place,
        place === HEADER ? name : undefined,
      ),
    );
    delete from[name];
  }
};

/**
 * Takes a token segment behind `before`, if one is there. Behind a marker any segment is a token; elsewhere only what
 * looks like one: a JWT's `{"`, or the tags 17, 18, 61+17, 61+18 over an array of four whose first item is a byte string.
 * Encrypted ones are known by tag 61 alone. A segment that begins otherwise is content.
 */
const takeSegment = (request: EventRequest, policy: Placements, placement?: PathPlacement): boolean => {
  const uri = request.uri;
  const before = FEATURES.manyPaths ? (placement as PathPlacement).before : (policy.pathBefore as string);
  const keep = FEATURES.manyPaths ? (placement as PathPlacement).keep : (policy.pathKeep as string);
  // A slash at the end for a segment that has none behind it.
  const rest = uri.slice(before.length + 1) + '/';
  const head = rest.slice(0, 3);
  if (
    // The first segment is behind nothing.
    (before && !uri.startsWith(before + '/')) ||
    (before === keep && head !== 'eyJ' && (!FEATURES.cat || (head !== '0YR' && head !== '0oR' && head !== '2D3')))
  )
    return false;
  // Once through the token is enough where nothing else stands in the segment.
  let end = rest.search(NO_TOKEN);
  let text = rest.slice(0, end);
  if (rest[end] !== '/') {
    end = rest.indexOf('/');
    text = tokenText(rest.slice(0, end));
  }
  if (end) add(text, URI);
  request.uri = keep + (rest.slice(end, -1) || '/');
  return true;
};

/**
 * Takes every token out of a request, which is changed, so that none reaches the origin whatever the verdict.
 *
 * @returns The tokens to be evaluated, in the standard's order: those of the header alone where it is present (4.4),
 *   else from left to right in the URI, then cookies, then Authorization.
 */
export const takeTokens = (request: EventRequest, policy: Placements): FoundToken[] => {
  found = [];
  if (FEATURES.header && policy.header) {
    take(request.headers, 'cta-common-access-token', HEADER, IN_HEADER);
    take(request.headers, 'common-access-token', HEADER, IN_HEADER);
  }
  const first = found;
  if (FEATURES.header && first[0]) found = [];
  if (FEATURES.path && FEATURES.manyPaths)
    (policy.path || []).some((placement) => takeSegment(request, policy, placement));
  if (FEATURES.path && !FEATURES.manyPaths) takeSegment(request, policy);
  if (
    FEATURES.pathParameter &&
    policy.pathParameter &&
    (!FEATURES.anyEngine || has(request.uri, ';' + policy.pathParameter + '='))
  )
    // Not by a replacement: njs 0.7.9 never comes back from one that ends a text beyond ASCII.
    request.uri = request.uri
      .split(';' + policy.pathParameter + '=')
      .map((part, i) => {
        const text = i ? (part.split(/[/;]/)[0] as string) : '';
        addValue(text, URI);
        return part.slice(text.length);
      })
      .join('');
  if (FEATURES.query && policy.query) take(request.querystring, policy.query, URI);
  if (FEATURES.cookie && policy.cookie) take(request.cookies, policy.cookie, COOKIE);
  if (FEATURES.authorization && policy.authorization)
    take(request.headers, 'authorization', AUTHORIZATION, /^(?:Bearer|DPoP) +(.*)/i);
  return first;
};
