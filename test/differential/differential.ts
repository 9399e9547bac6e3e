import { createHmac } from 'node:crypto';
import { dirname, join } from 'node:path';
import { verify, verifyRequest, type EntitledKey, type Placement } from '@portcullis/tokens';
import { parseToken, type Verdict } from '@portcullis/tokens/core/gate';
import { CATIF } from '@portcullis/tokens/core/labels';
import { functionPlan, type FunctionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema, type FunctionsConfigInput } from '../../scripts/config/functions-config.js';
import {
  nodeVmHost,
  viewerRequestEvent,
  viewerResponseEvent,
  type FunctionHost,
  type HostResult,
  type RequestParts,
} from '../../scripts/engine/index.js';
import { isOfCat } from '../verdicts/asking.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { NOW, secretOf } from '../verdicts/requests.js';
import { Random } from './random.js';
import { reference, type Summary } from './reference.js';
import { randomFacts, withTokens, type Placed } from './requests.js';
import { kids, randomStore, scopeOf, type RandomStore } from './stores.js';
import { randomToken } from './tokens.js';

/** A policy, compiled and planned. */
export interface Deployment {
  readonly name: string;
  readonly file: string;
  readonly plan: FunctionPlan;
  readonly placements: readonly Placement[];
  /** What `verifyRequest` is told of the policy. */
  readonly verify: Partial<Parameters<typeof verifyRequest>[1]>;
  /** Where tokens are put; the first ones more often. */
  readonly places: readonly Placed[0][];
}

async function deployment(
  name: string,
  config: FunctionsConfigInput,
  verify: Deployment['verify'],
  places: readonly Placed[0][],
): Promise<Deployment> {
  const { file } = await compiledFolder(config);
  const plan = functionPlan(functionsConfigSchema.parse(config));
  return { name, file, plan, placements: plan.placements, verify, places };
}

const contentId = '^/echo/([^/;]+)';

/** Two policies that have everything compiled in between them, and what each may decide otherwise set otherwise. */
export async function deployments(): Promise<Deployment[]> {
  return [
    await deployment(
      'neutral',
      {
        profile: 'full',
        contentId,
        issuer: 'edge',
        modeRecord: true,
        publicPaths: ['/public'],
        claims: { tlsKeys: true },
        allowedClients: [{ prefix: 'OldTV/1.', paths: ['/echo/old', '/echo/dark'], until: NOW + 3600 }],
        embedOrigins: [{ content: 'framed', origins: ['https://player.example'], allowNone: false }],
      },
      { contentId: new RegExp(contentId) },
      [
        'path',
        'path',
        'path',
        'query',
        'query',
        'cookie',
        'header',
        'other-header',
        'string',
        'parameter',
        'authorization',
        'dpop',
      ],
    ),
    await deployment(
      'strict',
      {
        profile: 'full',
        contentId,
        issuer: 'edge',
        audiences: ['video.example'],
        modeRecord: true,
        requiredClaims: ['exp'],
        placements: {
          path: [{ prefix: '/echo' }, { marker: '/~t' }],
          query: true,
          cookie: true,
          header: true,
          pathParameter: true,
          authorization: true,
        },
        claims: {
          tlsKeys: true,
          replay: 'refuse',
          exactNetworks: true,
          onUnknown: { geohash: 'allow', catnip: 'allow', catgeoiso3166: 'allow' },
        },
        renewal: { kid: 'spare' },
        cors: { origins: ['https://player.example'], credentials: true },
        embedOrigins: [{ issuer: 'tenant-b', origins: ['https://player.example'] }],
      },
      {
        contentId: new RegExp(contentId),
        audiences: ['video.example'],
        requiredClaims: ['exp'],
        refuseReplay: true,
        exactAddresses: true,
        allowUnknown: ['geohash', 'catnip', 'catgeoiso3166'],
      },
      [
        'prefix',
        'prefix',
        'prefix',
        'marker',
        'marker',
        'query',
        'cookie',
        'header',
        'string',
        'parameter',
        'dpop',
        'path',
      ],
    ),
  ];
}

/** Where the default profile looks for tokens. */
const defaultPlaces = ['path', 'path', 'query', 'cookie', 'header', 'other-header', 'string'] as const;

/** The profile that most will deploy. What it leaves out the core in Node has: engines are held against each other. */
export const defaultDeployment = (): Promise<Deployment> =>
  deployment('default', neutralConfig('default'), {}, defaultPlaces);

export interface Case {
  readonly number: number;
  readonly parts: RequestParts;
  /** Whether it has one token and nothing that could be another. */
  readonly alone: boolean;
  readonly store: RandomStore;
  readonly now: number;
  readonly random: number;
}

/** The case of a number; the same number and seed give the same case. */
export function caseOf(seed: number, number: number, places: readonly Placed[0][], due = false): Case {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
  const facts = randomFacts(random);
  const count = random.pick([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, random.below(9)]);
  const placed: Placed[] = Array.from({ length: count }, () => [random.pick(places), randomToken(random, facts, due)]);
  return {
    number,
    parts: withTokens(facts, placed),
    alone: count === 1 && !facts.query.some((part) => part.startsWith('CAT')),
    // Stores are dear to write and to read: two hundred will do.
    store: storeOf(seed, random.below(200)),
    now: NOW * 1000 + random.pick([0, 0, 0, 250, 999, 5000]),
    random: random.pick([0, 0.3, 0.5, 0.99]),
  };
}

const stores = new Map<string, RandomStore>();
function storeOf(seed: number, number: number): RandomStore {
  const name = `${seed} ${number}`;
  const known = stores.get(name) ?? randomStore(new Random(Math.imul(seed, 31) ^ Math.imul(number + 1, 0x27d4eb2f)));
  stores.set(name, known);
  return known;
}

/** What the function did, in the reference's words. */
function summaryOf({ result, error, logs }: HostResult): Summary {
  if (error || !result) return { verdict: `threw ${error?.name}: ${error?.message}`, outcome: null, logs: [] };
  const lines = logs.map((line): unknown => JSON.parse(line));
  if (result.statusCode === undefined) {
    const reason = (lines[0] as { r?: string } | undefined)?.r;
    const handed = result.headers?.['x-portcullis-handover'] !== undefined;
    return {
      verdict: reason ? `let pass: ${reason}` : handed ? 'to be renewed' : 'admitted',
      outcome: result,
      logs: lines,
    };
  }
  const reason = result.headers?.['x-portcullis-reason']?.value;
  const other = { 200: 'response', 204: 'answered' }[result.statusCode] ?? 'redirected';
  const renewed = other === 'response' && /eyJ[\w-]+\.|0YRDoQEF/.test(JSON.stringify(result));
  return { verdict: reason ?? (renewed ? 'renewed' : other), outcome: result, logs: lines };
}

const secrets = new Map([...kids].map((kid) => [kid as string, secretOf(kid)]));

/** A value with its names sorted, numbers (names among them) to twelve digits, and minted tokens by what they say. */
function canonical(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(12));
  if (typeof value === 'string') return value.replace(/eyJ[\w-]*\.[\w-]*\.[\w-]*|0YRDoQEF[\w-]*/g, minted);
  if (Buffer.isBuffer(value)) return value.toString('base64url');
  if (Array.isArray(value)) return value.map(canonical);
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, one]) => one !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, one]) => [/^-?\d+\.\d/.test(name) ? String(canonical(Number(name))) : name, canonical(one)]),
    );
  return value;
}

/** A token signed anew, by its claims: engines write fractions and the order of names in their own ways. */
function minted(text: string): string {
  try {
    const { claims, kid, signed, signature } = parseToken(text);
    const hmac = createHmac('sha256', secrets.get(kid) as Buffer);
    for (const piece of signed) hmac.update(piece);
    if (!hmac.digest().equals(signature)) return text;
    return `<${kid} ${JSON.stringify(canonical(claims))}>`;
  } catch {
    return text;
  }
}

const asText = (summary: Summary): string => JSON.stringify(canonical(summary));

/**
 * njs 0.7.9 lists names in an order of its own, so that of two parts that cannot be used, or two answers that fit, another
 * may come first; so may builds that read claims by their names.
 */
function unordered(text: string, verdict: Verdict | undefined): string {
  const answers = verdict?.token?.claims[CATIF];
  const several = verdict?.answer !== undefined && Object.keys(answers ?? {}).length > 1;
  return (several ? text.replace(/"outcome":.*,"verdict"/, '"verdict"') : text)
    .replaceAll('unsupported_claim', 'invalid_claim')
    .replace(/,"u":\[[^\]]*\]/, '');
}

function keysFor(one: Case): EntitledKey[] {
  return [...secrets].flatMap(([kid, secret]): EntitledKey[] => {
    if (one.store.entries[`k:${kid}`] === undefined || kid === 'es') return [];
    const { iss, paths } = scopeOf(kid);
    return [
      { alg: 'HS256', secret, ...(kid && { kid }), ...(iss ? { issuers: iss } : {}), ...(paths ? { paths } : {}) },
    ];
  });
}

async function inVerifyRequest(one: Case, { placements, verify }: Deployment): Promise<string> {
  const { headers = {}, cookies = [], uri = '/', query, method = 'GET', ip = '' } = one.parts;
  const { reason } = await verifyRequest(
    {
      url: query ? `${uri}?${query}` : uri,
      method,
      address: ip,
      headers: {
        ...headers,
        ...(cookies.length > 0
          ? { cookie: (cookies as [string, string][]).map((pair) => pair.join('=')).join('; ') }
          : {}),
      },
    },
    {
      keys: keysFor(one),
      read: (key) => Promise.resolve(one.store.entries[key]),
      placements,
      clock: () => one.now,
      ...verify,
    },
  );
  return reason ?? 'admitted';
}

/** What `verify` says of a request's one token: what is revoked, and what the request is without it, is not its matter. */
async function inVerify(one: Case, { verify: policy }: Deployment, { found, http }: Verdict): Promise<string> {
  const { method = 'GET', ip = '' } = one.parts;
  const headers = Object.entries(one.parts.headers ?? {}).filter(
    ([name]) => !/access-token$|^authorization$/.test(name),
  );
  const query = one.parts.query
    ?.split('&')
    .filter((part) => !part.startsWith('CAT='))
    .join('&');
  const request = {
    url: query ? `${http.uri}?${query}` : http.uri,
    method,
    address: ip,
    headers: Object.fromEntries(headers),
  };
  try {
    await verify(found?.text ?? '', { ...policy, keys: keysFor(one), request, clock: () => one.now });
    return 'admitted';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Reasons that `verify` does not know of, or that are found before the token is. */
const notOfTheToken = ['revoked', 'probabilistic_refusal', 'blackout', 'ambiguous_path', 'missing_token'];

/** Whether what `verify` says agrees with the edge. Of several claims that do not hold it may name another. */
function agrees(said: string, { reason, rejections, token }: Verdict): boolean {
  if (said === (reason || 'admitted') || notOfTheToken.includes(reason)) return true;
  // Some revocations are answered as expiry, so that a new token is asked for.
  if (reason === 'expired' && !rejections.some((rejection) => rejection.reason === 'expired')) return true;
  // The keys of client certificates stand in the edge's store alone.
  if (said === 'tls_key_mismatch') return true;
  if (said === 'admitted' || reason === '') return false;
  // A kid that is too long is no key's, and a token that is too long is a matter of the request.
  if (reason === 'malformed_token') return said === 'unknown_key' || token !== undefined;
  return rejections.length > 1 || ['issuer_mismatch', 'not_entitled'].includes(said);
}

/** What of the policy or the store `verifyRequest` knows nothing of. */
function isBeyondVerify(one: Case, verdict: Verdict | undefined): boolean {
  return (
    !one.store.plain ||
    verdict === undefined ||
    verdict.mode !== 'enforce' ||
    verdict.allowance !== undefined ||
    verdict.reason === 'origin_mismatch' ||
    // Keys of other algorithms, and those in another mode, stand in the store alone; an answer may be signed by one.
    ['es', 'logged', 'off'].includes(verdict.token?.kid ?? '') ||
    verdict.reason === 'store_error'
  );
}

export interface Comparison {
  /** How often each verdict came. */
  readonly verdicts: Record<string, number>;
  /** How many cases `verify` was asked, too. */
  verified: number;
  /** The first cases that differ, fit to be run again. */
  readonly differing: string[];
}

const told = (seed: number, one: Case, by: Deployment, what: string): string =>
  [
    what,
    `seed ${seed}, case ${one.number}, policy ${by.name} (again: PORTCULLIS_SEED=${seed} PORTCULLIS_CASE=${one.number})`,
    `request ${JSON.stringify(one.parts)}`,
    `now ${one.now}, random ${one.random}, store ${JSON.stringify({ ...one.store, entries: undefined })}`,
  ].join('\n');

/** Holds cases against each other: the compiled function in engines, the core in Node, and `verify`. */
export async function compare(
  seed: number,
  numbers: readonly number[],
  by: Deployment,
  hosts: readonly FunctionHost[],
  comparison: Comparison,
): Promise<void> {
  const cases = numbers.map((number) => caseOf(seed, number, by.places));
  const answers = hosts.map((host) =>
    host.run(
      by.file,
      cases.map((one) => ({
        event: viewerRequestEvent(one.parts),
        store: one.store,
        now: one.now,
        random: one.random,
      })),
    ),
  );
  const { verdicts, differing } = comparison;
  const expected: { text: string; verdict: Verdict | undefined }[] = [];
  const dice = Math.random;
  for (const one of cases) {
    const { summary, verdict } = await reference(one.parts, one.store, one.now, one.random, by.plan);
    expected.push({ text: asText(summary), verdict });
    for (const name of [summary.verdict, ...(verdict?.answer ? ['own answer'] : [])])
      verdicts[name] = (verdicts[name] ?? 0) + 1;
    if (isBeyondVerify(one, verdict)) continue;
    comparison.verified++;
    Math.random = () => one.random;
    const reason = verdict?.reason || 'admitted';
    const said = await inVerifyRequest(one, by);
    if (said !== reason) differing.push(told(seed, one, by, `verifyRequest: ${said}, not ${reason}`));
    if (one.alone && verdict?.found) {
      const ofToken = await inVerify(one, by, verdict);
      if (!agrees(ofToken, verdict)) differing.push(told(seed, one, by, `verify: ${ofToken}, not ${reason}`));
    }
    Math.random = dice;
  }
  for (const [place, host] of hosts.entries()) {
    const results = (await answers[place]) as HostResult[];
    cases.forEach((one, i) => {
      const { text, verdict } = expected[i] as (typeof expected)[number];
      const found = asText(summaryOf(results[i] as HostResult));
      const old = host.name === 'njs 0.7.9';
      if (old && hasIntegerName(one.parts)) return;
      if (found === text || (old && unordered(found, verdict) === unordered(text, verdict))) return;
      differing.push(told(seed, one, by, `${host.name}: ${found}\nnot ${text}`));
    });
  }
}

/** The JSON of a request's JWTs, what is signed and what is not. */
function jsonOf({ uri = '', query = '', headers = {}, cookies = [] }: RequestParts): string[] {
  const parts = JSON.stringify([uri, query, headers, cookies]).match(/eyJ[\w-]*|(?<=eyJ[\w-]*\.)[\w-]*/g) ?? [];
  return parts.map((part) => Buffer.from(part, 'base64url').toString());
}

/** Whether a name is an integer: njs 0.7.9 leaves it in its place, others put it first, and take it there alone. */
const hasIntegerName = (parts: RequestParts): boolean => jsonOf(parts).some((text) => /"\d+"\s*:/.test(text));

/**
 * Whether JSON of a request is written alike by every engine: builds without `anyJson` take it only as they would write
 * it themselves, and V8 writes long numbers and halves of surrogate pairs otherwise, and nests deeper.
 */
function isWrittenAlike(parts: RequestParts): boolean {
  return jsonOf(parts).every((text) => !/\d{17}|\d[eE]|0\.000000|\\u[dD]|\[{20}|"\d+"\s*:/.test(text));
}

/** Holds the engines against each other, Node's vm among them; `responding`: viewer-response, shown the request as sent. */
export async function compareEngines(
  seed: number,
  numbers: readonly number[],
  by: Deployment,
  hosts: readonly FunctionHost[],
  comparison: Comparison,
  responding = false,
): Promise<void> {
  const cases = numbers
    .map((number) => caseOf(seed, number, by.places, responding))
    .filter((one) => isWrittenAlike(one.parts));
  const runs = cases.map((one) => ({
    event: responding ? viewerResponseEvent(one.parts) : viewerRequestEvent(one.parts),
    store: one.store,
    now: one.now,
    random: one.random,
  }));
  const file = responding ? join(dirname(by.file), 'viewer-response.js') : by.file;
  const answers = await Promise.all([nodeVmHost(), ...hosts].map((host) => host.run(file, runs)));
  const [expected = [], ...results] = answers.map((all) => all.map(summaryOf));
  cases.forEach((one, i) => {
    const summary = expected[i] as Summary;
    comparison.verdicts[summary.verdict] = (comparison.verdicts[summary.verdict] ?? 0) + 1;
    if (/^threw|internal_error/.test(summary.verdict)) comparison.differing.push(told(seed, one, by, summary.verdict));
    hosts.forEach(({ name }, place) => {
      const form = (text: string): string => (name === 'njs 0.7.9' ? unordered(text, undefined) : text);
      const found = asText(results[place]?.[i] as Summary);
      if (form(found) !== form(asText(summary)))
        comparison.differing.push(told(seed, one, by, `${name}: ${found}\nnot ${asText(summary)}`));
    });
  });
}

/** The default profile for JWTs alone: claims stay under their names there, and the usual header is not read as JSON. */
export const jwtDeployment = (): Promise<Deployment> =>
  deployment('JWTs alone', { ...neutralConfig('default'), formats: ['jwt'] }, {}, defaultPlaces);

/** Holds two builds against each other in each engine: what the one makes of requests without CATs, the other makes, too. */
export async function compareBuilds(
  seed: number,
  numbers: readonly number[],
  [one, other]: readonly [Deployment, Deployment],
  hosts: readonly FunctionHost[],
  comparison: Comparison,
): Promise<void> {
  const cases = numbers.map((number) => caseOf(seed, number, one.places)).filter(({ parts }) => !isOfCat(parts));
  const runs = cases.map(({ parts, store, now, random }) => ({ event: viewerRequestEvent(parts), store, now, random }));
  for (const host of hosts) {
    const [these, those] = [await host.run(one.file, runs), await host.run(other.file, runs)];
    cases.forEach((each, i) => {
      const summary = summaryOf(these[i] as HostResult);
      comparison.verdicts[summary.verdict] = (comparison.verdicts[summary.verdict] ?? 0) + 1;
      const [text, found] = [asText(summary), asText(summaryOf(those[i] as HostResult))];
      // Of two claims that cannot be used, the one that comes first in its own order gives each build its reason.
      if (unordered(text, undefined) !== unordered(found, undefined))
        comparison.differing.push(told(seed, each, other, `${host.name}: ${found}\nnot ${text}`));
    });
  }
}
