import { hash } from 'node:crypto';
import { scopeLetters, type EdgeScope } from '../scopes.js';

/** Fixed for ever: a bucket never moves, so growth and shrinkage need no second table and no re-hashing. */
export const bucketCount = 8192;

/** A KeyValueStore value holds 1,024 bytes at most. */
export const bucketValueBytes = 1024;

/** One revocation as a bucket holds it. */
export interface BucketEntry {
  /** 42 bits of the digest, 7 base64url characters. */
  readonly fingerprint: string;
  /** Epoch seconds: only tokens issued at or before it are meant. Absent: revoked outright. */
  readonly cutoff?: number;
  /** Tokens up to the cut-off are answered as expired, so that players fetch a new one. */
  readonly remint?: boolean;
}

export interface BucketPlace {
  readonly bucket: number;
  readonly fingerprint: string;
}

/**
 * Where a revocation lives: the bucket is the first 13 bits of SHA-256(letter ':' id), the fingerprint its bits 54 to 95.
 *
 * @example
 * placeOf('session', handle).bucket; // 0 … 8191
 */
export function placeOf(scope: EdgeScope, id: string): BucketPlace {
  const digest = hash('sha256', `${scopeLetters[scope]}:${id}`, 'buffer');
  return { bucket: digest.readUInt16BE(0) >> 3, fingerprint: digest.toString('base64url').slice(9, 16) };
}

export function bucketKey(bucket: number, part = 0): string {
  return `r${bucket}${'+'.repeat(part)}`;
}

/** The bucket and part that a key of the store names, if it is one of the packed layout's. */
export function parseBucketKey(key: string): { readonly bucket: number; readonly part: number } | undefined {
  const match = /^r(0|[1-9]\d{0,3})(\+*)$/.exec(key);
  if (!match || Number(match[1]) >= bucketCount) return undefined;
  return { bucket: Number(match[1]), part: match[2]?.length ?? 0 };
}

export function entryText(entry: BucketEntry): string {
  if (entry.cutoff === undefined) return entry.fingerprint;
  return `${entry.fingerprint}${entry.remint ? '~' : '<'}${Math.floor(entry.cutoff).toString(36)}`;
}

/** Of two entries with one fingerprint, the one that refuses more tokens. */
function stronger(a: BucketEntry, b: BucketEntry): BucketEntry {
  if (a.cutoff === undefined || b.cutoff === undefined) return a.cutoff === undefined ? a : b;
  if (a.cutoff !== b.cutoff) return a.cutoff > b.cutoff ? a : b;
  return a.remint ? b : a;
}

/**
 * The store's pairs for one bucket: sorted and without doubles, so that any two writers make the same bytes of the same
 * set. A list too long for one value goes on under `r<n>+`, `r<n>++`, …; every value that goes on starts with `+`, and
 * each continuation repeats the last entry before it. A reader that finds the two unequal has read two different states
 * of the store, and must refuse rather than conclude that something is not revoked.
 */
export function encodeBucket(bucket: number, entries: Iterable<BucketEntry>): [key: string, value: string][] {
  const byFingerprint = new Map<string, BucketEntry>();
  for (const entry of entries) {
    const other = byFingerprint.get(entry.fingerprint);
    byFingerprint.set(entry.fingerprint, other ? stronger(other, entry) : entry);
  }
  const texts = [...byFingerprint.values()].map((entry) => `,${entryText(entry)}`).sort();
  const pairs: [string, string][] = [];
  let value = '';
  let remaining = texts.reduce((sum, text) => sum + text.length, 0);
  for (let i = 0; i < texts.length; i += 1) {
    const text = texts[i] as string;
    const endsHere = value.length + remaining <= bucketValueBytes;
    if (!endsHere && 1 + value.length + text.length > bucketValueBytes) {
      pairs.push([bucketKey(bucket, pairs.length), `+${value}`]);
      value = texts[i - 1] as string;
    }
    value += text;
    remaining -= text.length;
  }
  if (texts.length > 0) pairs.push([bucketKey(bucket, pairs.length), value]);
  return pairs;
}

/** The entries that a bucket's values hold, first part first. Throws on anything the encoder does not write. */
export function decodeBucket(values: readonly string[]): BucketEntry[] {
  const entries: BucketEntry[] = [];
  values.forEach((value, part) => {
    const goesOn = value.startsWith('+');
    if (goesOn !== part < values.length - 1) throw new Error(`part ${part} does not fit its number`);
    const texts = value.slice(goesOn ? 1 : 0).split(',');
    if (texts[0] !== '' || texts.length < 2) throw new Error(`part ${part} has no entries`);
    texts.slice(1).forEach((text, i) => {
      const entry = parseEntry(text);
      if (part > 0 && i === 0) {
        const last = entries.at(-1);
        if (!last || entryText(last) !== text) throw new Error(`part ${part} does not continue part ${part - 1}`);
      } else entries.push(entry);
    });
  });
  return entries;
}

function parseEntry(text: string): BucketEntry {
  const match = /^([\w-]{7})(?:([<~])([0-9a-z]+))?$/.exec(text);
  if (!match) throw new Error(`not an entry: ${JSON.stringify(text)}`);
  const [, fingerprint = '', mark, time] = match;
  if (mark === undefined || time === undefined) return { fingerprint };
  return { fingerprint, cutoff: parseInt(time, 36), ...(mark === '~' ? { remint: true } : {}) };
}
