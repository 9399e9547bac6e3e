import { Tagged } from '../../engine/token-maker.js';
import { forms, onlyCat, onlyJwt, same, table, type Forms } from '../case.js';

const four = (length: number, hex: string): unknown => new Tagged(52, [length, Buffer.from(hex, 'hex')]);
const six = (length: number, hex: string): unknown => new Tagged(54, [length, Buffer.from(hex, 'hex')]);
const address = (hex: string): unknown => new Tagged(hex.length > 8 ? 54 : 52, Buffer.from(hex, 'hex'));
const nets = (cat: unknown, jwt: unknown): Forms => forms({ catnip: [cat] }, { catnip: [jwt] });
const V6 = '20010db8000000000000000000000001';
const onSix = { viewer: 'ip=2001:db8::1' };
const exact = { build: 'lenient' } as const;

/** RFC 9164: tag 52 for IPv4, 54 for IPv6, over `[length, bytes]` without trailing zeros. The viewer is 203.0.113.9. */
export const networks = table('4.6.9', 'catnip', [
  ['an IPv4 prefix admits an address inside', nets(four(24, 'cb0071'), '203.0.113.0/24'), 'admitted'],
  ['a shorter IPv4 prefix', nets(four(9, 'cb'), '203.0.0.0/9'), 'admitted'],
  ['a prefix that ends within a byte', nets(four(23, 'cb0070'), '203.0.112.0/23'), 'admitted'],
  ['trailing zero bytes cut off', nets(four(24, 'cb0071'), '203.0.113.0/24'), 'admitted', { viewer: 'ip=203.0.113.0' }],
  ['trailing zero bytes kept', onlyCat({ catnip: [four(16, 'cb000000')] }), 'admitted'],
  ['every IPv4 address', nets(four(0, ''), '0.0.0.0/0'), 'admitted'],
  ['an IPv6 prefix admits an address inside', nets(six(32, '20010db8'), '2001:db8::/32'), 'admitted', onSix],
  [
    'an IPv6 prefix of /56',
    nets(six(56, '20010db8000012'), '2001:db8:0:1200::/56'),
    'admitted',
    { viewer: 'ip=2001:db8:0:12ff::1' },
  ],
  [
    'the viewer\u2019s address spelled in full',
    nets(six(48, '20010db80001'), '2001:db8:1::/48'),
    'admitted',
    { viewer: 'ip=2001:0DB8:0001:0000:0000:0000:0000:0001' },
  ],
  [
    'several networks, the last one fits',
    forms(
      { catnip: [four(24, 'c63364'), six(32, '20010db8'), four(24, 'cb0071')] },
      { catnip: ['198.51.100.0/24', '2001:db8::/32', '203.0.113.0/24'] },
    ),
    'admitted',
  ],
  ['the viewer\u2019s autonomous system', nets(64500, 64500), 'admitted'],
  [
    'a network that does not fit beside an autonomous system that does',
    forms({ catnip: [four(24, 'c63364'), 64500] }, { catnip: ['198.51.100.0/24', 64500] }),
    'admitted',
  ],
  [
    'fifty networks',
    forms(
      {
        catnip: [
          ...Array.from({ length: 49 }, (_, i) => four(24, `0a00${(i + 1).toString(16).padStart(2, '0')}`)),
          four(24, 'cb0071'),
        ],
      },
      { catnip: [...Array.from({ length: 49 }, (_, i) => `10.0.${i + 1}.0/24`), '203.0.113.0/24'] },
    ),
    'admitted',
  ],
  ['an IPv4 prefix refuses an address outside', nets(four(24, 'cb0072'), '203.0.114.0/24'), 'network_mismatch'],
  [
    'the address before the first of a prefix',
    nets(four(23, 'cb0072'), '203.0.114.0/23'),
    'network_mismatch',
    { viewer: 'ip=203.0.113.255' },
  ],
  [
    'an IPv6 prefix refuses an address outside',
    nets(six(56, '20010db80000ff'), '2001:db8:0:ff00::/56'),
    'network_mismatch',
    onSix,
  ],
  ['IPv4 against IPv6 of the same first bits', nets(four(16, '2001'), '32.1.0.0/16'), 'network_mismatch', onSix],
  ['every IPv6 address, but the viewer is on IPv4', nets(six(0, ''), '::/0'), 'network_mismatch'],
  ['another autonomous system', nets(64501, 64501), 'network_mismatch'],
  ['an autonomous system that is not known', nets(64500, 64500), 'network_mismatch', { viewer: 'asn=' }],
  ['autonomous system 0', nets(0, 0), 'network_mismatch'],
  ['a bare IPv4 address in the clear', nets(address('cb007109'), '203.0.113.9'), 'invalid_claim'],
  ['a bare IPv6 address in the clear', nets(address(V6), '2001:db8::1'), 'invalid_claim', onSix],
  ['an IPv4 prefix of /25 in the clear', nets(four(25, 'cb0071'), '203.0.113.0/25'), 'invalid_claim'],
  ['an IPv4 prefix of /32 in the clear', nets(four(32, 'cb007109'), '203.0.113.9/32'), 'invalid_claim'],
  ['an IPv6 prefix of /57 in the clear', nets(six(57, '20010db8'), '2001:db8::/57'), 'invalid_claim', onSix],
  ['an IPv6 prefix of /128 in the clear', nets(six(128, V6), '2001:db8::1/128'), 'invalid_claim', onSix],
  [
    'a bare address beside a network that fits',
    forms({ catnip: [four(24, 'cb0071'), address('c6336401')] }, { catnip: ['203.0.113.0/24', '198.51.100.1'] }),
    'invalid_claim',
  ],
  ['a prefix length beyond the address', nets(four(33, 'cb007109'), '203.0.113.9/33'), 'invalid_claim', exact],
  ['a negative prefix length', nets(four(-1, 'cb'), '203.0.0.0/-1'), 'invalid_claim'],
  [
    'a prefix length that is no number',
    forms({ catnip: [new Tagged(52, ['24', Buffer.from('cb0071', 'hex')])] }, { catnip: ['203.0.113.0/x'] }),
    'invalid_claim',
  ],
  ['bits beyond the prefix (RFC 9164 3.1.2)', nets(four(16, 'cb0071'), '203.0.113.0/16'), 'invalid_claim'],
  ['too many bytes', onlyCat({ catnip: [four(24, 'cb00710000')] }), 'invalid_claim'],
  [
    'the address-with-prefix form (RFC 9164 3.1.3)',
    onlyCat({ catnip: [new Tagged(52, [Buffer.from('cb007109', 'hex'), 24])] }),
    'invalid_claim',
  ],
  [
    'the same with a zone',
    onlyCat({ catnip: [new Tagged(54, [Buffer.from(V6, 'hex'), 64, 'eth0'])] }),
    'invalid_claim',
    onSix,
  ],
  [
    'bytes of IPv6 under the tag of IPv4',
    onlyCat({ catnip: [new Tagged(52, Buffer.from(V6, 'hex'))] }),
    'invalid_claim',
    exact,
  ],
  [
    'bytes of IPv4 under the tag of IPv6',
    onlyCat({ catnip: [new Tagged(54, Buffer.from('cb007109', 'hex'))] }),
    'invalid_claim',
    exact,
  ],
  ['a prefix without a tag', onlyCat({ catnip: [[24, Buffer.from('cb0071', 'hex')]] }), 'invalid_claim'],
  ['bytes without a tag', onlyCat({ catnip: [Buffer.from('cb0071', 'hex')] }), 'invalid_claim'],
  [
    'tag 260, which RFC 9164 replaced',
    onlyCat({ catnip: [new Tagged(260, Buffer.from('cb0071', 'hex'))] }),
    'malformed_token',
  ],
  ['a tag around the tag', onlyCat({ catnip: [new Tagged(52, four(24, 'cb0071'))] }), 'malformed_token'],
  ['a tag around the list', onlyCat({ catnip: new Tagged(52, [24, Buffer.from('cb0071', 'hex')]) }), 'malformed_token'],
  ['a tagged autonomous system', onlyCat({ catnip: [new Tagged(52, 64500)] }), 'invalid_claim'],
  [
    'text in a CAT, no address in a JWT',
    forms({ catnip: ['203.0.113.0/24'] }, { catnip: ['203.0.113/24'] }),
    'invalid_claim',
  ],
  ['an address with a number too large', onlyJwt({ catnip: ['203.0.256.0/24'] }), 'invalid_claim'],
  ['an IPv6 address with two gaps', onlyJwt({ catnip: ['2001::db8::/32'] }), 'invalid_claim', onSix],
  ['a negative autonomous system', nets(-1, -1), 'invalid_claim'],
  ['a fractional autonomous system', nets(64500.5, 64500.5), 'invalid_claim'],
  ['a tagged value in the place of a list', onlyCat({ catnip: four(24, 'cb0071') }), 'malformed_token'],
  ['no list', forms({ catnip: 64500 }, { catnip: '203.0.113.0/24' }), 'invalid_claim'],
  ['a list of nothing', same({ catnip: [] }), 'invalid_claim'],
  ['null in the list', same({ catnip: [null] }), 'invalid_claim'],
  ['an exact address, where the deployment takes them', nets(address('cb007109'), '203.0.113.9'), 'admitted', exact],
  ['a prefix of /25, where the deployment takes them', nets(four(25, 'cb0071'), '203.0.113.0/25'), 'admitted', exact],
  [
    'an exact IPv6 address, where the deployment takes them',
    nets(address(V6), '2001:db8::1'),
    'admitted',
    { ...exact, ...onSix },
  ],
  [
    'another exact address, where the deployment takes them',
    nets(address('cb00710a'), '203.0.113.10'),
    'network_mismatch',
    exact,
  ],
  [
    'an autonomous system that is not known, where the deployment lets it pass',
    nets(64500, 64500),
    'admitted',
    { ...exact, viewer: 'asn=' },
    { log: { u: [311] } },
  ],
]);
