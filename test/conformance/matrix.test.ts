// `docs/claims.md` against the code and the conformance cases.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as labels from '@portcullis/tokens/core/labels';
import { claimLabels } from '@portcullis/tokens/claims';
import { reasons, verifyRequest } from '@portcullis/tokens';
import { profiles } from '../../scripts/build/profiles.js';
import { optionalClaims } from '../../scripts/config/functions-config.js';
import { jwt, NOW, PATH } from '../verdicts/requests.js';
import { claimNames, type ClaimName } from './case.js';
import { cases } from './cases/index.js';
import { nodeKeys } from './store.js';

const page = readFileSync(new URL('../../docs/claims.md', import.meta.url), 'utf8');

/** The rows of the table under a heading, cell by cell, without code marks. */
function rowsUnder(heading: string): string[][] {
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const lines = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

const matrix = rowsUnder('The matrix').map(([key, names, section, place, feature, within, reason]) => ({
  key: Number(key),
  names: (names ?? '').split(', '),
  section: section ?? '',
  place: place ?? '',
  feature: feature ?? '',
  profiles: (within ?? '').split(', '),
  reason: reason ?? '',
}));
/** What the conformance cases call a claim that a JWT calls otherwise. */
const caseName = (names: readonly string[]): ClaimName => {
  const own: Record<string, ClaimName> = { sid: 'session', sxp: 'session end' };
  return own[names[0] as string] ?? (names[0] as ClaimName);
};
const codeLabels = Object.values<unknown>(labels).filter((value): value is number => typeof value === 'number');
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

describe('the matrix of docs/claims.md', () => {
  test('has every claim of the code, once, and no other', () => {
    expect(codeLabels.length).toBeGreaterThan(20);
    expect(sorted(matrix.map(({ key }) => key))).toEqual(sorted(codeLabels));
    expect(sorted(matrix.map(({ key }) => key))).toEqual(sorted(Object.values(claimLabels)));
    expect(sorted(matrix.map(({ key }) => key))).toEqual(sorted([...labels.KNOWN]));
  });

  test('has every claim of the conformance cases, and no other', () => {
    expect(matrix.map(({ names }) => caseName(names)).sort()).toEqual([...claimNames].sort());
  });

  test('says once more what each claim holds', () => {
    const described = rowsUnder('What each claim holds').flatMap(([names = '']) => names.split(', '));
    expect(described.sort()).toEqual(matrix.map(({ names }) => names[0] as string).sort());
  });

  describe.each(matrix)('$key $names', ({ key, names, section, place, feature, profiles: within, reason }) => {
    const own = cases.filter(({ claim }) => claim === caseName(names));

    test('names the claim as a JWT does', () => {
      expect(labels.claimName(key)).toBe(names.at(-1));
      expect(labels.claimKey(names.at(-1) as string)).toBe(key);
    });

    test('has cases under its section that accept, reject and malform', () => {
      expect(new Set(own.map(({ kind }) => kind)).size).toBe(3);
      const standard = section === 'private use' ? 'Portcullis claim' : `CTA-5007-B ${section}`;
      expect(own.filter(({ name }) => !name.startsWith(standard)).map(({ name }) => name)).toEqual([]);
    });

    test('names a reason that a case of it gives', () => {
      expect(reasons).toContain(reason);
      expect(own.some(({ expected }) => expected === reason)).toBe(true);
    });

    test('names what compiles it in, and the profiles that do', () => {
      const builds = Object.entries(profiles);
      if (feature === 'always') expect(within).toEqual(builds.map(([name]) => name));
      else {
        expect(optionalClaims).toContain(feature);
        const having = builds.filter(([, { claims }]) => (claims as readonly string[]).includes(feature));
        expect(within).toEqual(having.map(([name]) => name));
      }
    });

    test('is decided where the cases say', () => {
      expect(['function', 'Lambda@Edge', 'nowhere']).toContain(place);
      // Where the function decides, a token with the claim alone can pass it.
      const passes = own.some(({ kind, asked }) => kind === 'accept' && (asked.build ?? 'everything') === 'everything');
      // `catdpop` alone asks for nothing.
      if (names[0] !== 'catdpop') expect(passes).toBe(place === 'function');
    });
  });

  test('gives examples in JSON that are claims of the right form', async () => {
    const [, section = ''] = page.split('\n## In a JSON Web Token\n');
    const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `'));
    expect(rows.length).toBeGreaterThan(7);
    for (const row of rows) {
      const [, names = '', examples = ''] = row.split(/(?<!\\)\|/);
      const values = [...examples.matchAll(/`([[{"].*?)`/g)].map(([, json = '']) => json.replaceAll('\\|', '|'));
      for (const [i, name] of names.replaceAll('`', '').trim().split(', ').entries()) {
        const value: unknown = JSON.parse((values[i] ?? values[0] ?? '').replace(/<[^>]*>/g, 'AAAA'));
        const { reason } = await verifyRequest(
          { url: `${PATH}?CAT=${jwt({ [name]: value, jti: 'x' })}`, address: '203.0.113.9' },
          { keys: nodeKeys, clock: () => NOW * 1000 },
        );
        expect(['invalid_claim', 'malformed_token', 'unsupported_claim'], `${name}: ${reason}`).not.toContain(reason);
      }
    }
  });

  test('says in which profiles which places are looked in', () => {
    for (const [, setting = '', within = ''] of rowsUnder('Where tokens are looked for')) {
      const having = Object.entries(profiles).filter(([, { placements }]) => setting in placements);
      expect(within.split(', '), setting).toEqual(having.map(([name]) => name));
    }
  });

  test('says the limits that hold', async () => {
    const limits = await import('@portcullis/tokens/core/limits');
    const [, encoding = ''] = page.split('\n## Where tokens are looked for\n');
    const said = (number: number): string => number.toLocaleString('en');
    for (const limit of [limits.MAX_TOKEN_LENGTH, limits.MAX_ITEMS, limits.MAX_DEPTH, limits.MAX_KID_LENGTH])
      expect(encoding).toMatch(new RegExp(`\\b${said(limit)}\\b`));
    expect(limits.MAX_TOKENS).toBe(6);
    expect(encoding).toContain('Six tokens');
    expect(page).toContain(`${limits.MAX_REGEX_LENGTH} characters`);
    expect(page).toContain(`${limits.MAX_REGEX_TEXT} characters`);
    expect(page).toContain(`more than ${said(limits.MAX_REGEX_COST)}`);
  });
});
