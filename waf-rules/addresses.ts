import { WafRulesError } from './errors.js';

/** IP version, as the first thing one must know of an address. */
export type AddressFamily = 4 | 6;

/** A run of addresses, both ends included. */
export interface AddressRange {
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly last: bigint;
}

const widthOf = (family: AddressFamily): number => (family === 4 ? 32 : 128);

/** Parses a dotted IPv4 address (four decimal numbers, no leading zeros); undefined when it is none. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** Parses an IPv6 address (RFC 4291 2.2, `::` and a dotted tail included, no zone); undefined when it is none. */
export function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string, mayEndDotted: boolean): number[] | undefined => {
    if (half === '') return [];
    const groups: number[] = [];
    const pieces = half.split(':');
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as string;
      if (mayEndDotted && i === pieces.length - 1 && piece.includes('.')) {
        const dotted = parseIpv4(piece);
        if (dotted === undefined) return undefined;
        groups.push(Math.floor(dotted / 65536), dotted % 65536);
      } else if (/^[0-9a-fA-F]{1,4}$/.test(piece)) groups.push(parseInt(piece, 16));
      else return undefined;
    }
    return groups;
  };
  const head = groupsOf(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string, true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let value = 0n;
  for (const group of [...head, ...new Array<number>(missing).fill(0), ...tail]) value = (value << 16n) | BigInt(group);
  return value;
}

const mappedPrefix = 0xffffn;

/**
 * Parses an address or a CIDR range. Host bits are cleared (`192.0.2.44/24` is `192.0.2.0/24`), because whether an IP
 * set takes them is not documented; an IPv4-mapped IPv6 address is the IPv4 address it stands for.
 *
 * @throws WafRulesError `invalid_address`
 * @example parseRange('2001:db8::/56')
 */
export function parseRange(text: string): AddressRange {
  const refuse = (expected: string): never => {
    throw new WafRulesError('invalid_address', `"${text}" is not an address range: expected ${expected}.`, {
      address: text,
    });
  };
  const trimmed = text.trim();
  const slash = trimmed.indexOf('/');
  const address = slash < 0 ? trimmed : trimmed.slice(0, slash);
  const ipv4 = parseIpv4(address);
  const value = ipv4 === undefined ? parseIpv6(address) : BigInt(ipv4);
  if (value === undefined) return refuse('an IPv4 or IPv6 address, or one with a prefix length as in 203.0.113.0/24');
  let family: AddressFamily = ipv4 === undefined ? 6 : 4;
  let bits = value;
  let prefix = widthOf(family);
  if (slash >= 0) {
    const length = trimmed.slice(slash + 1);
    if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > widthOf(family)) {
      return refuse(`a prefix length from 0 to ${widthOf(family)}`);
    }
    prefix = Number(length);
  }
  if (family === 6 && bits >> 32n === mappedPrefix && prefix >= 96) {
    family = 4;
    bits &= 0xffffffffn;
    prefix -= 96;
  }
  return rangeOf(family, bits, prefix);
}

function rangeOf(family: AddressFamily, bits: bigint, prefix: number): AddressRange {
  const host = BigInt(widthOf(family) - prefix);
  const first = (bits >> host) << host;
  return { family, first, last: first + (1n << host) - 1n };
}

/** The text of one address, IPv6 in the form of RFC 5952. */
export function formatAddress(family: AddressFamily, value: bigint): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
  }
  const groups: string[] = [];
  for (let i = 7n; i >= 0n; i--) groups.push(((value >> (i * 16n)) & 0xffffn).toString(16));
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === '0') end++;
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    if (end > i) i = end;
  }
  if (bestStart < 0) return groups.join(':');
  return `${groups.slice(0, bestStart).join(':')}::${groups.slice(bestStart + bestLength).join(':')}`;
}

/** The fewest CIDR blocks that make up a range, as IP sets take them: always with a prefix length. */
export function toCidrs(range: AddressRange): string[] {
  const width = widthOf(range.family);
  const blocks: string[] = [];
  let first = range.first;
  while (first <= range.last) {
    let host = 0;
    while (host < width) {
      const size = 1n << BigInt(host + 1);
      if (first % size !== 0n || first + size - 1n > range.last) break;
      host++;
    }
    blocks.push(`${formatAddress(range.family, first)}/${width - host}`);
    first += 1n << BigInt(host);
  }
  return blocks;
}

const compareRanges = (a: AddressRange, b: AddressRange): number =>
  a.family - b.family ||
  (a.first < b.first ? -1 : a.first > b.first ? 1 : a.last < b.last ? -1 : a.last > b.last ? 1 : 0);

/** Sorts ranges and joins those that overlap or touch. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of [...ranges].sort(compareRanges)) {
    const previous = merged[merged.length - 1];
    if (previous && previous.family === range.family && range.first <= previous.last + 1n) {
      if (range.last > previous.last) merged[merged.length - 1] = { ...previous, last: range.last };
    } else merged.push(range);
  }
  return merged;
}

/** What is left of `ranges` without `removed`; merged and sorted. */
export function subtractRanges(ranges: readonly AddressRange[], removed: readonly AddressRange[]): AddressRange[] {
  const holes = mergeRanges(removed);
  const left: AddressRange[] = [];
  let next = 0;
  for (const range of mergeRanges(ranges)) {
    while (next < holes.length) {
      const hole = holes[next] as AddressRange;
      if (hole.family > range.family || (hole.family === range.family && hole.last >= range.first)) break;
      next++;
    }
    let first = range.first;
    for (let i = next; i < holes.length; i++) {
      const hole = holes[i] as AddressRange;
      if (hole.family !== range.family || hole.first > range.last) break;
      if (hole.first > first) left.push({ family: range.family, first, last: hole.first - 1n });
      if (hole.last + 1n > first) first = hole.last + 1n;
    }
    if (first <= range.last) left.push({ family: range.family, first, last: range.last });
  }
  return left;
}

/** Whether two ranges share an address. */
export function overlaps(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** A lookup table over ranges, for many questions: binary search, IPv4 in plain numbers. */
export interface AddressTable {
  readonly size: number;
  has(address: ParsedAddress): boolean;
}

/** One address, parsed once for all the tables it is looked up in. */
export interface ParsedAddress {
  readonly family: AddressFamily;
  /** The address of an IPv4 viewer. */
  readonly v4: number;
  /** The address of an IPv6 viewer. */
  readonly v6: bigint;
}

/** Parses a single address (no prefix length); undefined when it is none. IPv4-mapped IPv6 is IPv4. */
export function parseAddress(text: string): ParsedAddress | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return { family: 4, v4, v6: 0n };
  const v6 = parseIpv6(text);
  if (v6 === undefined) return undefined;
  if (v6 >> 32n === mappedPrefix) return { family: 4, v4: Number(v6 & 0xffffffffn), v6: 0n };
  return { family: 6, v4: 0, v6 };
}

/** Builds a lookup table from ranges in any order. */
export function addressTable(ranges: readonly AddressRange[]): AddressTable {
  const merged = mergeRanges(ranges);
  const v4 = merged.filter((range) => range.family === 4);
  const v6 = merged.filter((range) => range.family === 6);
  const firsts = Float64Array.from(v4, (range) => Number(range.first));
  const lasts = Float64Array.from(v4, (range) => Number(range.last));
  return {
    size: merged.length,
    has(address) {
      let low = 0;
      if (address.family === 4) {
        let high = firsts.length - 1;
        while (low <= high) {
          const middle = (low + high) >> 1;
          if (address.v4 < (firsts[middle] as number)) high = middle - 1;
          else if (address.v4 > (lasts[middle] as number)) low = middle + 1;
          else return true;
        }
        return false;
      }
      let high = v6.length - 1;
      while (low <= high) {
        const middle = (low + high) >> 1;
        const range = v6[middle] as AddressRange;
        if (address.v6 < range.first) high = middle - 1;
        else if (address.v6 > range.last) low = middle + 1;
        else return true;
      }
      return false;
    },
  };
}

/** A range nobody should block by accident, and why. */
export interface ReservedRange {
  readonly range: AddressRange;
  readonly kind: 'private' | 'documentation' | 'special';
  /** Where it is set apart. */
  readonly source: string;
}

const reserved = (kind: ReservedRange['kind'], source: string, ...cidrs: string[]): ReservedRange[] =>
  cidrs.map((cidr) => ({ range: parseRange(cidr), kind, source }));

/** The special-purpose registries of IANA (RFC 6890), as far as they cannot be a viewer's public address. */
export const reservedRanges: readonly ReservedRange[] = [
  ...reserved('private', 'RFC 1918', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'),
  ...reserved('private', 'RFC 6598 (shared by carriers)', '100.64.0.0/10'),
  ...reserved('private', 'RFC 4193', 'fc00::/7'),
  ...reserved('documentation', 'RFC 5737', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'),
  ...reserved('documentation', 'RFC 3849, RFC 9637', '2001:db8::/32', '3fff::/20'),
  ...reserved('special', 'RFC 1122', '0.0.0.0/8', '127.0.0.0/8', '240.0.0.0/4'),
  ...reserved('special', 'RFC 3927, RFC 4291', '169.254.0.0/16', 'fe80::/10', '::/127'),
  ...reserved('special', 'RFC 5771, RFC 4291', '224.0.0.0/4', 'ff00::/8'),
  ...reserved('special', 'RFC 2544', '198.18.0.0/15'),
  ...reserved('special', 'RFC 6890', '192.0.0.0/24'),
];
