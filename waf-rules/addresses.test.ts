import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressTable,
  formatAddress,
  mergeRanges,
  overlaps,
  parseAddress,
  parseRange,
  subtractRanges,
  toCidrs,
  type AddressRange,
} from './addresses.js';

describe('reading', () => {
  test.each([
    ['192.0.2.44', '192.0.2.44/32'],
    ['192.0.2.44/24', '192.0.2.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8::1', '2001:db8::1/128'],
    ['2001:db8:0:0:1::/80', '2001:db8:0:0:1::/80'],
    ['1111:0000:0000:0000:0000:0000:0000:0111', '1111::111/128'],
    ['::', '::/128'],
    ['::ffff:192.0.2.1', '192.0.2.1/32'],
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201/128'],
    [' 203.0.113.9 ', '203.0.113.9/32'],
  ])('%s is %s', (text, cidr) => {
    expect(toCidrs(parseRange(text))).toEqual([cidr]);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4/33',
    '1.2.3.4/-1',
    '1.2.3.4/',
    '1.2.3.4/08',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '::1/129',
    '1.2.3.4 5',
    '0x7f.1.1.1',
  ])('"%s" is refused', (text) => {
    expect(() => parseRange(text)).toThrowError(expect.objectContaining({ code: 'invalid_address' }));
  });
});

const small = fc
  .record({ first: fc.integer({ min: 0, max: 400 }), length: fc.integer({ min: 0, max: 60 }) })
  .map(({ first, length }): AddressRange => ({ family: 4, first: BigInt(first), last: BigInt(first + length) }));
const members = (ranges: readonly AddressRange[]): Set<number> => {
  const set = new Set<number>();
  for (const range of ranges) for (let i = Number(range.first); i <= Number(range.last); i++) set.add(i);
  return set;
};

describe('arithmetic, against plain sets of numbers', () => {
  test('merging keeps exactly the members, sorted and apart', () => {
    fc.assert(
      fc.property(fc.array(small, { maxLength: 12 }), (ranges) => {
        const merged = mergeRanges(ranges);
        expect(members(merged)).toEqual(members(ranges));
        for (let i = 1; i < merged.length; i++) {
          expect((merged[i] as AddressRange).first > (merged[i - 1] as AddressRange).last + 1n).toBe(true);
        }
      }),
    );
  });

  test('subtracting leaves exactly the others', () => {
    fc.assert(
      fc.property(fc.array(small, { maxLength: 8 }), fc.array(small, { maxLength: 8 }), (from, removed) => {
        const gone = members(removed);
        const left = [...members(from)].filter((each) => !gone.has(each));
        expect([...members(subtractRanges(from, removed))].sort((a, b) => a - b)).toEqual(left.sort((a, b) => a - b));
      }),
    );
  });

  test('CIDR blocks cover exactly the range, and read back as it', () => {
    fc.assert(
      fc.property(small, (range) => {
        expect(mergeRanges(toCidrs(range).map(parseRange))).toEqual([range]);
      }),
    );
  });

  test('tables find exactly the members', () => {
    fc.assert(
      fc.property(fc.array(small, { maxLength: 8 }), fc.nat(500), (ranges, value) => {
        const address = parseAddress(formatAddress(4, BigInt(value)));
        expect(address && addressTable(ranges).has(address)).toBe(members(ranges).has(value));
      }),
    );
  });

  test('IPv6 text reads back as the same address', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (value) => {
        fc.pre(value >> 32n !== 0xffffn);
        expect(parseAddress(formatAddress(6, value))?.v6).toBe(value);
      }),
    );
  });

  test('families never mix', () => {
    const four = parseRange('0.0.0.0/0');
    const six = parseRange('::/0');
    expect(overlaps(four, six)).toBe(false);
    expect(subtractRanges([four], [six])).toEqual([four]);
    expect(mergeRanges([six, four])).toEqual([four, six]);
    expect(subtractRanges([four, six], [four])).toEqual([six]);
  });
});
