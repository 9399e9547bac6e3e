/**
 * The program that runs inside the engine, appended to the compiled function so that it sees its top-level `handler`. It
 * is written in the language both engine versions read, and shared by njs and Node's vm, so that a difference between
 * hosts is a difference between engines.
 *
 * It provides `portcullisDriver(run)`: `run` is one line of input, parsed; the answer is a promise of one line of output.
 */
export const driverSource = `
;(function () {
  var state = { store: null, reads: [], logs: [], now: 0, random: [], draws: 0 };
  globalThis.portcullisStore = {
    read: function (operation, key, format) {
      var store = state.store;
      state.reads.push(format === undefined ? { operation: operation, key: key } : { operation: operation, key: key, format: format });
      if (typeof key !== 'string' || key === '') throw new Error('a key must be a string that is not empty');
      if (Buffer.from(key).length > 512) throw new Error('a key has at most 512 bytes');
      if (matches(operation === 'get' ? store.getFails : store.existsFails, key)) throw new Error('the store does not answer');
      var present = Object.prototype.hasOwnProperty.call(store.entries, key);
      if (operation === 'exists') return present;
      if (!present) throw new Error('KeyNotFound');
      var value = store.entries[key];
      if (format === 'json') return JSON.parse(value);
      if (format === 'bytes') return Buffer.from(value);
      return value;
    },
    meta: function () {
      var names = Object.keys(state.store.entries);
      return { creationDateTime: '2026-01-01T00:00:00.000Z', lastUpdatedDateTime: '2026-01-01T00:00:00.000Z', keyCount: names.length };
    }
  };
  function matches(patterns, key) {
    if (patterns === true) return true;
    if (!patterns) return false;
    return patterns.some(function (pattern) {
      return pattern === key || (pattern[pattern.length - 1] === '*' && key.startsWith(pattern.slice(0, -1)));
    });
  }
  function describe(thrown) {
    if (thrown !== null && typeof thrown === 'object' && thrown.message !== undefined) {
      return { name: String(thrown.name), message: String(thrown.message) };
    }
    return { name: typeof thrown, message: String(thrown) };
  }
  function prepare(run, store) {
    state.store = store;
    state.reads = [];
    state.logs = [];
    state.now = run.now;
    state.random = run.random;
    state.draws = 0;
    if (run.query !== undefined) {
      run.event.request.rawQueryString = function () {
        return run.query;
      };
    }
  }
  function output(outcome) {
    outcome.logs = state.logs;
    outcome.reads = state.reads;
    return JSON.stringify(outcome);
  }
  globalThis.portcullisClock = function () {
    return state.now;
  };
  globalThis.portcullisRandom = function () {
    var last = state.random.length - 1;
    var draw = state.random[state.draws < last ? state.draws : last];
    state.draws++;
    return draw;
  };
  globalThis.portcullisLog = function (line) {
    state.logs.push(String(line));
  };
  globalThis.portcullisDriver = async function (handler, run, store) {
    prepare(run, store);
    try {
      var result = await handler(run.event);
      return output({ result: result === undefined ? null : result });
    } catch (error) {
      return output({ error: describe(error) });
    }
  };
})();
`;

/** What `import cf from 'cloudfront'` gives: the store double, its reads asynchronous as in the runtime. */
export const cloudfrontModuleSource = `
function answer(work) {
  try {
    return Promise.resolve(work());
  } catch (error) {
    return Promise.reject(error);
  }
}
function kvs() {
  return {
    get: function (key, options) {
      var format = (options && options.format) || 'string';
      return answer(function () { return globalThis.portcullisStore.read('get', key, format); });
    },
    exists: function (key) {
      return answer(function () { return globalThis.portcullisStore.read('exists', key); });
    },
    meta: function () {
      return answer(function () { return globalThis.portcullisStore.meta(); });
    }
  };
}
`;

/** Runs in njs only: takes the stores and the cases from files, writes one line per case as soon as it is known. */
export const njsLoopSource = `
;(function () {
  Date.now = globalThis.portcullisClock;
  Math.random = globalThis.portcullisRandom;
  console.log = globalThis.portcullisLog;
  var fs = require('fs');
  async function loop() {
    var stores = fs.readFileSync('__STORES__', 'utf8').split('\\n').map(function (line) { return JSON.parse(line); });
    var cases = fs.readFileSync('__CASES__', 'utf8').split('\\n');
    var out = fs.openSync('__RESULTS__', 'w');
    for (var i = 0; i < cases.length; i++) {
      var run = JSON.parse(cases[i]);
      var line = await globalThis.portcullisDriver(handler, run, stores[run.store]);
      fs.writeSync(out, line + '\\n');
    }
    fs.closeSync(out);
  }
  loop();
})();
`;
