import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionHosts } from '../../scripts/engine/index.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { eventOf, inNode, isOfCat, momentOf, outcomeOf, overHttp, type Outcome } from './asking.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { PATH, requestCases, storeEntries, type Expected, type RequestCase } from './requests.js';

const byProfile = (one: RequestCase, profile: string): Expected =>
  profile === 'default' && one.byDefault ? one.byDefault[0] : one.expected;

/** The table is compared as a whole: what differs is named, case by case. */
function expectAll(outcomes: readonly Outcome[], profile: string, cases: readonly RequestCase[] = requestCases): void {
  const differing: string[] = [];
  cases.forEach((one, i) => {
    const outcome = outcomes[i] as Outcome;
    const expected = byProfile(one, profile);
    if (outcome.verdict !== expected) differing.push(`${one.name}: ${outcome.verdict}, not ${expected}`);
    else if (outcome.forwarded !== undefined && outcome.forwarded !== (one.forwarded ?? PATH))
      differing.push(`${one.name}: the origin is asked for ${outcome.forwarded}`);
    // Tokens begin with these, and nothing else in these requests does.
    if (outcome.seen !== undefined && /eyJ|2D3|0YR|0oR/.test(outcome.seen))
      differing.push(`${one.name}: the origin sees a token`);
  });
  expect(differing).toEqual([]);
}

const hosts = await functionHosts();
const compiled = {
  default: await compiledFolder(neutralConfig('default')),
  full: await compiledFolder(neutralConfig('full')),
};
const profiles = ['default', 'full'] as const;

test('the table names each request once, and holds more than the least of each kind', () => {
  expect(new Set(requestCases.map(({ name }) => name)).size).toBe(requestCases.length);
  expect(requestCases.length).toBeGreaterThan(250);
  expect(requestCases.filter(({ expected }) => expected === 'admitted').length).toBeGreaterThan(80);
});

describe.each(hosts)('in $name', (host) => {
  test.skipIf(host.missing).each(profiles)('the profile %s gives each request its verdict', async (profile) => {
    const results = await host.run(
      compiled[profile].file,
      requestCases.map((one) => ({ event: eventOf(one), now: momentOf(one) * 1000 })),
      { store: { entries: storeEntries } },
    );
    expectAll(results.map(outcomeOf), profile);
  });
});

describe.each(hosts)('in $name', (host) => {
  test.skipIf(host.missing)(
    'a build for JWTs alone gives requests without CATs the verdicts of the default',
    async () => {
      const { file } = await compiledFolder({ ...neutralConfig('default'), formats: ['jwt'] });
      const cases = requestCases.filter((one) => !isOfCat({ target: one.target, headers: one.headers }));
      expect(cases.length).toBeGreaterThan(100);
      const results = await host.run(
        file,
        cases.map((one) => ({ event: eventOf(one), now: momentOf(one) * 1000 })),
        { store: { entries: storeEntries } },
      );
      expectAll(results.map(outcomeOf), 'default', cases);
    },
  );
});

describe('in verify on Node', () => {
  test('each request gets the verdict of the edge', async () => {
    expectAll(await Promise.all(requestCases.map((one) => inNode(one))), 'full');
  });
});

describe.each(profiles)('in workerd through the local edge, profile %s', (profile) => {
  let listed: LocalEdge;
  let unlisted: LocalEdge;
  beforeAll(async () => {
    const functionsFolder = compiled[profile].folder;
    listed = await startLocalEdge({ functionsFolder });
    unlisted = await startLocalEdge({ functionsFolder, viewerHeaders: 'none' });
    for (const edge of [listed, unlisted])
      await edge.functions.storage.apply!({ puts: Object.entries(storeEntries), deletes: [] });
  });
  afterAll(async () => {
    await listed?.close();
    await unlisted?.close();
  });

  test('each request gets its verdict over HTTP, and the origin sees no token', async () => {
    const outcomes: Outcome[] = [];
    for (const one of requestCases) outcomes.push(await overHttp(one.unlisted ? unlisted : listed, one));
    expectAll(outcomes, profile);
  });
});
