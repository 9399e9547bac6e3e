import { readFile } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { usable } from './census.js';
import type { DetectionConfig } from './config.js';
import { duckdb, literal } from './dialect.js';
import { readMmdb } from './mmdb.js';

/** A range of addresses and who it belongs to. */
export interface AddressRange {
  /** First and last address in 32 capital hexadecimal digits, IPv4 as ::ffff:0:0/96. */
  readonly first: string;
  readonly last: string;
  readonly asn: number | undefined;
  readonly country: string | undefined;
  readonly hosting: boolean;
}

/** An address database that cannot be used. */
export class AddressDatabaseError extends Error {
  readonly code = 'address_database';
}

/**
 * Reads an address database for logs that tell no autonomous system or country: CSV with a header line (`network` in CIDR
 * notation, or `first` and `last`; `asn`, `country`, `hosting`, each optional), or MaxMind's MMDB.
 *
 * @throws {AddressDatabaseError}
 */
export async function readAddressDatabase(file: string): Promise<AddressRange[]> {
  const data = await readFile(file).catch(() => {
    throw new AddressDatabaseError(`${file}: cannot be read`);
  });
  try {
    return disjoint(/\.mmdb$/i.test(file) ? readMmdb(data) : parseAddressCsv(data.toString('utf8')));
  } catch (error) {
    throw new AddressDatabaseError(`${file}: ${error instanceof Error ? error.message : 'not an address database'}`);
  }
}

const moved = (hex: string, by: 1n | -1n): string =>
  (BigInt(`0x${hex}`) + by).toString(16).toUpperCase().padStart(32, '0');

/**
 * Ranges of which no two share an address, in order. Of several around an address the innermost counts: the one that begins
 * last, then the one that ends first, then the one named last. Of n ranges come fewer than 2n.
 */
export function disjoint(ranges: readonly AddressRange[]): AddressRange[] {
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = [...ranges].sort((a, b) => compare(a.first, b.first) || compare(b.last, a.last));
  const pieces: AddressRange[] = [];
  // The ranges begun and not ended, innermost last, and where the innermost goes on.
  const open: AddressRange[] = [];
  let at = '';
  const closeUpTo = (first: string | undefined): void => {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (first !== undefined && top.last >= first) break;
      open.pop();
      if (top.last < at) continue;
      pieces.push(at === top.first ? top : { ...top, first: at });
      // Nothing lies behind the last address of all.
      if (/^F+$/.test(top.last)) return void open.splice(0);
      // Only where a range goes on around the one that ends is there something to count.
      if (open.length > 0) at = moved(top.last, 1n);
    }
    const top = open.at(-1);
    if (top !== undefined && first !== undefined && at < first)
      pieces.push({ ...top, first: at, last: moved(first, -1n) });
  };
  for (const range of sorted) {
    closeUpTo(range.first);
    open.push(range);
    at = range.first;
  }
  closeUpTo(undefined);
  return pieces;
}

const columnNames: Readonly<Record<string, readonly string[]>> = {
  network: ['network', 'cidr', 'prefix'],
  first: ['first', 'start', 'start_ip', 'range_start', 'ip_from'],
  last: ['last', 'end', 'end_ip', 'range_end', 'ip_to'],
  asn: ['asn', 'as', 'as_number', 'autonomous_system_number'],
  country: ['country', 'country_code', 'country_iso_code', 'iso_code'],
  hosting: ['hosting', 'is_hosting', 'is_hosting_provider', 'hosting_provider', 'type', 'kind'],
};

/** Reads the CSV form. A line that names no network is passed over. */
export function parseAddressCsv(text: string): AddressRange[] {
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const header = cells(lines[0] ?? '').map((cell) => cell.toLowerCase());
  const at = (name: string): number =>
    header.findIndex((cell) => (columnNames[name] as readonly string[]).includes(cell));
  const [network, first, last, asn, country, hosting] = ['network', 'first', 'last', 'asn', 'country', 'hosting'].map(
    at,
  ) as [number, number, number, number, number, number];
  if (network < 0 && (first < 0 || last < 0))
    throw new AddressDatabaseError('its header line names neither network nor first and last');
  const ranges: AddressRange[] = [];
  for (const line of lines.slice(1)) {
    const row = cells(line);
    const range =
      network >= 0 ? rangeOfNetwork(row[network] ?? '') : rangeOfAddresses(row[first] ?? '', row[last] ?? '');
    if (range === undefined) continue;
    const number = Number((row[asn] ?? '').replace(/^AS/i, ''));
    const code = (row[country] ?? '').toUpperCase();
    ranges.push({
      ...range,
      asn: Number.isInteger(number) && number > 0 ? number : undefined,
      country: /^[A-Z]{2}$/.test(code) ? code : undefined,
      hosting: /^(1|t|true|yes|hosting|datacenter|dch)$/i.test(row[hosting] ?? ''),
    });
  }
  return ranges;
}

function cells(line: string): string[] {
  return [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((match) => {
    const cell = (match[1] ?? '').trim();
    return cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell;
  });
}

/** An address in 32 capital hexadecimal digits, undefined when it is none. */
export function addressToHex(address: string): string | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  if (octets) {
    const values = octets.slice(1).map(Number);
    if (values.some((value) => value > 255)) return undefined;
    return `00000000000000000000FFFF${values.map((value) => value.toString(16).padStart(2, '0')).join('')}`.toUpperCase();
  }
  if (!/^[0-9a-f:]{2,39}$/i.test(address) || !address.includes(':')) return undefined;
  const [head = '', tail, more] = address.split('::');
  if (more !== undefined) return undefined;
  const digits = (text: string): string =>
    text
      .split(':')
      .filter((group) => group !== '')
      .map((group) => group.padStart(4, '0'))
      .join('');
  if (/[0-9a-f]{5}|:::/i.test(address)) return undefined;
  const left = digits(head);
  const right = digits(tail ?? '');
  if (tail === undefined ? left.length !== 32 : left.length + right.length > 32) return undefined;
  return (left + '0'.repeat(32 - left.length - right.length) + right).toUpperCase();
}

/** The first and last address of a network in CIDR notation. */
export function rangeOfNetwork(network: string): { first: string; last: string } | undefined {
  const [address = '', length = ''] = network.split('/');
  const hex = addressToHex(address);
  if (hex === undefined) return undefined;
  if (!/^\d{0,3}$/.test(length)) return undefined;
  const bits = length === '' ? 128 : Number(length) + (address.includes(':') ? 0 : 96);
  if (bits > 128) return undefined;
  const rest = (1n << BigInt(128 - bits)) - 1n;
  const value = BigInt(`0x${hex}`);
  const text = (number: bigint): string => number.toString(16).toUpperCase().padStart(32, '0');
  return { first: text(value - (value & rest)), last: text(value | rest) };
}

function rangeOfAddresses(first: string, last: string): { first: string; last: string } | undefined {
  const from = addressToHex(first);
  const to = addressToHex(last);
  return from === undefined || to === undefined || from > to ? undefined : { first: from, last: to };
}

/**
 * The network of an address as one text: 30 hexadecimal digits of an IPv4 /24, 14 of an IPv6 /56. A relay's or a
 * nationwide NAT's networks count as one.
 */
export function placeExpression(hex: string, asn: string, config: DetectionConfig): string {
  const network = `case when starts_with(${hex}, '00000000000000000000FFFF') then substr(${hex}, 1, 30) else substr(${hex}, 1, 14) end`;
  const relays = config.allow.relayAsns;
  return relays.length === 0
    ? network
    : `case when ${asn} in (${relays.join(', ')}) then 'AS' || cast(${asn} as varchar) else ${network} end`;
}

/** A place as people write it: `203.0.113.0/24`, `2001:db8:0:100::/56`, `AS13335`. */
export function placeName(place: string): string {
  if (place.startsWith('AS')) return place;
  if (place.length === 30) {
    const octets = [24, 26, 28].map((at) => parseInt(place.slice(at, at + 2), 16));
    return `${octets.join('.')}.0/24`;
  }
  const groups = [0, 4, 8].map((at) => place.slice(at, at + 4)).concat(`${place.slice(12, 14)}00`);
  const short = groups.map((group) => parseInt(group, 16).toString(16));
  while (short.length > 1 && short.at(-1) === '0') short.pop();
  return `${short.join(':')}::/56`;
}

/** Makes the table of addresses from the census: each once, with its network, autonomous system and country. */
export async function addressTable(
  connection: DuckDBConnection,
  config: DetectionConfig,
  ranges: readonly AddressRange[],
): Promise<void> {
  await connection.run(
    'create table ranges (first varchar, last varchar, range_asn bigint, range_country varchar, range_hosting integer)',
  );
  const appender = await connection.createAppender('ranges');
  for (const range of ranges) {
    appender.appendVarchar(range.first);
    appender.appendVarchar(range.last);
    if (range.asn === undefined) appender.appendNull();
    else appender.appendBigInt(BigInt(range.asn));
    if (range.country === undefined) appender.appendNull();
    else appender.appendVarchar(range.country);
    appender.appendInteger(range.hosting ? 1 : 0);
    appender.endRow();
  }
  appender.closeSync();
  const hosting = config.hostingAsns.length > 0 ? `asn in (${config.hostingAsns.join(', ')})` : 'false';
  await connection.run(
    `create table addresses as with once as (select address, any_value(asn) as asn, any_value(country) as country from census ` +
      `where state = ${usable} group by address), hexed as (select *, coalesce(${duckdb.addressHex('address')}, ${literal('')}) as hex from once), ` +
      'ranged as (select h.*, g.range_asn, g.range_country, g.range_hosting, g.last from hexed h asof left join ranges g on h.hex >= g.first), ' +
      'known as (select address, hex, coalesce(asn, case when hex <= last then range_asn end)::bigint as asn, ' +
      'coalesce(country, case when hex <= last then range_country end) as country, ' +
      'case when hex <= last then coalesce(range_hosting, 0) else 0 end as listed from ranged), ' +
      `placed as (select address, asn, country, case when listed = 1 or ${hosting} then 1 else 0 end as hosting, ` +
      `${placeExpression('hex', 'asn', config)} as place from known) ` +
      'select (row_number() over ())::uinteger as address_id, *, hash(place) as place_id from placed',
  );
  await connection.run('drop table ranges');
}
