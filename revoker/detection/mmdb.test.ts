import { expect, it } from 'vitest';
import { readMmdb } from './mmdb.js';

type Encodable = string | number | { readonly [key: string]: Encodable };

/** Encodes what a MaxMind DB's data section holds. */
function encode(value: Encodable): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.from([0x40 | value.length]), Buffer.from(value)]);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([Buffer.from([0xc4]), bytes]);
  }
  const entries = Object.entries(value);
  return Buffer.concat([
    Buffer.from([0xe0 | entries.length]),
    ...entries.flatMap(([key, member]) => [encode(key), encode(member)]),
  ]);
}

/** A database of one node: 0.0.0.0/1 has the facts, 128.0.0.0/1 has none. */
function database(facts: Encodable, size: 24 | 28 | 32): Buffer {
  const [left, right] = [1 + 16, 1];
  const tree = Buffer.alloc((size * 2) / 8);
  if (size === 24) {
    tree.writeUIntBE(left, 0, 3);
    tree.writeUIntBE(right, 3, 3);
  } else if (size === 32) {
    tree.writeUInt32BE(left, 0);
    tree.writeUInt32BE(right, 4);
  } else {
    tree.writeUIntBE(left, 0, 3);
    tree.writeUIntBE(right, 4, 3);
  }
  const metadata = encode({ node_count: 1, record_size: size, ip_version: 4 });
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    encode(facts),
    Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    metadata,
  ]);
}

it.each([24, 28, 32] as const)('reads networks from a tree with records of %i bits', (size) => {
  expect(readMmdb(database({ country: { iso_code: 'NL' }, autonomous_system_number: 64500 }, size))).toEqual([
    {
      first: '00000000000000000000FFFF00000000',
      last: '00000000000000000000FFFF7FFFFFFF',
      asn: 64500,
      country: 'NL',
      hosting: false,
    },
  ]);
});

it('reads flat members, as other publishers write them', () => {
  expect(readMmdb(database({ country_code: 'fr', asn: 'AS64501' }, 24))).toMatchObject([{ asn: 64501, country: 'FR' }]);
});

it.each([
  ['another file', Buffer.from('PK and so on')],
  ['a cut one', database({ asn: 'AS1' }, 24).subarray(20)],
])('refuses %s', (_name, file) => {
  expect(() => readMmdb(file)).toThrow(expect.objectContaining({ code: 'mmdb' }) as Error);
});
