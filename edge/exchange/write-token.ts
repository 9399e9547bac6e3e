import { createHmac } from 'node:crypto';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { claimLabels, writeCatClaims, type Claims } from '@portcullis/tokens/claims';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import { MAX_TOKEN_LENGTH } from '@portcullis/tokens/core/limits';
import { PolicyError } from '@portcullis/tokens/errors';
import { signCat, signJwt } from '@portcullis/tokens/sign';
import type { Changes } from './narrow.js';

/** The HMAC key that sessions are signed with. */
export interface SessionKey {
  readonly kid: string;
  readonly secret: Buffer;
}

/**
 * Writes a token's claims anew, signed with an HMAC key. What does not change is copied as it stands: in a CAT byte by
 * byte, so that nothing can be lost or reworded on the way.
 *
 * @param readable The claims by JWT name; what the other format is made from.
 * @throws PolicyError when the token would be longer than 4,096 characters, or a claim has no form in the other format.
 */
export async function writeToken(
  token: ParsedToken,
  readable: Readonly<Record<string, unknown>>,
  changes: Changes,
  format: 'same' | 'cat' | 'jwt',
  key: SessionKey,
): Promise<string> {
  const wanted = format === 'same' ? (token.isJwt ? 'jwt' : 'cat') : format;
  const signing = { alg: 'HS256', kid: key.kid, secret: new Uint8Array(key.secret) } as const;
  if (wanted === 'cat' && !token.isJwt) return bounded(copiedCat(token.payload as Buffer, changes, key));
  const source = token.isJwt ? (token.payload as Readonly<Record<string, unknown>>) : readable;
  const kept = Object.entries(source).filter(([name]) => !changes.drop.includes(name) && !(name in changes.set));
  const claims = { ...Object.fromEntries(kept), ...changes.set } as Claims;
  return wanted === 'jwt' ? signJwt(claims, signing) : signCat(claims, signing);
}

/** COSE_Mac0 over the payload's own entries, without those that go, and with the new ones behind them. */
function copiedCat(payload: Buffer, { set, drop }: Changes, key: SessionKey): string {
  const gone = new Set<number | undefined>(
    [...drop, ...Object.keys(set)].map((name) => claimLabels[name as keyof typeof claimLabels]),
  );
  const kept = entriesOf(payload).filter(({ label }) => label === undefined || !gone.has(label));
  const added = Object.entries(set).map(([name, value]) => {
    const writer = new CborWriter();
    writeCatClaims(writer, { [name]: value } as Claims);
    // Without the head of the map of one.
    return Buffer.from(writer.bytes.subarray(1, writer.end));
  });
  const claims = new CborWriter();
  claims.map(kept.length + added.length);
  for (const { bytes } of kept) claims.raw(bytes);
  for (const bytes of added) claims.raw(bytes);
  const body = new CborWriter();
  body.byteString(claims.bytes.subarray(0, claims.end));
  const content = Buffer.from(body.bytes.subarray(0, body.end));
  // MAC_structure: "MAC0", the protected header {1: 5} in a byte string, no external data (RFC 9052 6.3).
  const mac = createHmac('sha256', key.secret)
    .update(Buffer.from('84644d41433043a1010540', 'hex'))
    .update(content)
    .digest();
  const kid = new CborWriter();
  kid.byteString(Buffer.from(key.kid));
  const tail = new CborWriter();
  tail.byteString(mac);
  return Buffer.concat([
    // Tag 17, four items, the protected header, and {4: kid}.
    Buffer.from('d18443a10105a104', 'hex'),
    kid.bytes.subarray(0, kid.end),
    content,
    tail.bytes.subarray(0, tail.end),
  ]).toString('base64url');
}

function bounded(token: string): string {
  if (token.length > MAX_TOKEN_LENGTH)
    throw new PolicyError('policy', `a token of at most ${MAX_TOKEN_LENGTH} characters`, token.length);
  return token;
}

interface Entry {
  /** Undefined for a label that is no integer. */
  readonly label: number | undefined;
  readonly bytes: Buffer;
}

/** The entries of an encoded claims set, which was decoded before and is sound. */
function entriesOf(payload: Buffer): Entry[] {
  const head = headAt(payload, 0);
  const entries: Entry[] = [];
  let at = head.end;
  for (let left = head.argument; left > 0; left--) {
    const start = at;
    const { major, argument, end } = headAt(payload, at);
    at = itemEnd(payload, itemEnd(payload, start));
    const label = major === 0 ? argument : major === 1 ? -1 - argument : undefined;
    entries.push({ label: label !== undefined && end > start ? label : undefined, bytes: payload.subarray(start, at) });
  }
  return entries;
}

/** A data item's head (RFC 8949 3). */
function headAt(
  bytes: Buffer,
  at: number,
): { readonly major: number; readonly argument: number; readonly end: number } {
  const initial = bytes[at] as number;
  const low = initial & 31;
  const size = low < 24 ? 0 : 1 << (low - 24);
  let argument = size === 0 ? low : 0;
  for (let i = 1; i <= size; i++) argument = argument * 256 + (bytes[at + i] as number);
  return { major: initial >> 5, argument, end: at + 1 + size };
}

/** Where the item at an offset ends. */
function itemEnd(bytes: Buffer, at: number): number {
  const { major, argument, end } = headAt(bytes, at);
  if (major === 2 || major === 3) return end + argument;
  if (major < 4 || major === 7) return end;
  let next = end;
  for (let items = major === 6 ? 1 : major === 5 ? 2 * argument : argument; items > 0; items--)
    next = itemEnd(bytes, next);
  return next;
}
