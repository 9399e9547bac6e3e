import { describe, expect, test } from 'vitest';
import { functionsConfigSchema, type FunctionsConfigInput } from '../config/functions-config.js';
import { functionPlan } from './plan.js';

const plan = (input: FunctionsConfigInput) => functionPlan(functionsConfigSchema.parse(input), '/project');
const compiledIn = (input: FunctionsConfigInput): string[] =>
  Object.entries(plan(input).features).flatMap(([name, on]) => (on ? [name] : []));

describe('only what a configuration uses is compiled in', () => {
  test('a lean policy', () => {
    expect(
      compiledIn({
        profile: 'jwt-minimal',
        placements: { query: 'token' },
        claims: { use: [] },
        revocation: { scopes: [] },
        cors: false,
        keyRecords: { modes: false, scope: false },
      }),
    ).toEqual(['jwt', 'usualJwt', 'audience', 'manyTokens', 'query']);
  });

  test('claims go by their names where JWTs alone and the usual claims are known', () => {
    const alone: FunctionsConfigInput = { formats: ['jwt'] };
    expect(compiledIn(alone)).not.toContain('claimKeys');
    expect(compiledIn({})).toContain('claimKeys');
    expect(compiledIn({ ...alone, claims: { use: ['catu', 'cath'] } })).toContain('claimKeys');
    expect(compiledIn({ ...alone, requiredClaims: ['exp'] })).toContain('claimKeys');
    expect(compiledIn({ ...alone, claims: { onUnknown: { catnip: 'allow' } } })).toContain('claimKeys');
  });

  test.each<[string, FunctionsConfigInput, string]>([
    ['public paths', { publicPaths: ['/slate'] }, 'publicPaths'],
    ['the mode record', { modeRecord: true }, 'modeRecord'],
    ['missing headers allowed', { claims: { onUnknown: { catnip: 'allow' } } }, 'onUnknown'],
    ['old clients', { allowedClients: [{ prefix: 'Box/1', paths: ['/'], until: 1 }] }, 'allowClients'],
    ['embedding pages', { embedOrigins: [{ origins: ['https://a.example'] }] }, 'embedOrigins'],
    ['blackouts', { blackout: true, contentId: '^/(a)' }, 'blackout'],
    ['the content id with them', { blackout: true, contentId: '^/(a)' }, 'contentId'],
    ['minting with renewal', { claims: { use: ['catr'] } }, 'mint'],
    ['moments with accounts', { revocation: { scopes: ['subject'] } }, 'cutOffs'],
    ['keys of client certificates', { claims: { use: ['cattpk'], tlsKeys: true } }, 'tlsKeyLookup'],
  ])('%s', (_, input, feature) => {
    expect(compiledIn(input)).toContain(feature);
    expect(compiledIn({})).not.toContain(feature);
  });

  test('a content id that nothing asks for is left out', () => {
    expect(compiledIn({ contentId: '^/(a)' })).not.toContain('contentId');
    expect(plan({ contentId: '^/(a)' }).build.policy.contentId).toBeUndefined();
  });

  test('what the edge cannot do is in no profile', () => {
    for (const profile of ['full', 'default', 'jwt-minimal', 'cat-minimal'] as const) {
      const { features } = plan({ profile });
      expect([features.publicKey, features.proof, features.encrypted]).toEqual([false, false, false]);
    }
  });
});

describe('words become what the functions read', () => {
  test('placements', () => {
    expect(
      plan({ placements: { path: ['first', { prefix: '/live/' }, { marker: '/~t' }], cookie: true, header: true } })
        .build.policy,
    ).toMatchObject({
      path: [
        { before: '', keep: '' },
        { before: '/live', keep: '/live' },
        { before: '/~t', keep: '' },
      ],
      cookie: 'CAT',
      header: true,
      query: undefined,
    });
  });

  test('claims by name become their numbers', () => {
    const { policy } = plan({
      requiredClaims: ['exp', 'catu', 'sid'],
      claims: { onUnknown: { catgeoiso3166: 'allow', catnip: 'refuse' }, replay: 'refuse', uncompiled: 'ignore' },
    }).build;
    expect(policy).toMatchObject({
      requiredClaims: [4, 312, -65537],
      allowUnknown: [316],
      refuseReplay: true,
      ignoreUncompiled: true,
    });
  });

  test('statuses: the defaults, the configured, and no 401, which is what the rest gets', () => {
    expect(plan({ answers: { status: { expired: 410, revoked: 401 } } }).build.settings.status).toEqual({
      ambiguous_path: 400,
      store_error: 503,
      internal_error: 503,
      expired: 410,
    });
    expect(plan({ blackout: true, contentId: '^/(a)' }).build.settings.status['blackout']).toBe(451);
  });

  test('preflights name Authorization, which a star does not stand for, and every header where credentials are sent', () => {
    const headers = (input: FunctionsConfigInput): string | undefined =>
      plan(input).build.settings.preflight['access-control-allow-headers']?.value;
    expect(headers({ placements: { authorization: true } })).toBe('*,authorization');
    expect(headers({ placements: { query: true } })).toBe('*');
    expect(headers({ placements: { header: true }, cors: { origins: ['https://a.example'], credentials: true } })).toBe(
      'range,cta-common-access-token,common-access-token',
    );
  });

  test('hooks are named from the configuration', () => {
    expect(plan({ hooks: { before: './geo.ts' } }).build.hooks?.before).toBe('/project/geo.ts');
  });
});
