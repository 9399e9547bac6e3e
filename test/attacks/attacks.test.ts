import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionHosts } from '../../scripts/engine/index.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { eventOf, inNode, momentOf, outcomeOf, overHttp, verificationKeys, type Outcome } from '../verdicts/asking.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { NOW, PATH } from '../verdicts/requests.js';
import { attacks, attackStore, publicKeys, type Attack } from './table.js';

const contentId = '^/echo/([^/;]+)';
const compiled = await compiledFolder({
  ...neutralConfig('full'),
  contentId,
  issuer: 'edge.example',
  modeRecord: true,
  publicPaths: ['/public'],
  claims: { tlsKeys: true },
  allowedClients: [{ prefix: 'OldTV/1.', paths: ['/echo/old', '/echo/dark'], until: NOW + 3600 }],
  embedOrigins: [{ content: 'framed', origins: ['https://player.example'], allowNone: false }],
});
const hosts = await functionHosts();

/** The outcome in the table's words. */
function worded({ verdict, ...rest }: Outcome): Outcome {
  return { ...rest, verdict: verdict === 'status 204' ? 'answered' : verdict };
}

/** The table is compared as a whole: what differs is named, case by case. */
function expectAll(rows: readonly Attack[], outcomes: readonly Outcome[], where: 'njs' | 'v8' | 'http' | 'node'): void {
  const differing: string[] = [];
  rows.forEach((one, i) => {
    const name = `${one.family}: ${one.name}`;
    const { verdict, forwarded, seen } = worded(outcomes[i] as Outcome);
    const otherwise = { njs: undefined, v8: one.inV8, http: one.inV8, node: one.inNode }[where];
    const expected = otherwise?.[0] ?? one.expected;
    if (verdict !== expected) differing.push(`${name}: ${verdict}, not ${expected}`);
    else if (forwarded !== undefined && forwarded !== (one.forwarded ?? PATH))
      differing.push(`${name}: the origin is asked for ${forwarded}`);
    // Tokens begin with these, and nothing else in these requests does. The hand-over of a token that is to be renewed is
    // meant for viewer-response.
    const handover = /"x-portcullis-handover"[:,](\{"value":)?"[^"]*"/;
    if (seen !== undefined && /eyJ|2D3|0YR|0oR/.test(seen.replace(handover, '')))
      differing.push(`${name}: the origin sees a token`);
  });
  expect(differing).toEqual([]);
}

const families = [...new Set(attacks.map(({ family }) => family))];
const isAttack = ({ expected, renews }: Attack): boolean => expected !== 'admitted' || renews === false;

test('the table names each attack once, and beside the attacks of every family stands what they imitate', () => {
  const names = attacks.map(({ family, name }) => `${family}: ${name}`);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  expect(attacks.filter(isAttack).length).toBeGreaterThan(300);
  for (const family of families) {
    const rows = attacks.filter((one) => one.family === family);
    expect([family, rows.some(isAttack), rows.some((one) => !isAttack(one))]).toEqual([family, true, true]);
  }
});

describe.each(hosts)('in $name', (host) => {
  test.skipIf(host.missing)('every attack is refused for its reason', async () => {
    const results = await host.run(
      compiled.file,
      attacks.map((one) => ({ event: eventOf(one), now: momentOf(one) * 1000 })),
      { store: { entries: attackStore } },
    );
    for (const { logs } of results) expect(logs.join()).not.toMatch(/eyJ|2D3|0YR|0oR/);
    expectAll(attacks, results.map(outcomeOf), host.name === 'node-vm' ? 'v8' : 'njs');
  });
});

describe.each(hosts)('in $name, viewer-response', (host) => {
  test.skipIf(host.missing)('hands out renewed tokens where it should, and nowhere else', async () => {
    const rows = attacks.filter(({ renews }) => renews !== undefined);
    const results = await host.run(
      join(compiled.folder, 'viewer-response.js'),
      rows.map((one) => {
        const event = eventOf(one);
        return {
          event: {
            ...event,
            context: { ...event.context, eventType: 'viewer-response' },
            response: { statusCode: 200, headers: {}, cookies: {} },
          },
          now: momentOf(one) * 1000,
        };
      }),
      { store: { entries: attackStore } },
    );
    const differing = rows.filter((one, i) => /eyJ|2D3|0YR|0oR/.test(JSON.stringify(results[i])) !== one.renews);
    expect(differing.map(({ family, name }) => `${family}: ${name}`)).toEqual([]);
  });
});

test('in verify on Node, every attack is refused for its reason', async () => {
  const rows = attacks.filter(({ edgeOnly }) => !edgeOnly);
  const more = {
    keys: [...verificationKeys, ...publicKeys],
    read: (key: string) => Promise.resolve(attackStore[key]),
    contentId: new RegExp(contentId),
  };
  expect(rows.length).toBeGreaterThan(300);
  expectAll(rows, await Promise.all(rows.map((one) => inNode(one, more))), 'node');
});

describe('in workerd through the local edge', () => {
  let edge: LocalEdge;
  beforeAll(async () => {
    edge = await startLocalEdge({ functionsFolder: compiled.folder });
    await edge.functions.storage.apply!({ puts: Object.entries(attackStore), deletes: [] });
  });
  afterAll(() => edge?.close());

  test('every attack is refused for its reason over HTTP', async () => {
    const rows = attacks.filter(({ eventOnly }) => !eventOnly);
    const outcomes: Outcome[] = [];
    for (const one of rows) outcomes.push(await overHttp(edge, one));
    expectAll(rows, outcomes, 'http');
  });
});
