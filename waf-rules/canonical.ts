import { createHash } from 'node:crypto';

/** A value as JSON with sorted keys, undefined members left out and bytes in base64: equal things, equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value)) ?? 'null';
}

/** Whether two API values mean the same. */
export const sameJson = (a: unknown, b: unknown): boolean => canonicalJson(a) === canonicalJson(b);

function sorted(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

/** Ten hexadecimal digits that stand for a value's content. */
export const shortDigest = (value: unknown): string =>
  createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 10);

/** A value as JSON that {@link fromStoredJson} reads back, bytes included. */
export const toStoredJson = (value: unknown): string => JSON.stringify(withBytes(value));

function withBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(withBytes);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withBytes(member)]));
}

/** Reads what {@link toStoredJson} wrote. */
export const fromStoredJson = (text: string): unknown =>
  JSON.parse(text, (_name, member: unknown) =>
    member !== null && typeof member === 'object' && '$bytes' in member
      ? Uint8Array.from(Buffer.from(String(member.$bytes), 'base64'))
      : member,
  );
