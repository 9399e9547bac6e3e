import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findEngine, nodeVmHost, repositoryRoot } from '../engine/index.js';
import { bestMeasure, costOfFunction, costOfHmac, type EdgeRequest, type Measure } from './edge-cost.js';
import { catTypical, everything, garbage, jwtTypical } from './edge-requests.js';
import type { BenchFigure } from './figure.js';

interface EdgeCase {
  readonly name: string;
  readonly request: EdgeRequest;
  /** The verdict that makes the measurement mean what its name says. */
  readonly verdict: 'passes' | 'refused';
  /** Build profiles that may serve, the first that exists is taken. */
  readonly profiles: readonly string[];
  readonly budget?: number;
  readonly what: string;
}

const cases: readonly EdgeCase[] = [
  {
    name: 'edge.catTypical.hmacUnits',
    request: catTypical,
    verdict: 'passes',
    profiles: ['default'],
    budget: 12,
    what: 'exp, nbf, catu prefix, catm, country; cti and session looked up in buckets of 50 revocations',
  },
  {
    name: 'edge.jwtTypical.hmacUnits',
    request: jwtTypical,
    verdict: 'passes',
    profiles: ['default'],
    budget: 10,
    what: 'the same policy as a JWT',
  },
  {
    name: 'edge.garbage.hmacUnits',
    request: garbage,
    verdict: 'refused',
    profiles: ['default'],
    budget: 3,
    what: 'a token-shaped path segment of 200 characters that is no token',
  },
  {
    name: 'edge.everything.hmacUnits',
    request: everything,
    verdict: 'passes',
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
  for (const { name, request, verdict, profiles, budget, what } of cases) {
    const file = compiledFunction(profiles);
    await mustBe(verdict, file, request, name);
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

/** A refusal costs less than a pass: a benchmark of the wrong verdict would flatter. */
async function mustBe(verdict: EdgeCase['verdict'], file: string, request: EdgeRequest, name: string): Promise<void> {
  const { event, store, now } = request;
  const [result] = await nodeVmHost().run(file, [{ event, now, store: { entries: store } }]);
  const passed = result?.result?.uri !== undefined;
  if (passed !== (verdict === 'passes')) {
    throw new Error(`${name}: the request should be ${verdict} but gave ${JSON.stringify(result).slice(0, 500)}`);
  }
}
