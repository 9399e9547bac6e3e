import type { AddressRange } from './addresses.js';

/** A file that is no MaxMind DB, or is damaged. */
export class MmdbError extends Error {
  readonly code = 'mmdb';
}

type Value = string | number | bigint | boolean | Buffer | Value[] | { [key: string]: Value } | null;

const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
/** The data section starts this many bytes behind the tree (MaxMind DB 2.0, "Data Section Separator"). */
const separator = 16;
const deepest = 64;

/**
 * Reads every network of a MaxMind DB (format 2.0): country and ASN databases alike, with the members `country.iso_code`,
 * `autonomous_system_number` and `traits.is_hosting_provider`, or the flat ones `country_code`, `country`, `asn`.
 *
 * @throws {MmdbError}
 */
export function readMmdb(file: Buffer): AddressRange[] {
  const at = file.lastIndexOf(marker);
  if (at < 0) throw new MmdbError('not a MaxMind DB');
  const metadata = decodeAt(file, at + marker.length, at + marker.length, 0).value as Record<string, Value>;
  const nodes = Number(metadata['node_count']);
  const bits = Number(metadata['record_size']);
  const version = Number(metadata['ip_version']);
  if (![24, 28, 32].includes(bits) || !(nodes > 0)) throw new MmdbError('its metadata is damaged');
  const size = (bits * 2) / 8;
  const data = nodes * size + separator;
  if (data > file.length) throw new MmdbError('its tree is cut short');
  const ranges: AddressRange[] = [];
  const known = new Map<number, Omit<AddressRange, 'first' | 'last'>>();
  const walk = (node: number, prefix: bigint, depth: number): void => {
    if (node === nodes) return;
    if (node < nodes) {
      if (depth >= (version === 4 ? 32 : 128)) throw new MmdbError('its tree is damaged');
      walk(record(file, node * size, bits, 0), prefix << 1n, depth + 1);
      walk(record(file, node * size, bits, 1), (prefix << 1n) | 1n, depth + 1);
      return;
    }
    const offset = node - nodes - separator + data;
    let facts = known.get(offset);
    if (facts === undefined) known.set(offset, (facts = readFacts(decodeAt(file, offset, data, 0).value)));
    ranges.push({ ...rangeOf(prefix, depth, version), ...facts });
  };
  walk(0, 0n, 0);
  return ranges;
}

function rangeOf(prefix: bigint, depth: number, version: number): { first: string; last: string } {
  const width = version === 4 ? 32 : 128;
  const rest = BigInt(width - depth);
  let first = prefix << rest;
  let last = first | ((1n << rest) - 1n);
  // IPv4 lives in ::/96 of an IPv6 tree; the detector writes it as ::ffff:0:0/96.
  if (version === 4 || (depth >= 96 && first >> 32n === 0n)) {
    first |= 0xffff00000000n;
    last |= 0xffff00000000n;
  }
  const text = (value: bigint): string => value.toString(16).toUpperCase().padStart(32, '0');
  return { first: text(first), last: text(last) };
}

function record(file: Buffer, at: number, bits: number, side: 0 | 1): number {
  if (bits === 24) return file.readUIntBE(at + side * 3, 3);
  if (bits === 32) return file.readUInt32BE(at + side * 4);
  const middle = file[at + 3] as number;
  return side === 0
    ? ((middle >> 4) << 24) | file.readUIntBE(at, 3)
    : ((middle & 15) << 24) | file.readUIntBE(at + 4, 3);
}

function readFacts(value: Value): Omit<AddressRange, 'first' | 'last'> {
  const asn = Number(
    member(value, 'autonomous_system_number') ?? String(member(value, 'asn') ?? '').replace(/^AS/i, ''),
  );
  const country = member(value, 'country', 'iso_code') ?? member(value, 'country_code') ?? member(value, 'country');
  return {
    asn: Number.isInteger(asn) && asn > 0 ? asn : undefined,
    country: typeof country === 'string' && /^[A-Z]{2}$/i.test(country) ? country.toUpperCase() : undefined,
    hosting: member(value, 'traits', 'is_hosting_provider') === true || member(value, 'is_hosting_provider') === true,
  };
}

function member(value: Value, ...path: readonly string[]): Value | undefined {
  let found: Value | undefined = value;
  for (const name of path) {
    if (found === null || typeof found !== 'object' || Array.isArray(found) || Buffer.isBuffer(found)) return undefined;
    found = (found as Record<string, Value>)[name];
  }
  return found;
}

/** Decodes one value of the data section that starts at `base`. */
function decodeAt(file: Buffer, at: number, base: number, depth: number): { value: Value; next: number } {
  if (depth > deepest || at >= file.length) throw new MmdbError('its data is damaged');
  const control = file[at++] as number;
  let type = control >> 5;
  if (type === 1) {
    const extra = (control >> 3) & 3;
    const bytes = file.readUIntBE(at, extra + 1);
    const pointer =
      extra === 3
        ? bytes
        : (control & 7) * 2 ** (8 * (extra + 1)) + bytes + (extra === 1 ? 2048 : extra === 2 ? 526_336 : 0);
    return { value: decodeAt(file, base + pointer, base, depth + 1).value, next: at + extra + 1 };
  }
  if (type === 0) type = 7 + (file[at++] as number);
  let size = control & 31;
  if (size >= 29) {
    const extra = size - 28;
    size = file.readUIntBE(at, extra) + (extra === 1 ? 29 : extra === 2 ? 285 : 65_821);
    at += extra;
  }
  switch (type) {
    case 2:
      return { value: file.toString('utf8', at, at + size), next: at + size };
    case 3:
      return { value: file.readDoubleBE(at), next: at + 8 };
    case 4:
      return { value: file.subarray(at, at + size), next: at + size };
    case 5:
    case 6:
    case 9:
    case 10:
      return { value: unsigned(file, at, size), next: at + size };
    case 8:
      return { value: size === 0 ? 0 : file.readIntBE(at, Math.min(size, 6)), next: at + size };
    case 14:
      return { value: size !== 0, next: at };
    case 15:
      return { value: file.readFloatBE(at), next: at + 4 };
    case 7: {
      const value: Record<string, Value> = {};
      for (let i = 0; i < size; i++) {
        const key = decodeAt(file, at, base, depth + 1);
        const entry = decodeAt(file, key.next, base, depth + 1);
        value[String(key.value)] = entry.value;
        at = entry.next;
      }
      return { value, next: at };
    }
    case 11: {
      const value: Value[] = [];
      for (let i = 0; i < size; i++) {
        const entry = decodeAt(file, at, base, depth + 1);
        value.push(entry.value);
        at = entry.next;
      }
      return { value, next: at };
    }
    default:
      throw new MmdbError(`its data holds a value of the unknown type ${type}`);
  }
}

function unsigned(file: Buffer, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (file[at + i] as number);
  return value;
}
