import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findEngine, nodeVmHost, repositoryRoot } from '../engine/index.js';
import { bestMeasure, costOfFunction, costOfHmac, type EdgeRequest, type Measure } from './edge-cost.js';
import { catTypical, catWithId, everything, forged, garbage, jwtTypical } from './edge-requests.js';
import type { BenchFigure } from './figure.js';

interface EdgeCase {
  readonly name: string;
  readonly request: EdgeRequest;
  /** The reason of refusal that makes the measurement mean what its name says; absent: the request passes. */
  readonly refusal?: string;
  /** Build profiles that may serve, the first that exists is taken. */
  readonly profiles: readonly string[];
  readonly budget?: number;
  readonly what: string;
}

const cases: readonly EdgeCase[] = [
  {
    name: 'edge.catTypical.hmacUnits',
    request: catTypical,
    profiles: ['default'],
    budget: 12,
    what: 'exp, nbf, catu prefix, catm, country; the session looked up in a bucket of 50 revocations',
  },
  {
    name: 'edge.jwtTypical.hmacUnits',
    request: jwtTypical,
    profiles: ['default'],
    budget: 10,
    what: 'the same policy as a JWT',
  },
  {
    name: 'edge.catWithId.hmacUnits',
    request: catWithId,
    profiles: ['default'],
    what: 'the typical CAT with a cti, looked up in a second bucket of 50',
  },
  {
    name: 'edge.garbage.hmacUnits',
    request: garbage,
    refusal: 'malformed_token',
    profiles: ['default'],
    budget: 3,
    what: 'a path segment of 200 characters that begins as a CAT and is none',
  },
  {
    name: 'edge.forged.hmacUnits',
    request: forged,
    refusal: 'bad_signature',
    profiles: ['default'],
    what: 'the typical CAT with a MAC under another key',
  },
  {
    name: 'edge.everything.hmacUnits',
    request: everything,
    profiles: ['full'],
    what: 'every claim a CloudFront Function can decide, in one CAT',
  },
];

const methods: Record<Measure, string> = {
  instructions: 'instructions on njs 0.8.9 counted by callgrind, start-up taken off',
  time: 'median time of 5 runs on njs 0.8.9, start-up taken off',
};

/** What a request costs in the compiled viewer-request function, as multiples of one HMAC-SHA-256 over 200 bytes. */
export async function bench(): Promise<BenchFigure[]> {
  const engine = await findEngine('0.8.9');
  const measure = await bestMeasure();
  const hmac = await costOfHmac(engine, measure);
  const figures: BenchFigure[] = [];
  for (const { name, request, refusal, profiles, budget, what } of cases) {
    const file = compiledFunction(profiles);
    await mustAnswer(refusal, file, request, name);
    const value = (await costOfFunction(engine, measure, file, request)) / hmac;
    const note = `${what}; ${methods[measure]}`;
    const figure = { name, value: Math.round(value * 100) / 100, unit: 'hmac', note };
    figures.push(budget === undefined ? figure : { ...figure, budget });
  }
  return figures;
}

function compiledFunction(profiles: readonly string[]): string {
  const files = profiles.map((profile) => join(repositoryRoot(), 'dist', 'functions', profile, 'viewer-request.js'));
  const file = files.find((each) => existsSync(each));
  if (file === undefined) throw new Error(`${files.join(' and ')} not found: run npm run build first`);
  return file;
}

/** A refusal costs less than a pass, and another refusal less than the one meant: the wrong verdict would flatter. */
async function mustAnswer(
  refusal: string | undefined,
  file: string,
  request: EdgeRequest,
  name: string,
): Promise<void> {
  const { event, store, now } = request;
  const [result] = await nodeVmHost().run(file, [{ event, now, store: { entries: store } }]);
  const passed = result?.result?.uri !== undefined;
  const right = refusal === undefined ? passed : !passed && String(result?.result?.body).includes(refusal);
  if (!right) {
    const expected = refusal ?? 'to pass';
    throw new Error(`${name}: expected ${expected}, but the function gave ${JSON.stringify(result).slice(0, 500)}`);
  }
}
