import { expect, test } from 'vitest';
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

/** Another run looks elsewhere with `PORTCULLIS_SEED=<number>`. */
const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20261120);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const hosts = (await functionHosts()).filter((host) => !host.missing && host.name !== 'node-vm');

/** How many kinds of verdict there were: the tests would prove little if everything came to be malformed. */
const kindsOf = (comparison: Comparison): number => Object.keys(comparison.verdicts).length;

test('2,000 random requests get the same verdict from the full function, the core and verify', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  for (const policy of await deployments()) await compare(seed, numbers(1000), policy, hosts, comparison);
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(comparison.verified).toBeGreaterThan(500);
  expect(comparison.verdicts['admitted']).toBeGreaterThan(200);
  expect(kindsOf(comparison)).toBeGreaterThan(25);
});

test('2,000 random requests get the same verdict from the default function in every engine', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  await compareEngines(seed, numbers(2000), await defaultDeployment(), hosts, comparison);
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(comparison.verdicts['admitted']).toBeGreaterThan(100);
  expect(kindsOf(comparison)).toBeGreaterThan(15);
});

test('a build for JWTs alone says the same of 1,000 random requests without CATs as the one for both formats', async () => {
  const comparison: Comparison = { verdicts: {}, verified: 0, differing: [] };
  const builds = [await defaultDeployment(), await jwtDeployment()] as const;
  await compareBuilds(seed, numbers(2000), builds, hosts, comparison);
  expect(comparison.differing.slice(0, 3)).toEqual([]);
  expect(comparison.verdicts['admitted']).toBeGreaterThan(100);
  expect(kindsOf(comparison)).toBeGreaterThan(15);
});
