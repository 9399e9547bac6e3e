import type { FunctionName } from './functions-host.js';

// What a CloudFront Function does not have (developer guide, "JavaScript runtime 2.0 features"), and workerd has.
const hidden = [
  'fetch',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'navigator',
  'caches',
  'crypto',
  'WebSocket',
  'Map',
  'Set',
  'WeakMap',
  'WeakSet',
  'BigInt',
  'URL',
  'URLSearchParams',
  'structuredClone',
];

export class FunctionSourceError extends Error {
  readonly code = 'function_source';
  constructor(message: string) {
    super(message);
    this.name = 'FunctionSourceError';
  }
}

/**
 * Makes an ES module of a compiled function: its text is unchanged but for `import … from 'cloudfront'`, which becomes a
 * constant, so that every run can have its own copy of the top level, its own console and its own clock.
 */
export function wrapFunction(source: string, name: string): string {
  const body = source.replace(
    /(^|[;}\n])(\s*)import\s+([A-Za-z_$][\w$]*)\s+from\s*(['"])cloudfront\4\s*;?/,
    (_, before: string, space: string, local: string) => `${before}${space}const ${local} = __cloudfront;`,
  );
  if (/(^|[;}\n])\s*export\s*[{\w]/.test(body)) {
    throw new FunctionSourceError(`${name}: an export is left in the file; CloudFront would answer every viewer 503`);
  }
  if (/(^|[;}\n])\s*import\b\s*[\w${*'\x22]/.test(body)) {
    throw new FunctionSourceError(`${name}: only 'cloudfront' can be imported, as a default import`);
  }
  return `export function instantiate(console, __cloudfront, require, Date, ${hidden.join(', ')}) {
return (function () {
${body}
;return handler;
})();
}
`;
}

/** The worker that runs the wrapped functions and holds the KeyValueStore. Only the local edge calls it. */
export function workerScript(names: readonly FunctionName[]): string {
  const imports = names.map((name, i) => `import { instantiate as make${i} } from './${name}.mjs';`).join('\n');
  const table = names.map((name, i) => `${JSON.stringify(name)}: make${i}`).join(', ');
  return `import { createHash, createHmac } from 'node:crypto';
import querystring from 'node:querystring';
${imports}
const functions = { ${table} };
const hashes = ['md5', 'sha1', 'sha256'];
function known(make) {
  return (algorithm, ...rest) => {
    if (!hashes.includes(algorithm)) throw new TypeError('not supported algorithm: "' + algorithm + '"');
    return make(algorithm, ...rest);
  };
}
const modules = {
  crypto: { createHash: known(createHash), createHmac: known(createHmac) },
  querystring,
};
function require(name) {
  const module = modules[name];
  if (!module) throw new Error('Cannot find module "' + name + '"');
  return module;
}
async function allKeys(namespace) {
  const keys = [];
  let cursor;
  do {
    const page = await namespace.list(cursor ? { cursor } : {});
    for (const { name } of page.keys) keys.push(name);
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return keys;
}
function cloudfront(namespace, fault) {
  const failing = fault === undefined ? () => false
    : (key) => fault === 'error' || (fault.startsWith('error:') && key.startsWith(fault.slice(6)));
  const check = (key) => {
    if (typeof key !== 'string' || key === '') throw new TypeError('key must be a non-empty string');
    if (failing(key)) throw new Error('KeyValueStore internal error');
  };
  return {
    kvs: () => ({
      async get(key, options) {
        check(key);
        const value = await namespace.get(key);
        if (value === null) throw new Error('KeyNotFound');
        const format = options?.format ?? 'string';
        if (format === 'json') return JSON.parse(value);
        if (format === 'bytes') return Buffer.from(value, 'utf8');
        return value;
      },
      async exists(key) {
        check(key);
        return (await namespace.get(key)) !== null;
      },
      async meta() {
        check('m');
        return { creationDateTime: '', lastUpdatedDateTime: '', keyCount: (await allKeys(namespace)).length };
      },
    }),
  };
}
function clock(seconds) {
  const at = seconds === undefined ? Date.now() : Math.floor(seconds * 1000);
  return class extends Date {
    constructor(...parts) {
      if (parts.length === 0) super(at);
      else super(...parts);
    }
    static now() {
      return at;
    }
  };
}
async function run({ name, event, rawQuery, now, kvs }, env) {
  const logs = [];
  const log = (line) => { logs.push(String(line)); };
  const console = { log, error: log, warn: log, info: log, debug: log };
  Object.defineProperty(event.request, 'rawQueryString', { value: () => rawQuery, enumerable: false });
  try {
    const handler = functions[name](console, cloudfront(env.KVS, kvs), require, clock(now));
    const result = await handler(event);
    return { ok: true, result: result === undefined ? null : result, logs };
  } catch (error) {
    return { ok: false, error: String((error && error.stack) || error), logs };
  }
}
async function values(namespace, keys) {
  const found = [];
  for (let i = 0; i < keys.length; i += 50) {
    found.push(...(await Promise.all(keys.slice(i, i + 50).map((key) => namespace.get(key)))));
  }
  return found;
}
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    const body = await request.json();
    if (path === '/run') return Response.json(await run(body, env));
    if (path === '/kvs/get') return Response.json(await values(env.KVS, body));
    if (path === '/kvs/apply') {
      await Promise.all([
        ...body.puts.map(([key, value]) => env.KVS.put(key, value)),
        ...body.deletes.map((key) => env.KVS.delete(key)),
      ]);
      return Response.json({});
    }
    if (path === '/kvs/entries') {
      const keys = await allKeys(env.KVS);
      const found = await values(env.KVS, keys);
      return Response.json(keys.map((key, i) => [key, found[i]]));
    }
    return new Response('not found', { status: 404 });
  },
};
`;
}
