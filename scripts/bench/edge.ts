import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileFunction } from '../build/functions.js';
import { functionPlan } from '../build/plan.js';
import { functionsConfigSchema, type FunctionsConfigInput, type ProfileName } from '../config/functions-config.js';
import { findEngine, nodeVmHost, repositoryRoot } from '../engine/index.js';
import { bestMeasure, costOfFunction, costOfHmac, type EdgeRequest, type Measure } from './edge-cost.js';
import { catTypical, catWithId, everything, forged, garbage, jwtTypical } from './edge-requests.js';
import type { BenchFigure } from './figure.js';

interface EdgeCase {
  readonly name: string;
  readonly request: EdgeRequest;
  /** The reason of refusal that makes the measurement mean what its name says; absent: the request passes. */
  readonly refusal?: string;
  /** The build that serves: a profile as `npm run build` leaves it, or a configuration that is compiled for this. */
  readonly build: ProfileName | FunctionsConfigInput;
  readonly budget?: number;
  readonly what: string;
}

const cases: readonly EdgeCase[] = [
  {
    name: 'edge.catTypical.hmacUnits',
    request: catTypical,
    build: 'default',
    budget: 12,
    what: 'exp, nbf, catu prefix, catm, country; the session looked up in a bucket of 50 revocations',
  },
  {
    name: 'edge.jwtTypical.hmacUnits',
    request: jwtTypical,
    build: 'default',
    budget: 10,
    what: 'the same policy as a JWT',
  },
  {
    name: 'edge.jwtAlone.hmacUnits',
    request: jwtTypical,
    build: { profile: 'default', formats: ['jwt'] },
    what: 'the same in a build of the default profile for JWTs alone',
  },
  {
    name: 'edge.catWithId.hmacUnits',
    request: catWithId,
    build: 'default',
    what: 'the typical CAT with a cti, looked up in a second bucket of 50',
  },
  {
    name: 'edge.garbage.hmacUnits',
    request: garbage,
    refusal: 'malformed_token',
    build: 'default',
    budget: 3,
    what: 'a path segment of 200 characters that begins as a CAT and is none',
  },
  {
    name: 'edge.forged.hmacUnits',
    request: forged,
    refusal: 'bad_signature',
    build: 'default',
    what: 'the typical CAT with a MAC under another key',
  },
  {
    name: 'edge.everything.hmacUnits',
    request: everything,
    build: 'full',
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
  for (const { name, request, refusal, build, budget, what } of cases) {
    const file = await compiledFunction(build);
    await mustAnswer(refusal, file, request, name);
    const value = (await costOfFunction(engine, measure, file, request)) / hmac;
    const note = `${what}; ${statSync(file).size.toLocaleString('en')} bytes; ${methods[measure]}`;
    const figure = { name, value: Math.round(value * 100) / 100, unit: 'hmac', note };
    figures.push(budget === undefined ? figure : { ...figure, budget });
  }
  return figures;
}

async function compiledFunction(build: EdgeCase['build']): Promise<string> {
  if (typeof build !== 'string') {
    const plan = functionPlan(functionsConfigSchema.parse(build));
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'viewer-request.js');
    writeFileSync(file, await compileFunction('viewer-request', plan.build, plan.features));
    return file;
  }
  const file = join(repositoryRoot(), 'dist', 'functions', build, 'viewer-request.js');
  if (!existsSync(file)) throw new Error(`${file} not found: run npm run build first`);
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
