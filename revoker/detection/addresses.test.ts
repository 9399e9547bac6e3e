import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  addressToHex,
  disjoint,
  parseAddressCsv,
  rangeOfNetwork,
  readAddressDatabase,
  type AddressRange,
} from './addresses.js';
import { parseDetectionConfig } from './config.js';

const asnOf = (ranges: readonly AddressRange[], address: string): number | undefined => {
  const hex = addressToHex(address) as string;
  return ranges.find(({ first, last }) => first <= hex && hex <= last)?.asn;
};
const read = (lines: readonly string[], header = 'network,asn'): AddressRange[] =>
  disjoint(parseAddressCsv([header, ...lines].join('\n')));

describe('networks within networks', () => {
  it('leave the outer one what is around the inner one', () => {
    const ranges = read(['0.0.0.0/0,1', '242.0.0.0/24,2']);
    expect(ranges).toHaveLength(3);
    const asked = ['0.0.0.0', '241.255.255.255', '242.0.0.0', '242.0.0.255', '242.0.1.0', '255.255.255.255'];
    expect(asked.map((address) => asnOf(ranges, address))).toEqual([1, 1, 2, 2, 1, 1]);
  });

  it('of IPv6 too, up to the last address of all', () => {
    const ranges = read(['2001:db8::/32,1', '2001:db8:1::/48,2', '2001:db8:1:8::/64,3', 'ffff::/16,4', '::/0,5']);
    const asked = ['2001:db8::1', '2001:db8:1::1', '2001:db8:1:8::1', '2001:db8:1:9::1', '2001:db8:2::', '3000::'];
    expect(asked.map((address) => asnOf(ranges, address))).toEqual([1, 2, 3, 2, 1, 5]);
    expect(asnOf(ranges, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')).toBe(4);
  });

  it.each([
    ['equal starts, in any order', ['10.0.0.0/24,2', '10.0.0.0/8,1', '10.0.0.0/16,3'], [2, 3, 1]],
    ['named twice: the last one counts', ['10.0.0.0/8,9', '10.0.0.0/8,2'], [2, 2, 2]],
  ])('with %s', (_name, lines, expected) => {
    const ranges = read(lines);
    expect(['10.0.0.1', '10.0.1.1', '10.1.0.1'].map((address) => asnOf(ranges, address))).toEqual(expected);
  });

  it('and ranges that overlap in part', () => {
    const ranges = read(['10.0.0.0,10.0.0.99,1', '10.0.0.50,10.0.0.199,2', '10.0.0.60,10.0.0.69,3'], 'first,last,asn');
    const asked = [0, 49, 50, 59, 60, 69, 70, 120, 199, 200].map((last) => asnOf(ranges, `10.0.0.${last}`));
    expect(asked).toEqual([1, 1, 2, 2, 3, 3, 2, 2, 2, undefined]);
  });

  it('come to the same as looking through all of them, and share no address', () => {
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 50; round++) {
      const whole = Array.from({ length: 1 + random(12) }, (_, asn) => {
        const first = random(250);
        return { first, last: first + random(256 - first), asn: asn + 1 };
      });
      const ranges = read(
        whole.map(({ first, last, asn }) => `10.0.0.${first},10.0.0.${last},${asn}`),
        'first,last,asn',
      );
      expect(ranges.length).toBeLessThan(2 * whole.length);
      for (let i = 1; i < ranges.length; i++)
        expect((ranges[i] as AddressRange).first > (ranges[i - 1] as AddressRange).last).toBe(true);
      for (let address = 0; address < 256; address++) {
        const around = whole.filter(({ first, last }) => first <= address && address <= last);
        const innermost = around.sort((a, b) => b.first - a.first || a.last - b.last || b.asn - a.asn)[0];
        expect(asnOf(ranges, `10.0.0.${address}`)).toBe(innermost?.asn);
      }
    }
  });

  it('by the hundred thousand take no longer than sorting them', () => {
    const lines = Array.from(
      { length: 100_000 },
      (_, i) => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24,${i + 2}`,
    );
    const started = performance.now();
    expect(read(['0.0.0.0/0,1', ...lines])).toHaveLength(100_002);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('are taken apart when a file is read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-addresses-'));
    const file = join(folder, 'addresses.csv');
    await writeFile(file, 'network,asn\n0.0.0.0/0,1\n242.0.0.0/24,2\n');
    expect(asnOf(await readAddressDatabase(file), '250.1.1.1')).toBe(1);
    await rm(folder, { recursive: true });
  });
});

it.each(['10.0.0.0/-1', '10.0.0.0/33', '10.0.0.0/ ', '2001:db8::/129', '2001:dbbb8::/32', '2001:::/32'])(
  'takes %s for no network',
  (network) => {
    expect(rangeOfNetwork(network)).toBeUndefined();
  },
);

describe('networks of the allow list', () => {
  it.each(['10.0.0.0/33', '999.1.1.1/24', '2001:db8::/129', ':::/8', '1.2.3/24', '::ffff:10.0.0.0/104', 'office'])(
    'that cannot be, such as %s, are refused',
    (network) => {
      expect(() => parseDetectionConfig({ allow: { networks: [network] } })).toThrow(
        /detection\.allow\.networks\.0: expected a network such as/,
      );
    },
  );

  it.each(['203.0.113.0/24', '2001:db8::/32', '::/0', '10.0.0.5/8'])(
    'that can be, such as %s, are taken',
    (network) => {
      expect(parseDetectionConfig({ allow: { networks: [network] } }).allow.networks).toEqual([network]);
    },
  );
});
