import { createSigner, verify, type Placement } from '@portcullis/tokens';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { presetNames, type WafPlacement } from '../../waf-rules/config.js';
import { buildRuleSet } from '../../waf-rules/presets.js';
import { parseRequest } from '../../waf-rules/simulated-request.js';
import { simulatorOf } from '../../waf-rules/simulate-rule-set.js';

// The SDK's own tokens, put where the SDK puts them: what it signs and verifies, no preset may turn away.
const secret = new Uint8Array(32).fill(7);
const key = { alg: 'HS256', kid: 'k1', secret } as const;
const placements: readonly Placement[] = [
  { kind: 'path', mode: 'prefix', prefix: '/live' },
  { kind: 'path', mode: 'marker' },
  { kind: 'path', mode: 'first' },
  { kind: 'pathParameter' },
  { kind: 'query' },
  { kind: 'cookie' },
  { kind: 'header' },
  { kind: 'authorization' },
];
const viewer = fc.record({
  format: fc.constantFrom('cat' as const, 'jwt' as const),
  placement: fc.constantFrom(...placements),
  expiresIn: fc.constantFrom('30s', '2h', '7d'),
  subject: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), { nil: undefined }),
  address: fc.constantFrom('31.7.9.11', '2a02:17::9'),
  file: fc.constantFrom('main.m3u8', 'v/seg-00001.m4s', 'manifest.mpd', 'a.ts'),
});

const empty = { anonymous: [], hosting: [], reputation: [], reconnaissance: [], ddos: [], blocked: [] };

describe.each(presetNames)('%s', (preset) => {
  test('passes every playback URL the SDK makes', async () => {
    const set = buildRuleSet({
      preset,
      protectedPaths: ['/live/'],
      placements: placements as readonly unknown[] as WafPlacement[],
    });
    const simulator = simulatorOf(set, { lists: empty });
    let time = 0;
    await fc.assert(
      fc.asyncProperty(viewer, async ({ format, placement, expiresIn, subject, address, file }) => {
        const signer = createSigner({ issuer: 'cms', key, format, placement });
        const policy = { expiresIn, ...(subject === undefined ? {} : { subject }) } as Parameters<
          typeof signer.sign
        >[0];
        const url = `https://cdn.example/live/ch1/${file}`;
        const signed = await signer.signPlaybackUrl(url, policy as Parameters<typeof signer.signPlaybackUrl>[1]);
        // It is a valid token: the evaluator of the edge admits it.
        await verify(signed.token, { keys: [{ ...key }], request: { url, headers: {}, address } } as Parameters<
          typeof verify
        >[1]);
        const { pathname, search } = new URL(signed.url);
        const cookie = signed.cookies.map((each) => each.split(';')[0]).join('; ');
        const decision = simulator.decide(
          parseRequest({
            time: (time += 500),
            path: pathname,
            query: search.slice(1),
            address,
            headers: { 'user-agent': 'player', ...signed.headers, ...(cookie === '' ? {} : { cookie }) },
          }),
        );
        expect(decision).toMatchObject({ action: 'ALLOW', undecided: [] });
        expect(decision.matches.map((match) => match.rule)).toContain('portcullis-token-shape');
      }),
      { numRuns: 60 },
    );
  });

  if (preset !== 'observe') {
    test('and none of them without its token', async () => {
      const simulator = simulatorOf(buildRuleSet({ preset, protectedPaths: ['/live/'] }), { lists: empty });
      expect(simulator.decide(parseRequest({ uri: '/live/ch1/main.m3u8', address: '31.7.9.11' })).status).toBe(401);
    });
  }
});
