import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, detectionSection, loadConfig, parseConfig, wafSection } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function problems(input: unknown): readonly { path: string; message: string }[] {
  try {
    parseConfig(input);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('reading a file', () => {
  test('TypeScript with defineConfig and a module of its own', async () => {
    file('shared.ts', "export const issuer: string = 'cms';");
    const path = file(
      'a.config.ts',
      "import { defineConfig } from '../scripts/config/index.js'; import { issuer } from './shared.js'; export default defineConfig({ issuer, placements: { query: true } });",
    );
    const loaded = await loadConfig(path);
    expect(loaded.config).toMatchObject({ issuer: 'cms', placements: { query: true }, mode: 'enforce' });
    expect(loaded.folder).toBe(folder);
  });

  test('JSON', async () => {
    expect((await loadConfig(file('a.json', '{"formats":["jwt"]}'))).config.formats).toEqual(['jwt']);
  });

  test('without a file the defaults hold', async () => {
    const loaded = await loadConfig(join(folder, 'none.config.ts'));
    expect(loaded).toMatchObject({ file: undefined, input: {}, config: { profile: 'default', mode: 'enforce' } });
  });

  test.each([
    ['broken.json', '{', 'expected JSON'],
    ['broken.config.ts', 'export default {', 'Build failed'],
    ['none.ts', 'export const a = 1;', 'expected a default export'],
    ['throws.ts', "throw new Error('no region'); export default {};", 'no region'],
  ])('%s says what is wrong', async (name, text, message) => {
    await expect(loadConfig(file(name, text))).rejects.toThrow(message);
  });
});

describe('a wrong setting is named by its path, with what was expected', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['a misspelled setting', { isuer: 'cms' }, 'isuer', /no such setting/],
    ['a misspelled setting in a section', { cors: { origin: '*' } }, 'cors.origin', /no such setting/],
    ['a wrong type', { mode: 'on' }, 'mode', /expected one of "off"\|"log"\|"enforce"/],
    ['a path without a slash', { publicPaths: ['live'] }, 'publicPaths.0', /expected a path/],
    ['an encoded path', { publicPaths: ['/a%2Fb'] }, 'publicPaths.0', /nothing percent-encoded/],
    ['a prefix that is no path', { placements: { path: { prefix: 'live' } } }, 'placements.path.prefix', /a path/],
    [
      'an unknown reason',
      { answers: { status: { teapot: 418 } } },
      'answers.status.teapot',
      /no such setting|expected/,
    ],
    ['a status that lets pass', { answers: { status: { expired: 200 } } }, 'answers.status.expired', />=400/],
    ['an unknown claim', { requiredClaims: ['constructor'] }, 'requiredClaims.0', /expected a claim by its JWT name/],
    ['two groups in the content id', { contentId: '^/(a)/(b)' }, 'contentId', /exactly one group.*found 2/],
    ['no group in the content id', { contentId: '^/live/' }, 'contentId', /found 0/],
    ['a content id anywhere in the path', { contentId: '(live)' }, 'contentId', /begin with \^\//],
    ['a lookbehind', { contentId: '^/(a(?<=b))' }, 'contentId', /no lookbehind/],
    ['no regular expression', { contentId: '^/(' }, 'contentId', /expected a regular expression/],
    ['blackouts without a content id', { blackout: true }, 'blackout', /expected contentId beside it/],
    ['content revocation without one', { revocation: { scopes: ['content'] } }, 'revocation.scopes', /contentId/],
    ['credentials for everybody', { cors: { credentials: true } }, 'cors.origins', /a list of origins/],
    ['an origin with a path', { cors: { origins: ['https://a.example/x'] } }, 'cors.origins.0', /expected an origin/],
    ['regex without catu', { claims: { use: ['catu.regex'] } }, 'claims.use', /catu beside/],
    [
      'a client that is everybody',
      { allowedClients: [{ paths: ['/'], until: '2027-01-01' }] },
      'allowedClients.0',
      /either prefix or contains/,
    ],
    [
      'a day that is none',
      { allowedClients: [{ prefix: 'OldBox', paths: ['/'], until: 'soon' }] },
      'allowedClients.0.until',
      /expected a date/,
    ],
    ['a section of another part', { deployment: { name: 'x' } }, 'deployment.distribution', /expected string/],
    ['the waf section', { waf: { preset: 'all' } }, 'waf.preset', /live-event/],
    ['the revoker section', { revoker: { stores: [{ arn: 'x' }] } }, 'revoker.stores.0.arn', /KeyValueStore/],
  ])('%s', (_, input, path, message) => {
    const found = problems(input);
    expect(found.map((problem) => problem.path)).toContain(path);
    expect(found.find((problem) => problem.path === path)?.message).toMatch(message);
  });

  test('every problem is named at once', () => {
    expect(problems({ mode: 1, formats: ['cwt'], waf: { name: '' } }).length).toBeGreaterThanOrEqual(3);
  });
});

describe('what is said once holds in every section', () => {
  test('placements and public paths reach WAF and detection; their own sections win', async () => {
    const loaded = await loadConfig(
      file(
        'shared.json',
        JSON.stringify({
          placements: { path: [{ prefix: '/live' }, 'first'], pathParameter: true, cookie: 'T', authorization: true },
          publicPaths: ['/slate'],
          detection: { publicPaths: ['/other'] },
        }),
      ),
    );
    expect(wafSection(loaded)).toEqual({
      placements: [
        { kind: 'path', mode: 'prefix', prefix: '/live' },
        { kind: 'path', mode: 'first' },
        { kind: 'pathParameter', name: 'CAT' },
        { kind: 'cookie', name: 'T' },
        { kind: 'authorization' },
      ],
      publicPaths: ['/slate'],
    });
    expect(detectionSection(loaded)).toEqual({
      placements: [
        { kind: 'path', mode: 'prefix', prefix: '/live' },
        { kind: 'path', mode: 'first' },
        { kind: 'path-parameter', name: 'CAT' },
        { kind: 'cookie', name: 'T' },
      ],
      publicPaths: ['/other'],
    });
  });
});
