import { claimLabels } from '@portcullis/tokens/claims';
import { isBelow } from '@portcullis/tokens/core/uri';
import { formatNetwork, parseAddress, parseNetwork, widen, widestClear } from '@portcullis/tokens/networks';
import type { ExchangePolicy } from './policy.js';

/** What is known of the start that a token is exchanged at. */
export interface StartFacts {
  /** Seconds since 1970. */
  readonly now: number;
  /** The normal form of the path, without start path and token. */
  readonly path: string;
  readonly address: string;
  /** As CloudFront says; undefined where it does not. */
  readonly country?: string | undefined;
  readonly region?: string | undefined;
  readonly asn?: string | undefined;
  /** Paths that the original's key is entitled to: `path` lies below each. */
  readonly entitled: readonly string[];
  /** A session handle that nobody has, for originals without one: 16 bytes in base64url. */
  readonly newSession: string;
}

/** Why a good token cannot be exchanged. */
export class NotExchangeable extends Error {
  readonly reason: 'expired' | 'proof_required' | 'unsupported_claim' | 'country_mismatch' | 'network_mismatch';
  constructor(reason: NotExchangeable['reason']) {
    super(`The token cannot be exchanged: ${reason}`);
    this.name = 'NotExchangeable';
    this.reason = reason;
  }
}

/** Claims to be replaced or added, and to be left out, by JWT name; all others stay as they stand. */
export interface Changes {
  readonly set: Readonly<Record<string, unknown>>;
  readonly drop: readonly string[];
}

type ReadClaims = Readonly<Record<string, unknown>>;

/**
 * What an exchanged token says differently. Every change narrows: whatever the new token admits, the original did, but for
 * what is spent in the exchange itself (one use, proof of possession).
 *
 * @param claims The original's claims by JWT name, as `describeToken` gives them; it admitted the start.
 * @throws NotExchangeable
 */
export function narrow(claims: ReadClaims, facts: StartFacts, policy: ExchangePolicy): Changes {
  const { now } = facts;
  const set: Record<string, unknown> = {};
  const sessionEnd = Math.min(numberOr(claims['sxp'], Infinity), now + (policy.session ?? Infinity));
  const expiry = Math.floor(Math.min(now + policy.lifetime, numberOr(claims['exp'], Infinity), sessionEnd));
  if (expiry <= now) throw new NotExchangeable('expired');
  set['exp'] = expiry;
  if (sessionEnd < numberOr(claims['sxp'], Infinity)) set['sxp'] = Math.floor(sessionEnd);
  if (claims['sid'] === undefined) set['sid'] = facts.newSession;
  if (policy.network) set['catnip'] = networks(claims['catnip'], facts);
  if (policy.country) set['catgeoiso3166'] = countries(claims['catgeoiso3166'], facts, policy);
  if (policy.methods) set['catm'] = methods(claims['catm'], policy.methods);
  const prefix = pathPrefix(facts, policy);
  if (prefix !== undefined) set['catu'] = withPrefix(claims['catu'], prefix);
  const drop = dropped(claims, policy);
  // What the function cannot decide it would refuse on every segment, or ignore where it is told to: neither is a start.
  const left = Object.keys(claimLabels).filter((name) => claims[name] !== undefined && !drop.includes(name));
  if (left.some((name) => !policy.understood.includes(name))) throw new NotExchangeable('unsupported_claim');
  return { set: Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined)), drop };
}

/** What the start has used up, and grants that the function cannot read. No claim that refuses anybody is left out. */
function dropped(claims: ReadClaims, policy: ExchangePolicy): string[] {
  const proved = ['cnf', 'catdpop'];
  if (claims['cnf'] !== undefined && policy.proof === 'refuse') throw new NotExchangeable('proof_required');
  const grants = ['catif', 'catifdata', 'catr'].filter(
    (name) => !policy.understood.includes(name) || (name === 'catr' && policy.renewal === 'drop'),
  );
  // 1 is spent here; 0 and 2 refuse nobody.
  const replay = claims['catreplay'] === 1 || !policy.understood.includes('catreplay') ? ['catreplay'] : [];
  return [...proved, ...grants, ...replay].filter((name) => claims[name] !== undefined);
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

/** The viewer's /24 or /56, or what of the original's networks is narrower; undefined: as it was. */
function networks(original: unknown, { address, asn }: StartFacts): unknown {
  const bytes = parseAddress(address);
  if (!bytes) throw new NotExchangeable('network_mismatch');
  const family = bytes.length === 4 ? 4 : 6;
  const own = widen({ family, bytes }, widestClear[family]);
  if (original === undefined) return [formatNetwork(own)];
  const entries = original as readonly (string | number)[];
  let closest: { readonly text: string; readonly length: number } | undefined;
  for (const entry of entries) {
    const network = typeof entry === 'string' ? parseNetwork(entry) : undefined;
    if (typeof entry !== 'string' || network?.family !== family) continue;
    const length = network.length ?? bytes.length * 8;
    if (!sameBits(network.bytes, bytes, length)) continue;
    if (!closest || length > closest.length) closest = { text: entry, length };
  }
  if (closest) return [closest.length > widestClear[family] ? closest.text : formatNetwork(own)];
  // Somebody else in the same /24 may be in another autonomous system: the number stays, and nothing is added.
  const number = entries.filter((entry) => typeof entry === 'number' && String(entry) === asn);
  return number.length > 0 ? number : undefined;
}

function sameBits(one: Uint8Array, other: Uint8Array, length: number): boolean {
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (one[i] !== other[i]) return false;
  const rest = length & 7;
  return rest === 0 || (((one[whole] ?? 0) ^ (other[whole] ?? 0)) & (0xff << (8 - rest)) & 0xff) === 0;
}

/** The viewer's country, or the region that the original admitted it for; undefined: as it was. */
function countries(original: unknown, { country, region }: StartFacts, { unplaced }: ExchangePolicy): unknown {
  if (country === undefined) {
    // A session that should be bound and is not would go anywhere.
    if (unplaced === 'refuse') throw new NotExchangeable('country_mismatch');
    return undefined;
  }
  if (original === undefined) return [country];
  const codes = (Array.isArray(original) ? original : [original]) as readonly string[];
  const admitted = (wanted: string): boolean => codes.some((code) => code.toUpperCase() === wanted);
  if (admitted(country)) return [country];
  return region !== undefined && admitted(`${country}-${region}`) ? [`${country}-${region}`] : undefined;
}

function methods(original: unknown, allowed: readonly string[]): unknown {
  if (original === undefined) return allowed;
  const left = ((Array.isArray(original) ? original : [original]) as readonly string[]).filter((method) =>
    allowed.includes(method),
  );
  return left.length > 0 ? left : undefined;
}

/** The longest prefix that every path must have; undefined: any. */
function pathPrefix({ path, entitled }: StartFacts, policy: ExchangePolicy): string | undefined {
  const wanted = entitled
    .filter((prefix) => isBelow(path, [prefix]))
    .map((prefix) => (prefix.endsWith('/') ? prefix : `${prefix}/`));
  if (policy.paths === 'folder') wanted.push(path.slice(0, path.lastIndexOf('/') + 1));
  const longest = wanted.sort((a, b) => b.length - a.length)[0];
  return longest === undefined || longest === '/' ? undefined : longest;
}

/** `catu` with a path prefix in addition: of two prefixes of one path, the longer one is both. */
function withPrefix(original: unknown, prefix: string): unknown {
  const components = (original ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  const { path = {} } = components;
  const before = path['prefix'];
  return {
    ...components,
    path: { ...path, prefix: typeof before === 'string' && before.length > prefix.length ? before : prefix },
  };
}
