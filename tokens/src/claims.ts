import { decodeBase64url } from './base64url.js';
import { writeCbor, type CborValue } from './cbor/encode.js';
import { CborWriter } from './cbor/writer.js';
import { PolicyError } from './errors.js';
import { parseNetwork } from './networks.js';

const utf8 = new TextEncoder();

/** How one text must look. Every given match type must hold (CTA-5007-B 4.6.10). */
export interface TextMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly contains?: string;
  /** POSIX extended regular expression, alone or with the texts its groups must equal (`null`: any). */
  readonly regex?: string | readonly [string, ...(string | null)[]];
  /** SHA-256 of the whole text, base64url. */
  readonly sha256?: string;
  /** SHA-512/256 of the whole text, base64url. */
  readonly 'sha512-256'?: string;
}

/** Parts of a URI that `catu` can bind (CTA-5007-B 4.6.10). */
export type UriComponent = 'scheme' | 'host' | 'port' | 'path' | 'query' | 'parent' | 'filename' | 'stem' | 'extension';

/** `catr` (CTA-5007-B 4.9.2) by name. */
export interface RenewalClaim {
  readonly type: 'automatic' | 'cookie' | 'header' | 'redirect';
  /** Seconds that a renewal adds to now. */
  readonly expext: number;
  /** Renew only within this many seconds of `exp`. */
  readonly deadline?: number;
  readonly cookieName?: string;
  readonly headerName?: string;
  readonly cookieParams?: readonly string[];
  readonly headerParams?: readonly string[];
  /** Redirect status, 300–399. */
  readonly status?: number;
}

/** Claims by their JSON Web Token names; one set makes a CAT or a JWT. Binary values are base64url text. */
export interface Claims {
  readonly iss?: string;
  readonly sub?: string;
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly nbf?: number;
  readonly iat?: number;
  /** Token id: the `cti` bytes of a CAT in base64url. */
  readonly jti?: string;
  /** Session handle: 16 bytes, base64url. */
  readonly sid?: string;
  /** Session end, epoch seconds: no renewal goes beyond. */
  readonly sxp?: number;
  readonly cnf?: { readonly jkt: string };
  readonly catreplay?: 0 | 1 | 2;
  readonly catpor?: readonly [probability: number, id: string | number, expires?: number];
  readonly catv?: 1;
  readonly catnip?: readonly (string | number)[];
  readonly catu?: Readonly<Partial<Record<UriComponent, TextMatch>>>;
  readonly catm?: readonly string[];
  readonly catalpn?: readonly string[];
  readonly cath?: Readonly<Record<string, TextMatch>>;
  readonly catgeoiso3166?: readonly string[];
  readonly geohash?: string | readonly string[];
  readonly cattpk?: string;
  readonly catdpop?: { readonly window?: number; readonly jti?: 0 | 1; readonly crit?: readonly number[] };
  readonly catif?: Readonly<Record<string, readonly unknown[]>>;
  readonly catr?: RenewalClaim;
  /** Anything else: in a CAT a name that looks like an integer becomes an integer label. */
  readonly [name: string]: unknown;
}

/** CWT and CTA-5007-B labels of the claims that {@link Claims} names. */
export const claimLabels = {
  iss: 1,
  sub: 2,
  aud: 3,
  exp: 4,
  nbf: 5,
  iat: 6,
  jti: 7,
  cnf: 8,
  geohash: 282,
  catreplay: 308,
  catpor: 309,
  catv: 310,
  catnip: 311,
  catu: 312,
  catm: 313,
  catalpn: 314,
  cath: 315,
  catgeoiso3166: 316,
  catgeocoord: 317,
  catgeoalt: 318,
  cattpk: 319,
  catifdata: 320,
  catdpop: 321,
  catif: 322,
  catr: 323,
  sid: -65537,
  sxp: -65538,
} as const;

const componentLabels: Record<UriComponent, number> = {
  scheme: 0,
  host: 1,
  port: 2,
  path: 3,
  query: 4,
  parent: 5,
  filename: 6,
  stem: 7,
  extension: 8,
};
const matchLabels: Record<keyof TextMatch, number> = {
  exact: 0,
  prefix: 1,
  suffix: 2,
  contains: 3,
  regex: 4,
  sha256: -1,
  'sha512-256': -2,
};
const renewalTypes = ['automatic', 'cookie', 'header', 'redirect'] as const;
const renewalLabels: Record<Exclude<keyof RenewalClaim, 'type'>, number> = {
  expext: 1,
  deadline: 2,
  cookieName: 3,
  headerName: 4,
  cookieParams: 5,
  headerParams: 6,
  status: 7,
};
const proofLabels: Record<string, number> = { crit: -1, window: 0, jti: 1 };

/** Appends the CWT claim set for these claims, in the order the object holds them. */
export function writeCatClaims(writer: CborWriter, claims: Claims): void {
  let count = 0;
  for (const name in claims) if (claims[name] !== undefined) count++;
  writer.map(count);
  for (const name in claims) {
    const value = claims[name];
    if (value !== undefined) writeClaim(writer, name, value);
  }
}

/** The CWT claim set alone: what a COSE payload holds. */
export function encodeCatClaims(claims: Claims): Uint8Array {
  const writer = new CborWriter(512);
  writeCatClaims(writer, claims);
  return writer.bytes.slice(0, writer.end);
}

function writeClaim(writer: CborWriter, name: string, value: unknown): void {
  switch (name) {
    case 'iss':
    case 'sub':
      writer.number(claimLabels[name]);
      return writer.text(text(value, name));
    case 'exp':
    case 'nbf':
    case 'iat':
    case 'sxp':
    case 'catv':
    case 'catreplay':
      writer.number(claimLabels[name]);
      return writer.number(number(value, name));
    case 'aud':
    case 'geohash':
      writer.number(claimLabels[name]);
      return typeof value === 'string' ? writer.text(value) : writeTexts(writer, value, name);
    case 'catm':
    case 'catgeoiso3166':
      writer.number(claimLabels[name]);
      return writeTexts(writer, value, name);
    case 'jti':
    case 'sid':
    case 'cattpk':
      writer.number(claimLabels[name]);
      return writer.byteString(bytes(value, name));
    case 'catu':
      writer.number(claimLabels.catu);
      return writeMatches(writer, value, name, componentLabels);
    case 'cath':
      writer.number(claimLabels.cath);
      return writeMatches(writer, value, name, undefined);
    case 'catnip':
      writer.number(claimLabels.catnip);
      return writeNetworks(writer, value);
    case 'catalpn':
      writer.number(claimLabels.catalpn);
      writer.array(list(value, name).length);
      for (const [i, protocol] of list(value, name).entries()) {
        writer.byteString(utf8.encode(text(protocol, `${name}[${i}]`)));
      }
      return;
    case 'cnf': {
      const thumbprint = bytes(record(value, name)['jkt'], 'cnf.jkt');
      writer.number(claimLabels.cnf);
      writer.map(1);
      writer.number(323);
      return writer.byteString(thumbprint);
    }
    case 'catpor': {
      const [probability, id, expires] = list(value, name);
      writer.number(claimLabels.catpor);
      writer.array(expires === undefined ? 2 : 3);
      writer.number(number(probability, 'catpor[0]'));
      if (typeof id === 'number') writer.number(id);
      else writer.byteString(bytes(id, 'catpor[1]'));
      if (expires !== undefined) writer.number(number(expires, 'catpor[2]'));
      return;
    }
    case 'catr':
      writer.number(claimLabels.catr);
      return writeRenewal(writer, record(value, name));
    case 'catdpop':
      writer.number(claimLabels.catdpop);
      return writeCbor(writer, relabel(record(value, name), proofLabels, name), 'insertion', 0);
    case 'catif':
      writer.number(claimLabels.catif);
      return writeCbor(writer, conditions(record(value, name)), 'insertion', 0);
    case 'catgeocoord':
    case 'catgeoalt':
    case 'catifdata':
      writer.number(claimLabels[name]);
      return writeCbor(writer, value as CborValue, 'insertion', 0);
    default:
      if (/^-?(?:0|[1-9]\d{0,14})$/.test(name)) writer.number(Number(name));
      else writer.text(name);
      return writeCbor(writer, value as CborValue, 'insertion', 0);
  }
}

function writeTexts(writer: CborWriter, value: unknown, path: string): void {
  const items = list(value, path);
  writer.array(items.length);
  for (let i = 0; i < items.length; i++) writer.text(text(items[i], path));
}

function writeMatches(
  writer: CborWriter,
  value: unknown,
  path: string,
  labels: Record<string, number> | undefined,
): void {
  const matches = record(value, path);
  const names = Object.keys(matches);
  writer.map(names.length);
  for (const name of names) {
    if (labels) writer.number(label(labels, name, path));
    else writer.text(name.toLowerCase());
    writeMatch(writer, record(matches[name], `${path}.${name}`), `${path}.${name}`);
  }
}

function writeMatch(writer: CborWriter, match: Record<string, unknown>, path: string): void {
  const kinds = Object.keys(match);
  if (kinds.length === 0) throw new PolicyError(path, 'at least one match type');
  writer.map(kinds.length);
  for (const kind of kinds) {
    writer.number(label(matchLabels, kind, path));
    const value = match[kind];
    if (kind === 'regex')
      writeCbor(writer, (typeof value === 'string' ? [value] : list(value, path)) as CborValue, 'insertion', 0);
    else if (kind === 'sha256' || kind === 'sha512-256') writer.byteString(bytes(value, `${path}.${kind}`));
    else writer.text(text(value, `${path}.${kind}`));
  }
}

/** `catnip`: tags 52 and 54 over `[length, prefix bytes]` or an address (RFC 9164 3), or an AS number. */
function writeNetworks(writer: CborWriter, value: unknown): void {
  const items = list(value, 'catnip');
  writer.array(items.length);
  for (const [i, item] of items.entries()) {
    if (typeof item === 'number') {
      writer.number(item);
      continue;
    }
    const network = parseNetwork(text(item, `catnip[${i}]`));
    if (!network) throw new PolicyError(`catnip[${i}]`, 'an IP address, a network in CIDR form, or an AS number', item);
    writer.tag(network.family === 4 ? 52 : 54);
    if (network.length === undefined) {
      writer.byteString(network.bytes);
      continue;
    }
    writer.array(2);
    writer.number(network.length);
    let end = Math.ceil(network.length / 8);
    while (end > 0 && network.bytes[end - 1] === 0) end--;
    writer.byteString(network.bytes.subarray(0, end));
  }
}

function writeRenewal(writer: CborWriter, renewal: Record<string, unknown>): void {
  const type = renewalTypes.indexOf(renewal['type'] as (typeof renewalTypes)[number]);
  if (type < 0) throw new PolicyError('catr.type', renewalTypes.join(', '), renewal['type']);
  const names = Object.keys(renewal).filter((name) => name !== 'type' && renewal[name] !== undefined);
  writer.map(names.length + 1);
  writer.number(0);
  writer.number(type);
  for (const name of names) {
    writer.number(label(renewalLabels, name, 'catr'));
    writeCbor(writer, renewal[name] as CborValue, 'insertion', 0);
  }
}

/** `catif` (CTA-5007-B 4.9.1): claim names to labels, header parts that are claim sets to CWT maps, the kid to bytes. */
function conditions(value: Record<string, unknown>): CborValue {
  const map = new Map<CborValue, CborValue>();
  for (const [names, answer] of Object.entries(value)) {
    const labels = names.split(',').map((name) => claimKey(name.trim()));
    const [status, headers, kid] = list(answer, `catif.${names}`);
    const entry: CborValue[] = [number(status, `catif.${names}[0]`)];
    if (headers !== undefined || kid !== undefined)
      entry.push(conditionHeaders(record(headers ?? {}, `catif.${names}[1]`)));
    if (kid !== undefined) entry.push(utf8.encode(text(kid, `catif.${names}[2]`)));
    map.set(labels.length === 1 ? (labels[0] as CborValue) : labels, entry);
  }
  return map;
}

function conditionHeaders(headers: Record<string, unknown>): CborValue {
  const result: Record<string, CborValue> = {};
  for (const [name, value] of Object.entries(headers)) {
    result[name] = Array.isArray(value)
      ? value.map((part) =>
          typeof part === 'object' && part !== null ? claimMap(part as Claims) : (part as CborValue),
        )
      : (value as CborValue);
  }
  return result;
}

/** A claim set as a CBOR map, for the places where one is nested in another claim. */
function claimMap(claims: Claims): CborValue {
  const map = new Map<CborValue, CborValue>();
  for (const [name, value] of Object.entries(claims)) {
    if (value === undefined) continue;
    const key = claimKey(name);
    const binary = name === 'jti' || name === 'sid' || name === 'cattpk';
    map.set(key, binary && typeof value === 'string' ? bytes(value, name) : (value as CborValue));
  }
  return map;
}

function claimKey(name: string): number | string {
  const known = (claimLabels as Record<string, number>)[name];
  if (known !== undefined) return known;
  return /^-?(?:0|[1-9]\d{0,14})$/.test(name) ? Number(name) : name;
}

function relabel(value: Record<string, unknown>, labels: Record<string, number>, path: string): CborValue {
  return new Map(Object.entries(value).map(([name, item]) => [label(labels, name, path), item as CborValue]));
}

function label(labels: Record<string, number>, name: string, path: string): number {
  const found = Object.hasOwn(labels, name) ? labels[name] : undefined;
  if (found === undefined) throw new PolicyError(`${path}.${name}`, `one of ${Object.keys(labels).join(', ')}`);
  return found;
}

function text(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new PolicyError(path, 'text', value);
  return value;
}

function number(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new PolicyError(path, 'a number', value);
  return value;
}

function bytes(value: unknown, path: string): Uint8Array {
  const decoded = typeof value === 'string' ? decodeBase64url(value) : undefined;
  if (!decoded) throw new PolicyError(path, 'bytes in base64url', value);
  return decoded;
}

function list(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new PolicyError(path, 'a list', value);
  return value as readonly unknown[];
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PolicyError(path, 'an object', value);
  return value as Record<string, unknown>;
}
