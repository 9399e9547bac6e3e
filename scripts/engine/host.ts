import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import { cloudfrontModuleSource, driverSource, njsLoopSource } from './driver.js';
import type { FunctionEvent, FunctionRequest, FunctionResponse } from './event.js';
import { EngineMissingError, findEngine, njsVersions, type NjsEngine } from './njs.js';

/** A KeyValueStore as data. */
export interface StoreDouble {
  readonly entries: Readonly<Record<string, string>>;
  /** Keys whose `get` rejects as a fault would; `true` for all; a name ending in `*` stands for a prefix. */
  readonly getFails?: true | readonly string[];
  /** The same for `exists`. */
  readonly existsFails?: true | readonly string[];
}

/** One request to run through the function. */
export interface HostCase {
  readonly event: FunctionEvent;
  /** The store this case sees; else the one of the options. */
  readonly store?: StoreDouble;
  /** What `Date.now()` answers, in milliseconds; else the one of the options. */
  readonly now?: number;
  /** What `Math.random()` answers: one number, or draw after draw with the last one repeated. Default 0.5. */
  readonly random?: number | readonly number[];
}

export interface HostOptions {
  readonly store?: StoreDouble;
  /** Milliseconds; default 1,800,000,000,000 (15 January 2027). */
  readonly now?: number;
  /** How long one case may take before it counts as hung, in milliseconds. Default 20,000. */
  readonly timeout?: number;
}

/** One read of the KeyValueStore, in order. */
export interface StoreRead {
  readonly operation: 'get' | 'exists';
  readonly key: string;
  readonly format?: string;
}

/** What the function did with a case: `result` or `error`, never both. */
export interface HostResult {
  /** The request passed on or the response given; `null` when the function returned nothing. */
  readonly result?: (FunctionRequest & FunctionResponse) | null;
  /** What was thrown out of the handler; `name` is `EngineCrash` when the engine itself died or hung on the case. */
  readonly error?: { readonly name: string; readonly message: string };
  /** Lines given to `console.log`, uncut. */
  readonly logs: readonly string[];
  readonly reads: readonly StoreRead[];
}

/** Somewhere a compiled function can run. */
export interface FunctionHost {
  /** `njs 0.7.9`, `njs 0.8.9` or `node-vm`. */
  readonly name: string;
  /** Why this host cannot be used here; tests then skip with `describe.skipIf(host.missing)`. */
  readonly missing?: string;
  run(compiledFile: string, cases: readonly HostCase[], options?: HostOptions): Promise<HostResult[]>;
}

const defaultNow = 1_800_000_000_000;
const defaultRandom = 0.5;
const emptyStore: StoreDouble = { entries: {} };

/** njs frees no memory before it ends, so a long table is cut into runs of this many cases. */
const casesPerProcess = 1_000;

/**
 * Every host of this machine, `njs 0.7.9`, `njs 0.8.9` and `node-vm`, always three. An engine that cannot be had is
 * announced once on the console and marked `missing`; with `CI=true` it is not marked, and its `run` fails instead.
 *
 * @example
 * const hosts = await functionHosts();
 * describe.each(hosts)('$name', (host) => {
 *   it.skipIf(host.missing)('refuses a missing token', async () => {
 *     const [answer] = await host.run(file, [{ event: viewerRequestEvent({ uri: '/live/a.m3u8' }) }]);
 *     expect(answer?.result?.statusCode).toBe(401);
 *   });
 * });
 */
export async function functionHosts(): Promise<FunctionHost[]> {
  const hosts: FunctionHost[] = [];
  for (const version of njsVersions) {
    try {
      hosts.push(njsHost(await findEngine(version)));
    } catch (error) {
      if (!(error instanceof EngineMissingError)) throw error;
      const demanded = process.env['CI'] === 'true';
      console.warn(`${demanded ? 'ENGINE MISSING' : 'ENGINE TESTS SKIPPED'}: ${error.message}`);
      const host = { name: `njs ${version}`, run: () => Promise.reject(error) };
      hosts.push(demanded ? host : { ...host, missing: error.message });
    }
  }
  hosts.push(nodeVmHost());
  return hosts;
}

export function njsHost(engine: NjsEngine): FunctionHost {
  return { name: `njs ${engine.version}`, run: (file, cases, options) => runInNjs(engine, file, cases, options) };
}

export function nodeVmHost(): FunctionHost {
  return { name: 'node-vm', run: runInNodeVm };
}

/** The case as the driver reads it: plain JSON, the store by its number, the raw query beside the event. */
interface DriverCase {
  readonly event: FunctionEvent;
  readonly query: string | undefined;
  readonly store: number;
  readonly now: number;
  readonly random: readonly number[];
}

/** Stores are often shared by thousands of cases: each is written once, and named by its place. */
function forDriver(
  cases: readonly HostCase[],
  options: HostOptions,
): { readonly stores: StoreDouble[]; readonly runs: DriverCase[] } {
  const places = new Map<StoreDouble, number>();
  const runs = cases.map((one): DriverCase => {
    const store = one.store ?? options.store ?? emptyStore;
    if (!places.has(store)) places.set(store, places.size);
    const random = one.random ?? defaultRandom;
    return {
      event: one.event,
      query: one.event.request.rawQueryString?.(),
      store: places.get(store)!,
      now: one.now ?? options.now ?? defaultNow,
      random: typeof random === 'number' ? [random] : random,
    };
  });
  return { stores: [...places.keys()], runs };
}

/**
 * Runs a compiled function in an njs engine against any number of events, one engine process per thousand of them.
 *
 * @param compiledFile A single-file function: `import cf from 'cloudfront'`, `require('crypto')`, top-level `handler`.
 * @returns one result per case, in order. Nothing is thrown for what the function does, only for a file that cannot start.
 */
export async function runInNjs(
  engine: NjsEngine,
  compiledFile: string,
  cases: readonly HostCase[],
  options: HostOptions = {},
): Promise<HostResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-njs-'));
  try {
    const source = readFileSync(compiledFile, 'utf8');
    writeFileSync(join(folder, 'cloudfront'), `${cloudfrontModuleSource}\nexport default { kvs: kvs };\n`);
    const results: HostResult[] = [];
    let at = 0;
    while (at < cases.length) {
      const batch = cases.slice(at, at + casesPerProcess);
      const done = await runBatch(engine, source, folder, batch, options);
      results.push(...done);
      at += done.length;
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Answers as many results as the engine gave before it ended; at least one, for a crash is the result of its case. */
async function runBatch(
  engine: NjsEngine,
  source: string,
  folder: string,
  cases: readonly HostCase[],
  options: HostOptions,
): Promise<HostResult[]> {
  const { stores, runs } = forDriver(cases, options);
  const files = {
    __STORES__: join(folder, 'stores.jsonl'),
    __CASES__: join(folder, 'cases.jsonl'),
    __RESULTS__: join(folder, 'results.jsonl'),
  };
  let loop = njsLoopSource;
  for (const [mark, file] of Object.entries(files)) loop = loop.replace(mark, file);
  writeFileSync(files.__STORES__, jsonLines(stores));
  writeFileSync(files.__CASES__, jsonLines(runs));
  rmSync(files.__RESULTS__, { force: true });
  const main = join(folder, 'main.js');
  writeFileSync(main, `${source}\n${driverSource}\n${loop}`);
  const ended = await start(engine, folder, main, files.__RESULTS__, options.timeout ?? 20_000);
  const lines = existsSync(files.__RESULTS__) ? readFileSync(files.__RESULTS__, 'utf8').split('\n').slice(0, -1) : [];
  if (!existsSync(files.__RESULTS__)) {
    throw new Error(`njs ${engine.version} cannot start the function: ${ended.output}`);
  }
  const results = lines.map((line) => JSON.parse(line) as HostResult);
  if (results.length < cases.length) {
    results.push({ error: { name: 'EngineCrash', message: ended.output }, logs: [], reads: [] });
  }
  return results;
}

function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join('\n');
}

/** Starts the engine and watches its results grow: a case that adds nothing for `timeout` milliseconds is hung. */
function start(
  engine: NjsEngine,
  folder: string,
  main: string,
  results: string,
  timeout: number,
): Promise<{ output: string }> {
  return new Promise((settle) => {
    const [program, ...first] = engine.command;
    let hung = false;
    let size = -1;
    const child = execFile(
      program,
      [...first, '-p', folder, main],
      { encoding: 'utf8', maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        clearInterval(watch);
        const why = hung ? `no answer within ${timeout} ms` : (error?.signal ?? 'it ended without an answer');
        const said = `${stdout}${stderr}`.trim().slice(0, 2_000);
        settle({ output: said === '' ? why : said });
      },
    );
    const watch = setInterval(() => {
      const grown = existsSync(results) ? readFileSync(results).length : -1;
      if (grown === size) {
        hung = true;
        child.kill('SIGKILL');
      }
      size = grown;
    }, timeout);
  });
}

type Driver = (handler: unknown, run: DriverCase, store: StoreDouble) => Promise<string>;

/** The same cases in Node's own engine: quick, and a second opinion; it forgives syntax that CloudFront refuses. */
export async function runInNodeVm(
  compiledFile: string,
  cases: readonly HostCase[],
  options: HostOptions = {},
): Promise<HostResult[]> {
  const source = readFileSync(compiledFile, 'utf8').replace(
    /(^|[;}\n])\s*import\s+([\w$]+)\s+from\s*['"]cloudfront['"]\s*;?/,
    '$1var $2 = cloudfrontModule;',
  );
  const inner = compileFunction(
    `${driverSource}
     ${cloudfrontModuleSource}
     const cloudfrontModule = { kvs: kvs };
     const clock = Object.create(Date, { now: { value: globalThis.portcullisClock } });
     const numbers = Object.create(Math, { random: { value: globalThis.portcullisRandom } });
     const log = { log: globalThis.portcullisLog };
     return [globalThis.portcullisDriver, load(cloudfrontModule, clock, numbers, log)];`,
    ['globalThis', 'load'],
  ) as (shared: Record<string, unknown>, load: (...given: unknown[]) => unknown) => [Driver, unknown];
  const load = compileFunction(
    `${source}\n;return handler;`,
    ['cloudfrontModule', 'Date', 'Math', 'console', 'require'],
    {
      filename: compiledFile,
    },
  ) as (...given: unknown[]) => unknown;
  const [driver, handler] = inner({}, (...given) => load(...given, requireOfTheRuntime));
  const { stores, runs } = forDriver(cases, options);
  const results: HostResult[] = [];
  for (const run of runs) {
    // A copy of its own, as the engine gets one: a function that changes its event must not change the table.
    const copy = JSON.parse(JSON.stringify(run)) as DriverCase;
    results.push(JSON.parse(await driver(handler, copy, stores[run.store]!)) as HostResult);
  }
  return results;
}

const nodeRequire = createRequire(import.meta.url);

/** The runtime has these two modules and no other. */
function requireOfTheRuntime(name: string): unknown {
  if (name !== 'crypto' && name !== 'querystring') throw new Error(`Cannot find module "${name}"`);
  return nodeRequire(`node:${name}`);
}
