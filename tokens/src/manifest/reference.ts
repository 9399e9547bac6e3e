import { PlacementError } from '../errors.js';
import { defaultTokenName, pathHead, placeToken, splitUrl, type Placement } from '../placement.js';

/** Placements that are part of a URL: the others need no rewriting. */
export type UrlPlacement = Extract<Placement, { kind: 'path' | 'pathParameter' | 'query' }>;

export interface ManifestTokenOptions {
  /** URL under which the player asks for this manifest, with or without its token. */
  readonly manifestUrl: string;
  readonly token: string;
  readonly placement: UrlPlacement;
  /**
   * Hosts, with port where it is not the default one, that get the token. Default: the manifest's own. No other host
   * ever does: an ad server that learnt the token could replay it.
   */
  readonly hosts?: readonly string[];
}

/** What relative references stand against. */
export interface ReferenceBase {
  /** Without its token. */
  readonly url: string;
  /** Whether its host is one of ours: relative references below it may carry the token. */
  readonly ours: boolean;
}

export interface ReferenceRewriter {
  readonly root: ReferenceBase;
  /** The reference as it must stand in the manifest so that the player's request carries the token. */
  rewrite(reference: string, base: ReferenceBase): string;
  /** The base that a `BaseURL` makes for what stands below it. */
  below(reference: string, base: ReferenceBase): ReferenceBase;
}

/** How tokens begin: see the validator's own test, `core/placement`. */
const tokenStart = /^(?:eyJ|0[Yo]R|2D3[RS])[\w.=-]+$/;

// Readers disagree on these: browsers take a backslash for a slash and drop tabs, so that a host could hide behind them.
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const unreliable = /[\\\u0000-\u0020\u007f]/;

const otherScheme = /^[a-z][a-z0-9+.-]*:/i;

/** `.` or `..` between slashes, also escaped. */
const dotSegment = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$|[?#])/i;

/**
 * Rewrites references of one manifest.
 *
 * @throws PlacementError when the manifest's own URL is not absolute.
 */
export function createReferenceRewriter(options: ManifestTokenOptions): ReferenceRewriter {
  const { placement, token } = options;
  const manifest = splitUrl(options.manifestUrl);
  if (manifest.origin === '') throw new PlacementError('invalid_url', 'manifestUrl: expected an absolute http(s) URL.');
  const scheme = manifest.origin.slice(0, manifest.origin.indexOf(':') + 1).toLowerCase();
  const hosts = new Set((options.hosts ?? [authority(manifest.origin, scheme)]).map((host) => host.toLowerCase()));
  const inherits = placement.kind === 'path';
  const head = inherits ? pathHead(placement) : '';
  const root: ReferenceBase = {
    url: manifest.origin + withoutToken(manifest.path),
    ours: hosts.has(authority(manifest.origin, scheme)),
  };

  function withoutToken(path: string): string {
    if (!inherits || !path.startsWith(`${head}/`)) return path;
    const start = head.length + 1;
    const slash = path.indexOf('/', start);
    const segment = path.slice(start, slash < 0 ? path.length : slash);
    if (segment !== token && !tokenStart.test(segment)) return path;
    return (placement.mode === 'prefix' ? head : '') + (slash < 0 ? '/' : path.slice(slash));
  }

  const parameter = placement.kind === 'query' ? `${placement.name ?? defaultTokenName}=` : undefined;
  const onlyParameter = `?${parameter}${token}`;
  const nextParameter = `&${parameter}${token}`;

  /** Path, query and fragment with the token in them. */
  function place(path: string): string {
    if (parameter !== undefined && !path.includes(parameter) && !path.includes('#')) {
      return path + (path.includes('?') ? nextParameter : onlyParameter);
    }
    if (!inherits) return placeToken(path, token, placement).url;
    const mark = path.search(/[?#]/);
    const asWritten = mark < 0 ? path : path.slice(0, mark);
    // The player removes dot segments before it asks, and must not remove the token with them.
    const location = dotSegment.test(asWritten) ? new URL(asWritten, 'https://dots.invalid').pathname : asWritten;
    const clean = withoutToken(location) + (mark < 0 ? '' : path.slice(mark));
    // Outside the prefix another behaviour answers, and the token would not be found.
    if (placement.mode === 'prefix' && !clean.startsWith(`${head}/`)) return path;
    return `${head}/${token}${placement.mode === 'prefix' ? clean.slice(head.length) : clean}`;
  }

  function rewriteRelative(reference: string, base: ReferenceBase): string {
    if (!inherits) {
      // Only the fragment's and query's places matter; the path is appended to as it stands.
      const first = reference.charCodeAt(0);
      if (first === 63 || first === 35) return reference;
      if (parameter !== undefined && !/[?#]/.test(reference)) return reference + onlyParameter;
      return place(`/${reference}`).slice(1);
    }
    if (!reference.includes('.') || !dotSegment.test(reference)) return reference;
    const { pathname, search, hash } = new URL(reference, base.url);
    const placed = place(pathname) + search + hash;
    const followed = new URL(
      reference,
      base.url.replace(/^([a-z]+:\/\/[^/]+)(.*)$/is, (_, origin: string, path: string) => origin + place(path || '/')),
    );
    return followed.pathname + followed.search + followed.hash === placed ? reference : placed;
  }

  return {
    root,
    rewrite(reference, base) {
      const first = reference.charCodeAt(0);
      if (unreliable.test(reference) || reference === '') return reference;
      if (first === 47 && reference.charCodeAt(1) !== 47) return base.ours ? place(reference) : reference;
      const location = locate(reference);
      if (location === undefined)
        return base.ours && !(reference.includes(':') && otherScheme.test(reference))
          ? rewriteRelative(reference, base)
          : reference;
      if (!hosts.has(authority(location.origin, scheme))) return reference;
      return location.origin + place(location.rest);
    },
    below(reference, base) {
      if (unreliable.test(reference)) return { url: base.url, ours: false };
      const location = locate(reference);
      try {
        const { origin, pathname } = new URL(reference, base.url);
        const ours =
          location === undefined
            ? base.ours && origin === new URL(base.url).origin
            : hosts.has(authority(location.origin, scheme));
        return { url: origin + withoutToken(pathname), ours };
      } catch {
        return { url: base.url, ours: false };
      }
    },
  };
}

/** Origin and rest of an absolute or protocol-relative reference; `undefined` for the others. */
function locate(reference: string): { origin: string; rest: string } | undefined {
  if (!reference.includes('//')) return undefined;
  const start = /^(?:https?:)?\/\//i.exec(reference)?.[0].length;
  if (start === undefined) return undefined;
  const end = reference.slice(start).search(/[/?#]/);
  if (end < 0) return { origin: reference, rest: '/' };
  const rest = reference.slice(start + end);
  return { origin: reference.slice(0, start + end), rest: rest.startsWith('/') ? rest : `/${rest}` };
}

/** `host:port` without the default port. User information stays and so never equals a host. */
function authority(origin: string, pageScheme: string): string {
  const host = origin.slice(origin.indexOf('//') + 2).toLowerCase();
  const scheme = origin.startsWith('//') ? pageScheme : origin.slice(0, origin.indexOf(':') + 1).toLowerCase();
  const defaultPort = scheme === 'http:' ? ':80' : ':443';
  return host.endsWith(defaultPort) ? host.slice(0, -defaultPort.length) : host;
}
