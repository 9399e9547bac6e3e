import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyRequest } from '@portcullis/tokens';
import { readViewer, viewerHeaders } from '../../scripts/local-edge/viewer.js';
import {
  viewerRequestEvent,
  viewerResponseEvent,
  type FunctionEvent,
  type FunctionHost,
  type HostCase,
  type HostResult,
  type RequestParts,
} from '../../scripts/engine/index.js';
import { compileFunction, type FunctionName } from '../../scripts/build/functions.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema } from '../../scripts/config/functions-config.js';
import { NOW } from '../verdicts/requests.js';
import { ConfigOf, nodePolicy, type BuildName } from './builds.js';
import type { ConformanceCase } from './case.js';
import { nodeKeys, storeEntries } from './store.js';

/** What one host made of a case. */
export interface Decided {
  readonly verdict: string;
  readonly result?: HostResult;
  /**
   * What viewer-response made of it: given the request as viewer-request got it, as that left it, and as the viewer sent
   * it, without CloudFront's own headers. AWS says which one it is in words that allow all three.
   */
  readonly responses?: readonly HostResult[];
}

const folder = mkdtempSync(join(tmpdir(), 'portcullis-conformance-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const compiled = new Map<string, Promise<string>>();

/** A compiled function, made when it is first asked for. */
function fileOf(build: BuildName, name: FunctionName): Promise<string> {
  const file = join(folder, `${build}-${name}.js`);
  const made =
    compiled.get(file) ??
    (async () => {
      const { build: plan, features } = functionPlan(functionsConfigSchema.parse(ConfigOf[build]));
      writeFileSync(file, await compileFunction(name, plan, features));
      return file;
    })();
  compiled.set(file, made);
  return made;
}

const momentOf = (one: ConformanceCase): number => NOW + (one.asked.later ?? 0);
const addressOf = (one: ConformanceCase): string => readViewer(one.asked.viewer ?? '').ip;
const buildOf = (one: ConformanceCase): BuildName => one.asked.build ?? 'everything';

/** The headers as they reach a function: the viewer's, and CloudFront's over them. */
function headersAtEdge(one: ConformanceCase): Record<string, string[]> {
  const own = viewerHeaders(readViewer(one.asked.viewer ?? ''));
  const headers: Record<string, string[]> = { host: [one.asked.host ?? 'video.example.com'] };
  for (const [name, value] of one.headers) {
    const lower = name.toLowerCase();
    if (!(lower in own)) (headers[lower] ??= []).push(value);
  }
  for (const [name, value] of Object.entries(own)) if (value !== undefined) headers[name] = [value];
  return headers;
}

function partsOf(one: ConformanceCase): RequestParts {
  const { cookie = [], ...headers } = headersAtEdge(one);
  const { method = 'GET' } = one.asked;
  return { uri: one.target, method, headers, cookies: cookie.join(';'), ip: addressOf(one) };
}

function hostCase(one: ConformanceCase, event: FunctionEvent): HostCase {
  const { random } = one.asked;
  return { event, now: momentOf(one) * 1000, ...(random === undefined ? {} : { random }) };
}

function verdictOf({ result, error }: HostResult): string {
  if (error || !result) return `threw ${error?.name}: ${error?.message}`;
  if (!result.statusCode) return 'admitted';
  return result.headers?.['x-portcullis-reason']?.value ?? `status ${result.statusCode}`;
}

/** Runs cases in one host, one engine process for each build and function. */
export async function runCases(host: FunctionHost, cases: readonly ConformanceCase[]): Promise<Map<string, Decided>> {
  const decided = new Map<string, Decided>();
  const store = { store: { entries: storeEntries } };
  for (const build of Object.keys(ConfigOf) as BuildName[]) {
    const own = cases.filter((one) => buildOf(one) === build);
    const results = await host.run(
      await fileOf(build, 'viewer-request'),
      own.map((one) => hostCase(one, viewerRequestEvent(partsOf(one)))),
      store,
    );
    own.forEach((one, i) => decided.set(one.name, { verdict: verdictOf(results[i]!), result: results[i]! }));
    const renewable = own.filter((one, i) => one.renewal && !results[i]!.result?.statusCode);
    if (renewable.length === 0) continue;
    const responses = await host.run(
      await fileOf(build, 'viewer-response'),
      renewable.flatMap((one) => {
        const original = viewerResponseEvent(partsOf(one));
        const { request, response } = original;
        const left = decided.get(one.name)!.result!.result!;
        const query = Object.entries(left.querystring).map(([name, { value }]) => `${name}=${value}`);
        const modified: FunctionEvent = {
          ...original,
          request: { ...left, rawQueryString: () => query.join('&') },
          ...(response ? { response: { ...response } } : {}),
        };
        const sent = Object.entries(request.headers).filter(([name]) => !name.startsWith('cloudfront-'));
        const bare: FunctionEvent = { ...original, request: { ...request, headers: Object.fromEntries(sent) } };
        return [original, modified, bare].map((event) => hostCase(one, event));
      }),
      store,
    );
    renewable.forEach((one, i) =>
      decided.set(one.name, { ...decided.get(one.name)!, responses: responses.slice(3 * i, 3 * i + 3) }),
    );
  }
  return decided;
}

/** The verdict of `verifyRequest`, where it knows the case's policy. */
export async function inNode(one: ConformanceCase): Promise<string | undefined> {
  const policy = nodePolicy[buildOf(one)];
  if (!policy || one.asked.notInNode) return undefined;
  const dice = Math.random;
  Math.random = () => one.asked.random ?? 0.5;
  try {
    const { reason } = await verifyRequest(
      { url: one.target, method: one.asked.method ?? 'GET', headers: headersAtEdge(one), address: addressOf(one) },
      {
        keys: nodeKeys,
        read: (key) => Promise.resolve(storeEntries[key]),
        clock: () => momentOf(one) * 1000,
        ...policy,
      },
    );
    return reason ?? 'admitted';
  } finally {
    Math.random = dice;
  }
}
