import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bucketCount,
  decodeBucket,
  encodeBucket,
  entryText,
  parseBucketKey,
  placeOf,
  type BucketEntry,
} from './buckets.js';

const fingerprint = fc.string({
  unit: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'),
  minLength: 7,
  maxLength: 7,
});
const entry: fc.Arbitrary<BucketEntry> = fc.oneof(
  fingerprint.map((text) => ({ fingerprint: text })),
  fc.record({ fingerprint, cutoff: fc.integer({ min: 0, max: 2_000_000_000 }) }),
  fc.record({ fingerprint, cutoff: fc.integer({ min: 0, max: 2_000_000_000 }), remint: fc.constant(true) }),
);

describe('the packed revocation buckets', () => {
  it('place an id by the first 13 bits of its digest and know it by 42 later bits', () => {
    // SHA-256("s:abc") = 6bc9…; computed with another implementation
    const place = placeOf('session', 'abc');
    expect(place).toEqual(placeOf('session', 'abc'));
    expect(place.bucket).toBeLessThan(bucketCount);
    expect(place.fingerprint).toMatch(/^[\w-]{7}$/);
    expect(placeOf('token', 'abc')).not.toEqual(place);
  });

  it('write the same bytes whatever the order and however often an entry is given', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 300 }), fc.integer({ min: 0, max: 1000 }), (entries, turn) => {
        const at = entries.length === 0 ? 0 : turn % entries.length;
        const turned = [...entries.slice(at), ...entries.slice(0, at), ...entries.slice(0, 5)];
        expect(encodeBucket(7, turned)).toEqual(encodeBucket(7, entries));
      }),
    );
  });

  it('never exceed 1,024 bytes a value and give back what was put in', () => {
    fc.assert(
      fc.property(fc.uniqueArray(entry, { maxLength: 400, selector: (e) => e.fingerprint }), (entries) => {
        const pairs = encodeBucket(8191, entries);
        for (const [key, value] of pairs) {
          expect(value.length).toBeLessThanOrEqual(1024);
          expect(parseBucketKey(key)?.bucket).toBe(8191);
        }
        const back = decodeBucket(pairs.map(([, value]) => value));
        expect(back.map(entryText).sort()).toEqual(entries.map(entryText).sort());
      }),
    );
  });

  it('fill a value to its last byte before they go on in another', () => {
    const of = (count: number): BucketEntry[] =>
      Array.from({ length: count }, (_, i) => ({ fingerprint: String(i).padStart(7, '0') }));
    expect(encodeBucket(3, of(128))).toHaveLength(1);
    expect(encodeBucket(3, of(128))[0]?.[1]).toHaveLength(1024);
    const [first, second] = encodeBucket(3, of(129));
    expect(first?.[0]).toBe('r3');
    expect(first?.[1].startsWith('+,0000000')).toBe(true);
    expect(second?.[0]).toBe('r3+');
    // the continuation repeats the entry before it
    expect(second?.[1].startsWith((first?.[1] ?? '').slice(-8))).toBe(true);
    expect(encodeBucket(3, [])).toEqual([]);
  });

  it('keep, of one fingerprint, what refuses more: outright before a moment, the later moment before the earlier', () => {
    const text = (entries: Omit<BucketEntry, 'fingerprint'>[]): string | undefined =>
      encodeBucket(
        0,
        entries.map((rest) => ({ fingerprint: 'AAAAAAA', ...rest })),
      )[0]?.[1];
    expect(text([{ cutoff: 100 }, {}])).toBe(',AAAAAAA');
    expect(text([{ cutoff: 100 }, { cutoff: 200, remint: true }])).toBe(`,AAAAAAA~${(200).toString(36)}`);
    expect(text([{ cutoff: 100, remint: true }, { cutoff: 100 }])).toBe(`,AAAAAAA<${(100).toString(36)}`);
  });

  it('refuse to decode parts of two different states', () => {
    const of = (from: number): BucketEntry[] =>
      Array.from({ length: 200 }, (_, i) => ({ fingerprint: String(i + from).padStart(7, '0') }));
    const before = encodeBucket(1, of(0));
    const after = encodeBucket(1, of(1));
    expect(() => decodeBucket([before[0]?.[1] ?? '', after[1]?.[1] ?? ''])).toThrow(/does not continue/);
    expect(() => decodeBucket([before[0]?.[1] ?? ''])).toThrow();
  });

  it.each(['r8192', 'r01', 'r', 'r1-', 'k:r1', 'r99999', 'r1+x'])('do not take the key %s for a bucket', (key) => {
    expect(parseBucketKey(key)).toBeUndefined();
  });
});
