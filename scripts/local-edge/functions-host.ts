import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Miniflare } from 'miniflare';
import type { FunctionEvent } from './event.js';
import type { KvStorage } from './kvs-api.js';
import { workerScript, wrapFunction } from './worker.js';

export type FunctionName = 'viewer-request' | 'viewer-response';

export interface FunctionRun {
  readonly name: FunctionName;
  readonly event: FunctionEvent;
  /** Query string as sent, for `event.request.rawQueryString()`. */
  readonly rawQuery: string;
  /** Epoch seconds the function reads as the present. */
  readonly now?: number | undefined;
  /** See `SimulatedViewer.kvs`. */
  readonly kvs?: string | undefined;
}

export type FunctionOutcome = { readonly logs: readonly string[] } & (
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string }
);

export interface FunctionsHost {
  /** True when a compiled function of that name was found. */
  has(name: FunctionName): boolean;
  run(call: FunctionRun): Promise<FunctionOutcome>;
  /** The KeyValueStore that `cf.kvs()` reads: Miniflare KV. */
  readonly storage: KvStorage;
  close(): Promise<void>;
}

export interface FunctionsHostOptions {
  /** Folder of the compiled functions: `viewer-request.js`, and `viewer-response.js` if there is one. */
  readonly functionsFolder: string;
  /** Folder that keeps the KeyValueStore; absent: memory. */
  readonly kvsFolder?: string | undefined;
}

function signalListeners(): [NodeJS.Signals, NodeJS.SignalsListener][] {
  return (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).flatMap((signal) =>
    process.listeners(signal).map((listener): [NodeJS.Signals, NodeJS.SignalsListener] => [signal, listener]),
  );
}

/**
 * Runs compiled CloudFront Functions in workerd. Every run gets a fresh copy of the function's top level, as in
 * CloudFront, where nothing survives from one run to the next.
 */
export async function createFunctionsHost(options: FunctionsHostOptions): Promise<FunctionsHost> {
  const sources: Partial<Record<FunctionName, string>> = {};
  for (const name of ['viewer-request', 'viewer-response'] as const) {
    try {
      sources[name] = await readFile(join(options.functionsFolder, `${name}.js`), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  const foreign = signalListeners();
  const miniflare = new Miniflare({
    modulesRoot: '/',
    modules: [
      { type: 'ESModule', path: '/worker.mjs', contents: workerScript(Object.keys(sources) as FunctionName[]) },
      ...Object.entries(sources).map(([name, source]) => ({
        type: 'ESModule' as const,
        path: `/${name}.mjs`,
        contents: wrapFunction(source, name),
      })),
    ],
    compatibilityDate: '2025-05-01',
    compatibilityFlags: ['nodejs_compat'],
    host: '127.0.0.1',
    kvNamespaces: ['KVS'],
    ...(options.kvsFolder === undefined ? {} : { kvPersist: options.kvsFolder }),
  });
  // Miniflare would end the process by itself at a signal, and with another exit code. What ends it is for the caller to say.
  for (const [signal, listener] of signalListeners()) {
    if (!foreign.some(([, known]) => known === listener)) process.off(signal, listener);
  }
  let address: URL;
  try {
    address = await miniflare.ready;
  } catch (error) {
    await miniflare.dispose().catch(() => undefined);
    throw new Error(`The compiled functions in ${options.functionsFolder} do not start in workerd: ${String(error)}`, {
      cause: error,
    });
  }

  async function call(path: string, body: unknown): Promise<unknown> {
    const response = await fetch(new URL(path, address), { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`workerd answered ${response.status}: ${await response.text()}`);
    return response.json();
  }

  const storage: KvStorage = {
    async get(key) {
      const [value] = (await call('/kvs/get', [key])) as (string | null)[];
      return value ?? undefined;
    },
    async put(key, value) {
      await call('/kvs/apply', { puts: [[key, value]], deletes: [] });
    },
    async delete(key) {
      await call('/kvs/apply', { puts: [], deletes: [key] });
    },
    async entries() {
      return (await call('/kvs/entries', null)) as [string, string][];
    },
    async apply(batch) {
      await call('/kvs/apply', batch);
    },
  };

  return {
    has: (name) => sources[name] !== undefined,
    run: async (run) => (await call('/run', run)) as FunctionOutcome,
    storage,
    close: () => miniflare.dispose(),
  };
}
