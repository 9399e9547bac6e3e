import { expect, test } from 'vitest';
import { reasons } from '@portcullis/tokens/core/reasons';
import { functionHosts } from '../../scripts/engine/index.js';
import {
  compare,
  compareBuilds,
  compareEngines,
  defaultDeployment,
  deployments,
  jwtDeployment,
  type Comparison,
} from './differential.js';

/** Another run looks elsewhere with `PORTCULLIS_SEED=<number>`; `PORTCULLIS_CASE` runs one case of it again. */
const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20261121);
const only = process.env['PORTCULLIS_CASE'];
const total = Number(process.env['PORTCULLIS_CASES'] ?? 100_000);
const atOnce = 2_500;

const hosts = (await functionHosts()).filter((host) => !host.missing && host.name !== 'node-vm');
const policies = await deployments();

test(`${total} random tokens and requests: the function in njs, the core in Node and verify say the same`, async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  const began = Date.now();
  if (only !== undefined) for (const policy of policies) await compare(seed, [Number(only)], policy, hosts, comparison);
  else
    for (let from = 0, turn = 0; from < total && comparison.differing.length === 0; from += atOnce, turn++) {
      const numbers = Array.from({ length: Math.min(atOnce, total - from) }, (_, i) => from + i);
      // Every case in the newer engine, every fourth in the older one, too.
      const engines = hosts.filter(({ name }) => name !== 'njs 0.7.9' || turn % 4 === 0);
      await compare(seed, numbers, policies[Math.floor(turn / 2) % policies.length]!, engines, comparison);
    }
  const counts = Object.entries(comparison.verdicts).sort(([, a], [, b]) => b - a);
  console.log(
    `${total} cases in ${Math.round((Date.now() - began) / 1000)} s, ${comparison.verified} of them in verify, too: ` +
      counts.map(([verdict, count]) => `${verdict} ${count}`).join(', '),
  );
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  if (only !== undefined || total < 100_000) return;
  // It must not come to prove that everything is malformed.
  const rare = reasons.filter((reason) => reason !== 'internal_error' && (comparison.verdicts[reason] ?? 0) < 3);
  expect(rare).toEqual([]);
  for (const verdict of ['admitted', 'to be renewed', 'own answer', 'answered', 'let pass: expired'])
    expect([verdict, comparison.verdicts[verdict] ?? 0]).toEqual([verdict, expect.toSatisfy((n: number) => n > 20)]);
  expect(comparison.verdicts['admitted']).toBeGreaterThan(total / 10);
  expect(comparison.verified).toBeGreaterThan(total / 3);
});

test('20,000 more: the default function says the same in every engine', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  const policy = await defaultDeployment();
  for (let from = 0; from < 20_000 && comparison.differing.length === 0; from += atOnce)
    await compareEngines(
      seed,
      Array.from({ length: atOnce }, (_, i) => from + i),
      policy,
      hosts,
      comparison,
    );
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(Object.keys(comparison.verdicts).length).toBeGreaterThan(20);
});

test('20,000 more: a build for JWTs alone says the same as the one for both formats', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  const builds = [await defaultDeployment(), await jwtDeployment()] as const;
  for (let from = 0; from < 20_000 && comparison.differing.length === 0; from += atOnce)
    await compareBuilds(
      seed,
      Array.from({ length: atOnce }, (_, i) => from + i),
      builds,
      hosts,
      comparison,
    );
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(Object.keys(comparison.verdicts).length).toBeGreaterThan(15);
});

test('5,000 answers: viewer-response renews the same in every engine', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  for (const [turn, policy] of policies.entries())
    for (let from = 0; from < 2500 && comparison.differing.length === 0; from += atOnce)
      await compareEngines(
        seed + turn,
        Array.from({ length: atOnce }, (_, i) => from + i),
        policy,
        hosts,
        comparison,
        true,
      );
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(Object.keys(comparison.verdicts).sort()).toEqual(['redirected', 'renewed', 'response']);
  expect(comparison.verdicts['renewed']).toBeGreaterThan(500);
  expect(comparison.verdicts['redirected']).toBeGreaterThan(50);
});
