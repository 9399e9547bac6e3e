import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyRequest, type Placement } from '@portcullis/tokens';
import { functionHosts, viewerRequestEvent, type HostResult } from '../../scripts/engine/index.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { readViewer, viewerHeaders } from '../../scripts/local-edge/viewer.js';
import { rawRequest } from '../local-edge/raw-http.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { keys, NOW, PATH, requestCases, secretOf, storeEntries, type Expected, type RequestCase } from './requests.js';

type Pairs = readonly (readonly [string, string])[];

const defaultHost = 'video.example.com';
const momentOf = (one: RequestCase): number => NOW + (one.later ?? 0);

/** The headers as they reach a function: the viewer's, and CloudFront's over them where the policy lists those. */
function headersAtEdge(one: RequestCase): Pairs {
  const own = one.unlisted ? {} : viewerHeaders(readViewer(one.viewer ?? ''));
  return [
    ['host', one.host ?? defaultHost],
    ...(one.headers ?? []).filter(([name]) => !(name.toLowerCase() in own)),
    ...Object.entries(own).filter((pair): pair is [string, string] => pair[1] !== undefined),
  ];
}

function gathered(pairs: Pairs): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of pairs) (headers[name.toLowerCase()] ??= []).push(value);
  return headers;
}

/** What a request was answered, wherever it was asked. */
interface Outcome {
  readonly verdict: string;
  /** What the origin is asked for; absent where it is not. */
  readonly forwarded?: string;
  /** All that the origin sees, as text. */
  readonly seen?: string;
}

const byProfile = (one: RequestCase, profile: string): Expected =>
  profile === 'default' && one.byDefault ? one.byDefault[0] : one.expected;

const addressOf = (one: RequestCase): string => readViewer(one.viewer ?? '').ip;

function eventOf(one: RequestCase): ReturnType<typeof viewerRequestEvent> {
  const { cookie = [], ...headers } = gathered(headersAtEdge(one));
  return viewerRequestEvent({
    uri: one.target,
    method: one.method ?? 'GET',
    headers,
    cookies: cookie.join(';'),
    ip: addressOf(one),
  });
}

function outcomeOf({ result, error }: HostResult): Outcome {
  if (error || !result) return { verdict: `threw ${error?.name}: ${error?.message}` };
  if (result.statusCode) {
    const reason = result.headers?.['x-portcullis-reason']?.value;
    expect(result.headers?.['cache-control']?.value).toBe('no-store');
    expect(JSON.parse(result.body as string)).toMatchObject({ error: reason });
    return { verdict: reason ?? `status ${result.statusCode}` };
  }
  const query = Object.entries(result.querystring)
    .flatMap(([name, { value, multiValue }]) => (multiValue ?? [{ value }]).map((one) => `${name}=${one.value}`))
    .join('&');
  return { verdict: 'admitted', forwarded: result.uri + (query && `?${query}`), seen: JSON.stringify(result) };
}

async function overHttp(edge: LocalEdge, one: RequestCase): Promise<Outcome> {
  const answer = await rawRequest(edge.addresses.edge, one.target, {
    method: one.method ?? 'GET',
    host: one.host ?? defaultHost,
    headers: [['x-sim-viewer', `now=${momentOf(one)}; ${one.viewer ?? ''}`], ...(one.headers ?? [])],
  });
  const reason = answer.headers['x-portcullis-reason']?.[0];
  if (reason) return { verdict: reason };
  if (answer.headers['x-cache']?.[0]?.startsWith('Miss')) {
    // What the origin has under `/echo` tells what it was asked.
    const target = answer.body.startsWith('{') ? (JSON.parse(answer.body) as { target: string }).target : undefined;
    return { verdict: 'admitted', ...(target === undefined ? {} : { forwarded: target }), seen: answer.body };
  }
  if (answer.status === 404 && answer.body === 'Not found\n') return { verdict: 'admitted', seen: '' };
  return { verdict: `edge ${answer.status}: ${answer.body}` };
}

const placements: Record<string, readonly Placement[]> = {
  default: [{ kind: 'path', mode: 'first' }, { kind: 'query' }, { kind: 'cookie' }, { kind: 'header' }],
  full: [
    { kind: 'path', mode: 'first' },
    { kind: 'pathParameter' },
    { kind: 'query' },
    { kind: 'cookie' },
    { kind: 'header' },
    { kind: 'authorization' },
  ],
};

async function inNode(one: RequestCase, profile: string): Promise<Outcome> {
  const { reason } = await verifyRequest(
    { url: one.target, method: one.method ?? 'GET', headers: gathered(headersAtEdge(one)), address: addressOf(one) },
    {
      keys: keys.map(
        ({ kid, ...scope }) => ({ alg: 'HS256', secret: secretOf(kid), ...(kid && { kid }), ...scope }) as const,
      ),
      read: (key) => Promise.resolve(storeEntries[key]),
      placements: placements[profile] as readonly Placement[],
      clock: () => momentOf(one) * 1000,
    },
  );
  return { verdict: reason ?? 'admitted' };
}

/** The table is compared as a whole: what differs is named, case by case. */
function expectAll(outcomes: readonly Outcome[], profile: string): void {
  const differing: string[] = [];
  requestCases.forEach((one, i) => {
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

describe('in verify on Node', () => {
  test('each request gets the verdict of the edge', async () => {
    expectAll(await Promise.all(requestCases.map((one) => inNode(one, 'full'))), 'full');
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
