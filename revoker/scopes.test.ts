import { describe, expect, it } from 'vitest';
import { canonicalNetwork, canonicalRef, networksAround } from './scopes.js';

describe('networks', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9/32'],
    ['203.0.113.77/24', '203.0.113.0/24'],
    ['10.255.255.255/9', '10.128.0.0/9'],
    ['2001:DB8:0:0::1/48', '2001:db8::/48'],
    ['2001:db8::ff', '2001:db8::ff/128'],
    ['::ffff:203.0.113.9', '203.0.113.9/32'],
    ['::ffff:203.0.113.77/120', '203.0.113.0/24'],
    ['::ffff:203.0.113.77/95', undefined],
    ['203.0.113.9/33', undefined],
    ['203.0.113.9/7', undefined],
    ['2001:db8::/15', undefined],
    ['203.0.113.9/24/8', undefined],
    ['203.0.113', undefined],
    ['', undefined],
  ])('%s is written %s', (text, expected) => {
    if (expected === undefined) expect(() => canonicalNetwork(text)).toThrow(/not an IP|too wide/);
    else expect(canonicalNetwork(text)).toBe(expected);
  });

  it('around an address are every block that may be revoked and holds it', () => {
    const blocks = networksAround('203.0.113.9');
    expect(blocks[0]).toBe('203.0.0.0/8');
    expect(blocks.at(-1)).toBe('203.0.113.9/32');
    expect(blocks).toContain('203.0.113.0/24');
    expect(networksAround('2001:db8::1')).toContain('2001:db8::/48');
    expect(networksAround('2001:db8:1::/48').at(-1)).toBe('2001:db8:1::/48');
  });

  it('and systems have one spelling', () => {
    expect(canonicalRef({ scope: 'asn', id: 'as64500' })).toEqual({ scope: 'asn', id: '64500' });
    expect(() => canonicalRef({ scope: 'asn', id: '4294967296' })).toThrow(/not an AS number/);
    expect(() => canonicalRef({ scope: 'subject-content', id: 'alice' })).toThrow(/line feed/);
  });
});
