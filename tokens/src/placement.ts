import { PlacementError } from './errors.js';

/** Name of the query parameter, cookie and path parameter where none is configured. */
export const defaultTokenName = 'CAT';

/** Name of the standard request header (CTA-5007-B 4.4). */
export const defaultHeaderName = 'CTA-Common-Access-Token';

/**
 * Where a token travels. SDK, functions, manifest rewriter and deployment share this definition, because CloudFront
 * chooses the behaviour on the URI as sent.
 */
export type Placement =
  /** `/live/<token>/ch1/…`: relative URLs in manifests inherit it, and the behaviour `/live/*` still matches. */
  | { readonly kind: 'path'; readonly mode: 'prefix'; readonly prefix: `/${string}` }
  /** `/~t/<token>/…`: for a behaviour of its own. */
  | { readonly kind: 'path'; readonly mode: 'marker'; readonly marker?: `/${string}` }
  /** `/<token>/…`: for distributions whose default behaviour serves the media. */
  | { readonly kind: 'path'; readonly mode: 'first' }
  /** `…/master.m3u8;CAT=<token>` (RFC 6570 3.2.7). */
  | { readonly kind: 'pathParameter'; readonly name?: string }
  | { readonly kind: 'query'; readonly name?: string }
  | ({ readonly kind: 'cookie'; readonly name?: string } & CookieAttributes)
  | { readonly kind: 'header'; readonly name?: string }
  | { readonly kind: 'authorization' };

/** Set-Cookie attributes that a deployment chooses; Secure and HttpOnly are always set. */
export interface CookieAttributes {
  /** Default: the host that answers. Give the parent domain when CMS and CDN are siblings. */
  readonly domain?: string;
  /** Default: the longest path prefix that the policy admits, else `/`. */
  readonly path?: `/${string}`;
  /** Default `None`: the player's page is on another site than the CDN. */
  readonly sameSite?: 'None' | 'Lax' | 'Strict';
  /** One jar per embedding site (CHIPS). Browsers that block third-party cookies keep only these. */
  readonly partitioned?: boolean;
}

/** A URL in the pieces that placing a token touches; nothing is re-encoded. */
export interface UrlParts {
  /** `https://host:port`, or empty for a path-absolute URL. */
  readonly origin: string;
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
  /** With its `#`, or empty. */
  readonly fragment: string;
}

/**
 * Splits an absolute http(s) URL or a path-absolute one, byte for byte.
 *
 * @throws PlacementError `invalid_url`
 */
export function splitUrl(url: string): UrlParts {
  // eslint-disable-next-line no-control-regex -- control characters and spaces are what is refused
  if (url === '' || /[\u0000-\u0020\u007f\\]/.test(url)) throw invalidUrl();
  const hash = url.indexOf('#');
  const fragment = hash < 0 ? '' : url.slice(hash);
  const rest = hash < 0 ? url : url.slice(0, hash);
  const mark = rest.indexOf('?');
  const query = mark < 0 ? '' : rest.slice(mark);
  const location = mark < 0 ? rest : rest.slice(0, mark);
  if (location.startsWith('/') && !location.startsWith('//')) return { origin: '', path: location, query, fragment };
  const authority = /^https?:\/\//i.exec(location)?.[0].length ?? 0;
  const slash = location.indexOf('/', authority);
  const origin = slash < 0 ? location : location.slice(0, slash);
  if (authority === 0 || origin.length === authority) throw invalidUrl();
  return { origin, path: slash < 0 ? '/' : location.slice(slash), query, fragment };
}

function invalidUrl(): PlacementError {
  return new PlacementError('invalid_url', 'Expected an absolute http(s) URL, or a path that starts with one slash.');
}

/** Where a URL goes once its token is placed, and what else the client must send. */
export interface PlacedToken {
  readonly url: string;
  /** Request headers for the player. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Puts a token into a URL, or into the headers that go with it. Cookies leave the URL as it is: see `tokenCookie`.
 *
 * @throws PlacementError when the URL lies outside the placement's prefix or is no URL.
 * @example
 * ```ts
 * placeToken('https://cdn.example/live/ch1/main.m3u8', token, { kind: 'path', mode: 'prefix', prefix: '/live' }).url
 * // https://cdn.example/live/<token>/ch1/main.m3u8
 * ```
 */
export function placeToken(url: string, token: string, placement: Placement): PlacedToken {
  switch (placement.kind) {
    case 'path':
      return { url: placeInPath(splitUrl(url), token, placement), headers: {} };
    case 'pathParameter': {
      const { origin, path, query, fragment } = splitUrl(url);
      const name = placement.name ?? defaultTokenName;
      return { url: `${origin}${withoutPathParameter(path, name)};${name}=${token}${query}${fragment}`, headers: {} };
    }
    case 'query': {
      const { origin, path, query, fragment } = splitUrl(url);
      return {
        url: origin + path + withQueryParameter(query, placement.name ?? defaultTokenName, token) + fragment,
        headers: {},
      };
    }
    case 'cookie':
      splitUrl(url);
      return { url, headers: {} };
    case 'header':
      splitUrl(url);
      return { url, headers: { [placement.name ?? defaultHeaderName]: token } };
    case 'authorization':
      splitUrl(url);
      return { url, headers: { Authorization: `Bearer ${token}` } };
  }
}

/** The text between origin and token for a path placement, without a slash at its end: `/live`, `/~t` or empty. */
export function pathHead(placement: Extract<Placement, { kind: 'path' }>): string {
  if (placement.mode === 'first') return '';
  const head = placement.mode === 'prefix' ? placement.prefix : (placement.marker ?? '/~t');
  return head.endsWith('/') ? head.slice(0, -1) : head;
}

function placeInPath(
  { origin, path, query, fragment }: UrlParts,
  token: string,
  placement: Extract<Placement, { kind: 'path' }>,
): string {
  const head = pathHead(placement);
  if (placement.mode === 'prefix' && !path.startsWith(`${head}/`)) {
    throw new PlacementError(
      'url_outside_policy',
      `The path ${path} does not lie below ${head}/, where the token is to be placed.`,
    );
  }
  const rest = placement.mode === 'prefix' ? path.slice(head.length) : path;
  return `${origin}${head}/${token}${rest}${query}${fragment}`;
}

function withoutPathParameter(path: string, name: string): string {
  const lastSegment = path.lastIndexOf('/');
  const parts = path.slice(lastSegment).split(';');
  return path.slice(0, lastSegment) + parts.filter((part, i) => i === 0 || !part.startsWith(`${name}=`)).join(';');
}

/** Sets a query parameter and leaves every other one as it was written. */
export function withQueryParameter(query: string, name: string, value: string): string {
  if (query.length < 2) return `?${name}=${value}`;
  if (!query.includes(`${name}=`)) return `${query}&${name}=${value}`;
  const kept = query
    .slice(1)
    .split('&')
    .filter((part) => part !== '' && !part.startsWith(`${name}=`));
  return `?${[...kept, `${name}=${value}`].join('&')}`;
}
