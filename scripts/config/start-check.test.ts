import { describe, expect, it } from 'vitest';
import { ConfigError, parseConfig, type PortcullisConfigInput } from './index.js';

const keys = [{ kind: 'url' as const, url: 'https://id.example/.well-known/jwks.json' }];
const problems = (start: object, more: Partial<PortcullisConfigInput> = {}, lambda: object = { keys }): string[] => {
  try {
    parseConfig({ ...more, lambda: { ...lambda, start: { kid: 'edge', ...start } } });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path }) => path);
  }
};

describe('lambda.start', () => {
  it('is taken with a profile that has a place in the path and the claims it binds by', () => {
    expect(problems({})).toEqual([]);
    expect(problems({ exchange: { by: 'cookie' }, oneTime: { table: 'used', regions: ['us-east-1'] } })).toEqual([]);
  });

  it.each([
    ['no keys', problems({}, {}, {}), 'lambda.keys'],
    ['nowhere to put the session token', problems({}, { placements: { query: true } }), 'lambda.start'],
    ['no catu', problems({}, { claims: { use: ['catnip', 'catgeoiso3166'] } }), 'lambda.start'],
    ['no catnip', problems({}, { claims: { use: ['catu', 'catgeoiso3166'] } }), 'lambda.start.exchange.network'],
    ['no country', problems({}, { claims: { use: ['catu', 'catnip'] } }), 'lambda.start.exchange.country'],
    [
      'methods without catm',
      problems({ exchange: { methods: ['GET'] } }, { claims: { use: ['catu', 'catnip', 'catgeoiso3166'] } }),
      'lambda.start.exchange.methods',
    ],
    [
      'no cookie',
      problems({ exchange: { by: 'cookie' } }, { placements: { path: 'first' } }),
      'lambda.start.exchange.by',
    ],
    [
      'a format that the function does not read',
      problems({ exchange: { format: 'jwt' } }, { formats: ['cat'] }),
      'lambda.start.exchange.format',
    ],
    ['a path that ends with a slash', problems({ path: '/start/' }), 'lambda.start.path'],
    [
      'a path where tokens stand',
      problems({ path: '/live' }, { placements: { path: { prefix: '/live' } } }),
      'lambda.start.path',
    ],
    [
      'a region twice',
      problems({ oneTime: { table: 'used', regions: ['us-east-1', 'us-east-1'] } }),
      'lambda.start.oneTime.regions',
    ],
  ])('refuses %s', (_, found, expected) => {
    expect(found.join(' ')).toContain(expected);
  });

  it('needs nothing of what it is told to leave out', () => {
    const claims = { use: ['catu' as const] };
    expect(problems({ exchange: { network: false, country: false } }, { claims })).toEqual([]);
  });
});
