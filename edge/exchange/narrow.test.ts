import { describe, expect, it } from 'vitest';
import { functionPlan } from '../../scripts/build/plan.js';
import { understoodClaims } from '../../scripts/build/start-settings.js';
import { parseConfig } from '../../scripts/config/index.js';
import { narrow, NotExchangeable, type StartFacts } from './narrow.js';
import type { ExchangePolicy } from './policy.js';

const now = 1_800_000_000;
const facts: StartFacts = {
  now: now + 0.5,
  path: '/live/ch1/main.m3u8',
  address: '203.0.113.9',
  country: 'US',
  region: 'CA',
  asn: '64500',
  entitled: ['/'],
  newSession: 'AAAAAAAAAAAAAAAAAAAAAA',
};
const policy: ExchangePolicy = {
  format: 'same',
  lifetime: 3600,
  network: true,
  country: true,
  paths: 'keep',
  renewal: 'keep',
  proof: 'refuse',
  unplaced: 'refuse',
  understood: understoodClaims(functionPlan(parseConfig({ profile: 'full' })).features).filter(
    (name) => name !== 'catifdata',
  ),
};
const changed = (
  claims: Record<string, unknown>,
  by: Partial<ExchangePolicy> = {},
  at: Partial<StartFacts> = {},
): ReturnType<typeof narrow> => narrow(claims, { ...facts, ...at }, { ...policy, ...by });

describe('narrowing', () => {
  it.each([
    [undefined, ['203.0.113.0/24']],
    [['203.0.0.0/16', 64500], ['203.0.113.0/24']],
    [['203.0.0.0/16', '203.0.113.0/24'], ['203.0.113.0/24']],
    // Narrower than what may stand in the clear, and kept: a whole /24 would be more.
    [['203.0.113.9/32', '0.0.0.0/0'], ['203.0.113.9/32']],
    [['203.0.113.9'], ['203.0.113.9']],
    [['203.0.113.0/26'], ['203.0.113.0/26']],
    // A neighbour in the /24 may be in another autonomous system.
    [[64500, 64501, '198.51.100.0/24'], [64500]],
  ])('networks %j become %j', (catnip, expected) => {
    expect(changed(catnip ? { catnip } : {}).set['catnip']).toEqual(expected);
  });

  it('binds IPv6 viewers to their /56', () => {
    expect(changed({}, {}, { address: '2001:db8:1:1ff::1' }).set['catnip']).toEqual(['2001:db8:1:100::/56']);
  });

  it.each([
    [undefined, ['US']],
    [['us', 'DE'], ['US']],
    ['US', ['US']],
    [['US-CA', 'DE'], ['US-CA']],
    [['US', 'US-CA'], ['US']],
  ])('countries %j become %j', (catgeoiso3166, expected) => {
    expect(changed(catgeoiso3166 ? { catgeoiso3166 } : {}).set['catgeoiso3166']).toEqual(expected);
  });

  it('starts nobody unbound who should be bound, unless the policy lets viewers in whose country is not known', () => {
    expect(() => changed({}, {}, { country: undefined })).toThrow(new NotExchangeable('country_mismatch'));
    expect(() => changed({}, {}, { address: 'x' })).toThrow(new NotExchangeable('network_mismatch'));
    const open = { unplaced: 'allow' } as const;
    expect(changed({ catgeoiso3166: ['US'] }, open, { country: undefined }).set).not.toHaveProperty('catgeoiso3166');
    expect(changed({}, open).set['catgeoiso3166']).toEqual(['US']);
    const unbound = { network: false, country: false };
    expect(changed({}, unbound, { country: undefined, address: 'x' }).set).toEqual({
      exp: now + 3600,
      sid: facts.newSession,
    });
  });

  it.each([
    ['geohash', 'u33d'],
    ['cath', { 'user-agent': { prefix: 'P' } }],
    ['catalpn', ['h2']],
    ['cattpk', 'AAAA'],
    ['catpor', [0.5, 'AAAA']],
    ['catm', ['GET']],
    ['catgeocoord', [[0, 0, 1]]],
  ])('makes no session of a token with %s where the function does not decide on that', (name, value) => {
    const understood = policy.understood.filter((known) => known !== name);
    expect(() => changed({ [name]: value }, { understood })).toThrow(new NotExchangeable('unsupported_claim'));
    if (policy.understood.includes(name)) expect(changed({ [name]: value }).drop).toEqual([]);
  });

  it('never lengthens a life', () => {
    expect(changed({ exp: now + 10.9 }).set['exp']).toBe(now + 10);
    expect(changed({ exp: now + 7200, sxp: now + 60 }).set).toMatchObject({ exp: now + 60 });
    expect(changed({ sxp: now + 60.5 }, { session: 30 }).set).toMatchObject({ exp: now + 30, sxp: now + 30 });
    expect(changed({ sxp: now + 60.5 }, { session: 90 }).set).not.toHaveProperty('sxp');
    expect(() => changed({ exp: now + 0.9 })).toThrow(new NotExchangeable('expired'));
  });

  it('takes the longer of two path prefixes', () => {
    const entitled = ['/', '/live'];
    expect(changed({}, {}, { entitled }).set['catu']).toEqual({ path: { prefix: '/live/' } });
    expect(changed({ catu: { path: { prefix: '/live/ch' } } }, {}, { entitled }).set['catu']).toEqual({
      path: { prefix: '/live/ch' },
    });
    expect(changed({ catu: { path: { prefix: '/li' } } }, { paths: 'folder' }, { entitled }).set['catu']).toEqual({
      path: { prefix: '/live/ch1/' },
    });
    expect(changed({}).set).not.toHaveProperty('catu');
  });

  it('leaves out what the start used up and grants that nobody reads, and nothing that refuses', () => {
    const grants = { catr: { type: 'cookie', expext: 60 }, catif: {}, catifdata: 'x' };
    expect(changed({ ...grants, catreplay: 1, catpor: [0.5, 'AA'] }).drop).toEqual(['catifdata', 'catreplay']);
    expect(changed({ ...grants, catreplay: 2 }, { understood: ['sid', 'exp'], renewal: 'drop' }).drop).toEqual([
      'catif',
      'catifdata',
      'catr',
      'catreplay',
    ]);
    expect(changed({ catreplay: 2 }).drop).toEqual([]);
    const proved = { cnf: { jkt: 'x' }, catdpop: { window: 60 } };
    expect(() => changed(proved)).toThrow(new NotExchangeable('proof_required'));
    expect(changed(proved, { proof: 'start' }).drop).toEqual(['cnf', 'catdpop']);
  });

  it('keeps no method that the original refuses', () => {
    const methods = ['GET', 'HEAD'];
    expect(changed({}, { methods }).set['catm']).toEqual(methods);
    expect(changed({ catm: ['GET', 'POST'] }, { methods }).set['catm']).toEqual(['GET']);
    expect(changed({ catm: 'GET' }, { methods }).set['catm']).toEqual(['GET']);
  });
});
