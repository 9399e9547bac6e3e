import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FunctionEvent, NjsEngine } from '../engine/index.js';

const run = promisify(execFile);

/**
 * A function that loops for ever must not hold the benchmark up, in milliseconds. The environment lies in the engine's memory
 * before all else: one of another length moves everything, and with it how much copying takes, by one part in eighty.
 */
const limit = { timeout: 180_000, env: { PATH: process.env['PATH'] } };

/** How a cost was counted. */
export type Measure = 'instructions' | 'time';

/** The two loop lengths whose difference is taken, so that the engine's start-up falls out. */
const loops: Record<Measure, { readonly few: number; readonly many: number; readonly rounds: number }> = {
  instructions: { few: 20, many: 120, rounds: 1 },
  time: { few: 400, many: 8_400, rounds: 5 },
};

/** Instructions where valgrind is present (they do not depend on what else the machine does), else time. */
export async function bestMeasure(): Promise<Measure> {
  try {
    await run('valgrind', ['--version']);
    return 'instructions';
  } catch {
    return 'time';
  }
}

/** What one call of a compiled function is given. */
export interface EdgeRequest {
  readonly event: FunctionEvent;
  readonly store: Readonly<Record<string, string>>;
  /** Milliseconds: what the clock says. */
  readonly now: number;
}

/**
 * The cost of one HMAC-SHA-256 over 200 bytes with a key of 32: the unit of the design's budgets.
 *
 * @returns instructions, or seconds.
 */
export function costOfHmac(engine: NjsEngine, measure: Measure): Promise<number> {
  const setUp = `var crypto = require('crypto'), key = Buffer.alloc(32, 7), text = Buffer.alloc(200, 65);`;
  return costOfSnippet(engine, measure, setUp, `crypto.createHmac('sha256', key).update(text).digest();`);
}

/** The cost of a statement, its set-up and the loop around it taken off: for finding out what an idiom costs. */
export function costOfSnippet(engine: NjsEngine, measure: Measure, setUp: string, work: string): Promise<number> {
  const loop = (body: string): string => `${setUp}\nfor (var i = 0; i < __TIMES__; i++) { ${body} }`;
  return difference(engine, measure, { program: loop(work), emptyProgram: loop('') });
}

/**
 * The cost of one call of a compiled function: decoding the event from JSON, which is the loop's and not the function's,
 * is taken off. The store answers at once from memory; parsing a record asked for as JSON counts, as the platform does it.
 */
export function costOfFunction(
  engine: NjsEngine,
  measure: Measure,
  compiledFile: string,
  request: EdgeRequest,
): Promise<number> {
  const { rawQueryString, ...rest } = request.event.request;
  const event = JSON.stringify({ ...request.event, request: rest });
  const loop = (body: string): string => `
;(function () {
  var event = ${JSON.stringify(event)}, query = ${JSON.stringify(rawQueryString?.() ?? '')};
  Date.now = function () { return ${request.now}; };
  console.log = function () {};
  function rawQueryString() { return query; }
  async function loop(times) {
    for (var i = 0; i < times; i++) {
      var given = JSON.parse(event);
      given.request.rawQueryString = rawQueryString;
      ${body}
    }
  }
  loop(__TIMES__);
})();`;
  const source = readFileSync(compiledFile, 'utf8');
  return difference(engine, measure, {
    program: `${source}\n${loop('await handler(given);')}`,
    emptyProgram: `${source}\n${loop('')}`,
    modules: { cloudfront: storeModule(request.store) },
  });
}

/** `cf.kvs()` at the least cost that keeps its contract: promises, rejection of a missing key, JSON on request. */
function storeModule(entries: Readonly<Record<string, string>>): string {
  return `var entries = ${JSON.stringify(entries)};
var store = {
  get: function (key, options) {
    var value = entries[key];
    if (value === undefined) return Promise.reject(new Error('KeyNotFound'));
    return Promise.resolve(options !== undefined && options.format === 'json' ? JSON.parse(value) : value);
  },
  exists: function (key) { return Promise.resolve(entries[key] !== undefined); }
};
export default { kvs: function () { return store; } };
`;
}

interface Programs {
  /** Source with `__TIMES__` in the place of the loop's length. */
  readonly program: string;
  /** The same loop without the work. */
  readonly emptyProgram: string;
  readonly modules?: Readonly<Record<string, string>>;
}

async function difference(engine: NjsEngine, measure: Measure, programs: Programs): Promise<number> {
  const { few, many } = loops[measure];
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  try {
    for (const [name, text] of Object.entries(programs.modules ?? {})) writeFileSync(join(folder, name), text);
    const perCall = async (program: string): Promise<number> => {
      const short = await cost(engine, measure, folder, program.replace('__TIMES__', String(few)));
      const long = await cost(engine, measure, folder, program.replace('__TIMES__', String(many)));
      return (long - short) / (many - few);
    };
    return (await perCall(programs.program)) - (await perCall(programs.emptyProgram));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function cost(engine: NjsEngine, measure: Measure, folder: string, program: string): Promise<number> {
  const file = join(folder, 'main.js');
  writeFileSync(file, program);
  const command = [...engine.command, '-p', folder, file];
  if (measure === 'instructions') return instructions(command, folder);
  const times: number[] = [];
  for (let round = 0; round < loops.time.rounds; round++) times.push(await seconds(command));
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

async function instructions(command: readonly string[], folder: string): Promise<number> {
  const report = join(folder, 'callgrind.out');
  await run('valgrind', ['--tool=callgrind', `--callgrind-out-file=${report}`, ...command], limit);
  const total = /^(?:totals|summary): (\d+)/m.exec(readFileSync(report, 'utf8'));
  if (total === null) throw new Error('valgrind wrote no total of instructions');
  return Number(total[1]);
}

async function seconds(command: readonly string[]): Promise<number> {
  const [program = '', ...rest] = command;
  const start = process.hrtime.bigint();
  await run(program, rest, limit);
  return Number(process.hrtime.bigint() - start) / 1e9;
}
