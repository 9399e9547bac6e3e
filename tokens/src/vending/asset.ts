import { isCountryOrRegion, type CountryOrRegion } from '../countries.js';
import { durationSeconds, type Duration } from '../duration.js';
import { PolicyError } from '../errors.js';
import { splitUrl } from '../placement.js';
import type { HttpMethod, NonEmpty } from '../policy.js';

/** What may be minted for an asset. It is the whole truth: nothing in a request widens it. */
export interface AssetPolicy {
  /** Playback URL, without a token. */
  readonly url: string;
  /** Prefixes that the token admits. Default: the folder of `url`. */
  readonly paths?: NonEmpty<`/${string}/`>;
  readonly hosts?: NonEmpty<string>;
  readonly methods?: NonEmpty<HttpMethod>;
  readonly countries?: NonEmpty<CountryOrRegion>;
  readonly expiresIn: Duration;
  /** The session's end, over all renewals. */
  readonly sessionEndsIn?: Duration;
  /** Content id, for revocations by content. Default: the asset's own id. */
  readonly content?: string;
  /** Bind the viewer's network, widened to /24 or /56. A request without an address is refused then. */
  readonly bindNetwork?: boolean;
  /** Bind the viewer's user agent. */
  readonly bindUserAgent?: boolean;
  /** Let the edge renew the token by itself. */
  readonly renewal?: { readonly extendBy: Duration; readonly within?: Duration };
  /** Sessions that one subject may have at a time. */
  readonly concurrency?: {
    readonly limit: number;
    /** What happens over it: the newest is refused, or the oldest ends. Default `refuse`. */
    readonly over?: 'refuse' | 'replace';
    /** Counts all assets of this group together. Default: all assets. */
    readonly group?: string;
  };
  /** Folder in which harvested clips lie, each in a folder of its own. */
  readonly clips?: { readonly root: `/${string}/`; readonly expiresIn: Duration };
}

/** Where assets' policies are kept. */
export interface AssetStore {
  /** The policy, or undefined where there is no such asset. Rejects on a fault: nothing is minted then. */
  get(asset: string): Promise<AssetPolicy | undefined>;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * A policy from a file or table, checked.
 *
 * @param path What to call it in messages: `assets.ch1`.
 * @throws PolicyError naming the field and what was expected.
 */
export function parseAssetPolicy(value: unknown, path: string): AssetPolicy {
  const record = object(value, path);
  const known = [
    'url',
    'paths',
    'hosts',
    'methods',
    'countries',
    'expiresIn',
    'sessionEndsIn',
    'content',
    'bindNetwork',
    'bindUserAgent',
    'renewal',
    'concurrency',
    'clips',
  ];
  // A misspelt restriction would otherwise be no restriction.
  for (const name of Object.keys(record))
    if (!known.includes(name)) throw new PolicyError(`${path}.${name}`, `one of ${known.join(', ')}`);
  const { url, paths, hosts, countries, expiresIn, sessionEndsIn, content, concurrency, clips, renewal } = record;
  if (typeof url !== 'string' || splitUrl(url).origin === '')
    throw new PolicyError(`${path}.url`, 'an absolute URL', url);
  duration(expiresIn, `${path}.expiresIn`);
  if (sessionEndsIn !== undefined) duration(sessionEndsIn, `${path}.sessionEndsIn`);
  if (paths !== undefined)
    texts(paths, `${path}.paths`, "prefixes that start and end with '/'", (item) => /^\/([^?#\s]*\/)?$/.test(item));
  if (hosts !== undefined) texts(hosts, `${path}.hosts`, 'host names', (item) => /^[a-z0-9.-]+$/i.test(item));
  if (record['methods'] !== undefined)
    texts(record['methods'], `${path}.methods`, methods.join(', '), (item) => methods.includes(item));
  if (countries !== undefined) texts(countries, `${path}.countries`, 'ISO 3166 codes: GB, US-CA', isCountryOrRegion);
  if (content !== undefined && (typeof content !== 'string' || content === ''))
    throw new PolicyError(`${path}.content`, 'text', content);
  for (const name of ['bindNetwork', 'bindUserAgent']) {
    if (record[name] !== undefined && typeof record[name] !== 'boolean')
      throw new PolicyError(`${path}.${name}`, 'true or false', record[name]);
  }
  if (renewal !== undefined) {
    const { extendBy, within } = object(renewal, `${path}.renewal`);
    duration(extendBy, `${path}.renewal.extendBy`);
    if (within !== undefined) duration(within, `${path}.renewal.within`);
  }
  if (concurrency !== undefined) {
    const { limit, over, group } = object(concurrency, `${path}.concurrency`);
    if (!Number.isInteger(limit) || (limit as number) < 1 || (limit as number) > 100)
      throw new PolicyError(`${path}.concurrency.limit`, 'a whole number, 1 to 100', limit);
    if (over !== undefined && over !== 'refuse' && over !== 'replace')
      throw new PolicyError(`${path}.concurrency.over`, 'refuse or replace', over);
    if (group !== undefined && (typeof group !== 'string' || group === ''))
      throw new PolicyError(`${path}.concurrency.group`, 'text', group);
  }
  if (clips !== undefined) {
    const { root, expiresIn: clipLifetime } = object(clips, `${path}.clips`);
    if (typeof root !== 'string' || !/^\/([^?#\s]*\/)?$/.test(root))
      throw new PolicyError(`${path}.clips.root`, "a folder that starts and ends with '/'", root);
    duration(clipLifetime, `${path}.clips.expiresIn`);
  }
  return record as unknown as AssetPolicy;
}

/**
 * Assets from an object or a parsed JSON file, all checked at once.
 *
 * @example
 * ```ts
 * const assets = assetsFromObject({ ch1: { url: 'https://cdn.example/live/ch1/main.m3u8', expiresIn: '10m' } });
 * ```
 */
export function assetsFromObject(value: Readonly<Record<string, unknown>>): AssetStore {
  const assets = new Map(
    Object.entries(object(value, 'assets')).map(([id, policy]) => [id, parseAssetPolicy(policy, `assets.${id}`)]),
  );
  return { get: (asset) => Promise.resolve(assets.get(asset)) };
}

function object(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PolicyError(path, 'an object', value);
  return value as Record<string, unknown>;
}

function duration(value: unknown, path: string): void {
  durationSeconds(value as Duration, path);
}

function texts(value: unknown, path: string, expected: string, right: (item: string) => boolean): void {
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string' && right(item)))
    throw new PolicyError(path, `a list of ${expected}`, value);
}
