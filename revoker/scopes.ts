import { isIP } from 'node:net';
import { RevokerError } from './errors.js';

/**
 * What one revocation can stand for.
 *
 * | scope | id | stops |
 * | --- | --- | --- |
 * | token | CAT: base64url of the `cti` bytes; JWT: the `jti` text | that one token |
 * | session | base64url of the 16-byte session handle; JWT: the `sid` text | every token of the session, renewed ones too |
 * | subject | the `sub` claim | every token of the account issued up to the cut-off |
 * | subject-content | `sub`, a line feed, the content id | the account's tokens, on that content alone |
 * | content | the content id | everybody, on that content |
 * | blocklist | base64url of a `catpor` block list id | tokens under that list |
 * | network | a CIDR block | the network, through the WAF sets and at minting |
 * | asn | the number | the autonomous system, likewise |
 * | device | any text | minting for that device |
 */
export const scopes = [
  'token',
  'session',
  'subject',
  'subject-content',
  'content',
  'blocklist',
  'network',
  'asn',
  'device',
] as const;

export type Scope = (typeof scopes)[number];

/** The letters that the packed layout hashes before an id; only these scopes are looked up at the edge. */
export const scopeLetters = {
  token: 't',
  session: 's',
  subject: 'u',
  'subject-content': 'x',
  content: 'c',
  blocklist: 'p',
} as const satisfies Partial<Record<Scope, string>>;

export type EdgeScope = keyof typeof scopeLetters;

export function isEdgeScope(scope: Scope): scope is EdgeScope {
  return scope in scopeLetters;
}

export interface EntryRef {
  readonly scope: Scope;
  readonly id: string;
}

/** One text for a scope and an id, unique and sortable: `session:3q2-…`. */
export function refText({ scope, id }: EntryRef): string {
  return `${scope}:${id}`;
}

/** The id of scope `subject-content`. */
export function subjectContentId(subject: string, content: string): string {
  return `${subject}\n${content}`;
}

/** A DynamoDB sort key holds 1,024 bytes, scope included. */
const maxIdBytes = 960;

/**
 * Checks an id and gives it the one spelling that the ledger keeps: networks in canonical CIDR, numbers in decimal.
 * @throws RevokerError `invalid_request`, naming what was expected
 * @example
 * canonicalRef({ scope: 'network', id: '203.0.113.9' }); // { scope: 'network', id: '203.0.113.9/32' }
 */
export function canonicalRef(ref: EntryRef): EntryRef {
  const { scope, id } = ref;
  if (id.length === 0 || Buffer.byteLength(id) > maxIdBytes) {
    throw new RevokerError(
      'invalid_request',
      `A ${scope} id has 1 to ${maxIdBytes} bytes, not ${Buffer.byteLength(id)}.`,
    );
  }
  if (scope === 'network') return { scope, id: canonicalNetwork(id) };
  if (scope === 'asn') return { scope, id: canonicalAsn(id) };
  if (scope === 'subject-content' && !/^[^\n]+\n[^\n]+$/.test(id)) {
    throw new RevokerError('invalid_request', 'A subject-content id is a subject, a line feed and a content id.');
  }
  return ref;
}

function canonicalAsn(text: string): string {
  const digits = /^(?:AS)?(\d{1,10})$/i.exec(text.trim())?.[1];
  if (digits === undefined || Number(digits) > 0xffff_ffff) {
    throw new RevokerError('invalid_request', `${JSON.stringify(text)} is not an AS number (0 to 4294967295).`, {
      anonymous: 'An asn id is an AS number (0 to 4294967295).',
    });
  }
  return String(Number(digits));
}

/** Widest blocks that may be revoked: a slip of the pen must not refuse a continent. */
export const networkPrefixLimits = { 4: { widest: 8, longest: 32 }, 6: { widest: 16, longest: 128 } } as const;

/** Writes an address or a CIDR block canonically, host bits cleared: `2001:DB8::1/32` → `2001:db8::/32`. */
export function canonicalNetwork(text: string): string {
  const [address = '', prefixText, ...rest] = text.trim().split('/');
  const bytes = isIP(address) === 0 ? undefined : addressBytes(address);
  const limits = bytes?.length === 4 ? networkPrefixLimits[4] : networkPrefixLimits[6];
  const prefix = bytes ? prefixOf(address, bytes, prefixText) : -1;
  if (!bytes || rest.length > 0 || prefix < 0 || prefix > limits.longest) {
    throw new RevokerError('invalid_request', `${JSON.stringify(text)} is not an IP address or CIDR block.`, {
      anonymous: 'A network id is an IP address or a CIDR block.',
    });
  }
  if (prefix < limits.widest) {
    throw new RevokerError(
      'invalid_request',
      `${text} is too wide: the shortest prefix accepted is /${limits.widest}.`,
      { anonymous: `The network is too wide: the shortest prefix accepted is /${limits.widest}.` },
    );
  }
  return networkText(bytes, prefix);
}

/** The prefix's length, of the IPv4 address where an IPv6 one only wraps it; -1 for what is none. */
function prefixOf(address: string, bytes: Uint8Array, text: string | undefined): number {
  if (text === undefined) return bytes.length * 8;
  if (!/^\d{1,3}$/.test(text)) return -1;
  return Number(text) - (bytes.length === 4 && isIP(address) === 6 ? 96 : 0);
}

/** Every canonical block that holds the address, from the widest allowed to the address itself. */
export function networksAround(address: string): string[] {
  const [host = '', prefixText] = address.split('/');
  const bytes = isIP(host) === 0 ? undefined : addressBytes(host);
  if (!bytes) {
    throw new RevokerError('invalid_request', `${JSON.stringify(address)} is not an IP address.`, {
      anonymous: 'What was given as an IP address is none.',
    });
  }
  const limits = bytes.length === 4 ? networkPrefixLimits[4] : networkPrefixLimits[6];
  const longest = Math.min(limits.longest, prefixOf(host, bytes, prefixText));
  const blocks: string[] = [];
  for (let prefix: number = limits.widest; prefix <= longest; prefix += 1) blocks.push(networkText(bytes, prefix));
  return blocks;
}

function networkText(bytes: Uint8Array, prefix: number): string {
  const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - i * 8))) & 0xff);
  if (masked.length === 4) return `${masked.join('.')}/${prefix}`;
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((masked[i * 2] ?? 0) << 8) | (masked[i * 2 + 1] ?? 0)).toString(16),
  );
  // The URL parser writes IPv6 addresses as RFC 5952 asks.
  return `${new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)}/${prefix}`;
}

function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.'), Number);
  const plain = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const front = groups(head);
  const back = groups(tail ?? '');
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back];
  const bytes = Uint8Array.from(all.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]));
  // An IPv4 address written as an IPv6 one is the same viewer (RFC 4291 2.5.5.2).
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.slice(12) : bytes;
}
