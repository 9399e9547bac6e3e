import { describe, expect, it } from 'vitest';
import { lambdaEventOf, lambdaResultOf, functionResultOf, type Comparable } from './comparing.js';
import { createGuard, type GuardConfig } from '../../edge/guard/index.js';
import { edgeSettings } from '../../scripts/build/lambda-plans.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema } from '../../scripts/config/functions-config.js';
import {
  functionHosts,
  viewerRequestEvent,
  type FunctionHost,
  type RequestParts,
  type StoreDouble,
} from '../../scripts/engine/index.js';
import { caseOf, deployments } from '../differential/differential.js';
import { eventOf, momentOf } from '../verdicts/asking.js';
import { neutralConfig } from '../verdicts/functions.js';
import { PATH, requestCases, storeEntries } from '../verdicts/requests.js';

const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20261120);

/** The store as the function reads it: a rejection is a fault, unless the store says that there is no such key. */
function readerOf({ entries, getFails, existsFails }: StoreDouble): (key: string) => Promise<string | undefined> {
  const fails = (faults: true | readonly string[] | undefined, key: string): boolean =>
    faults === true ||
    (faults ?? []).some((name) => (name.endsWith('*') ? key.startsWith(name.slice(0, -1)) : name === key));
  return (key) => {
    const value = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (value !== undefined ? fails(getFails, key) : fails(existsFails, key)) return Promise.reject(new Error('fault'));
    return Promise.resolve(value);
  };
}

interface Asked {
  readonly parts: RequestParts;
  readonly store: StoreDouble;
  /** Milliseconds. */
  readonly now: number;
  readonly random: number;
}

/** What the Lambda makes of a request whose keys and records all lie in a store. */
async function atLambda(config: GuardConfig, { parts, store, now, random }: Asked): Promise<Comparable> {
  const guard = createGuard(config, {
    read: readerOf(store),
    now: () => now,
    random: () => random,
    log: () => undefined,
  });
  return lambdaResultOf(await guard(lambdaEventOf(parts, 'origin-request')));
}

/** Whether two hosts did the same, but for what they are known to do each in its own way. */
function isSame(here: Comparable, there: Comparable | 'renewed', renews: boolean): boolean {
  // The Lambda renews nothing: where the function sends a renewed token, or fails to make one, it lets the request pass.
  if (there === 'renewed' || (renews && 'status' in there && there.reason === 'internal_error'))
    return 'target' in here;
  // It looks at a signature's spelling before anything else.
  if ('status' in here && 'status' in there && here.reason === 'bad_signature' && here.status === there.status)
    return /^(?:bad_signature|malformed_token|unknown_key|unsupported_algorithm)$/.test(there.reason);
  return JSON.stringify(here) === JSON.stringify(there);
}

// The engine whose verdicts count; V8 in its place takes some JSON that neither it nor the Lambda takes.
const host = (await functionHosts()).find(({ name }) => name === 'njs 0.8.9');
if (!host || host.missing)
  console.warn('Skipped: random requests against the compiled function; njs 0.8.9 is not here.');

describe('the table of verdicts', () => {
  const config: GuardConfig = {
    ...edgeSettings(functionPlan(functionsConfigSchema.parse(neutralConfig('full')))),
    eventType: 'origin-request',
    keys: [],
  };

  it('is what the Lambda says, too, and no origin sees a token', async () => {
    const differing: string[] = [];
    for (const one of requestCases) {
      const { request, viewer } = eventOf(one);
      const asked: Asked = {
        parts: {
          method: request.method,
          uri: request.uri,
          query: request.rawQueryString(),
          headers: Object.fromEntries(
            Object.entries(request.headers).map(([name, { value, multiValue }]) => [
              name,
              multiValue ? multiValue.map((line) => line.value) : value,
            ]),
          ),
          cookies: Object.entries(request.cookies).flatMap(([name, { value, multiValue }]) =>
            (multiValue ?? [{ value }]).map((line) => [name, line.value] as const),
          ),
          ip: viewer.ip,
        },
        store: { entries: storeEntries },
        now: momentOf(one) * 1000,
        random: 0.5,
      };
      const result = await atLambda(config, asked);
      const verdict = 'status' in result ? result.reason : 'admitted';
      if (verdict !== one.expected) differing.push(`${one.name}: ${verdict}, not ${one.expected}`);
      if ('target' in result && result.target !== (one.forwarded ?? PATH))
        differing.push(`${one.name}: the origin is asked for ${result.target}`);
      if ('target' in result && /eyJ|2D3|0YR|0oR/.test(JSON.stringify(result)))
        differing.push(`${one.name}: the origin sees a token`);
    }
    expect(differing).toEqual([]);
  });
});

describe.skipIf(!host || host.missing)('random requests', async () => {
  it.each((await deployments()).map((policy) => [policy.name, policy] as const))(
    'get from the Lambda what the compiled function gives, status, headers and body included: policy %s',
    async (_, policy) => {
      const config: GuardConfig = { ...edgeSettings(policy.plan), eventType: 'origin-request', keys: [] };
      const cases = Array.from({ length: 1500 }, (__, number) => caseOf(seed, number, policy.places));
      const results = await (host as FunctionHost).run(
        policy.file,
        cases.map(({ parts, store, now, random }) => ({ event: viewerRequestEvent(parts), store, now, random })),
      );
      const outcomes: Record<string, number> = {};
      const differing: string[] = [];
      for (const [i, one] of cases.entries()) {
        const result = results[i];
        if (!result) throw new Error('no result');
        const here = await atLambda(config, one);
        const there = functionResultOf(result, one.parts);
        outcomes['status' in here ? here.reason : 'forwarded'] =
          (outcomes['status' in here ? here.reason : 'forwarded'] ?? 0) + 1;
        if (!isSame(here, there, policy.plan.build.policy.renewalKid !== undefined))
          differing.push(
            [
              `case ${i} (PORTCULLIS_SEED=${seed})`,
              JSON.stringify(one.parts),
              JSON.stringify(here),
              JSON.stringify(there),
            ].join('\n'),
          );
      }
      expect(differing.slice(0, 2)).toEqual([]);
      expect(Object.keys(outcomes).length).toBeGreaterThan(15);
      expect(outcomes['forwarded']).toBeGreaterThan(100);
    },
  );
});
