// The recipient against CTA-5007-B and the RFCs under it, case by case, in both engines, in Node's vm and in `verify`:
//
//   npx vitest run --project unit test/conformance
//
// Expected results are the standards', never what the code happens to do. A table is a file in `cases/`.
import { beforeAll, describe, expect, test } from 'vitest';
import { functionHosts } from '../../scripts/engine/index.js';
import { expectAnswer, expectForwarded, expectLog, expectRenewal } from './expectations.js';
import { claimNames } from './case.js';
import { cases } from './cases/index.js';
import { inNode, runCases, type Decided } from './run.js';

const hosts = await functionHosts();
const named = cases.map((one) => [one.name, one] as const);

describe('the tables', () => {
  test('hold at least 400 cases, each under a name of its own that begins with its section', () => {
    expect(cases.length).toBeGreaterThanOrEqual(400);
    const names = cases.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(names.filter((name) => !/^(CTA-5007-B|RFC \d{4}|Portcullis) [\w.]+/.test(name))).toEqual([]);
  });

  test.each(claimNames)('accept, reject and malform %s', (claim) => {
    const kinds = new Set(cases.filter((one) => one.claim === claim).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['accept', 'malformed', 'reject']);
  });
});

describe.each(hosts)('in $name', (host) => {
  let decided: Map<string, Decided>;
  beforeAll(async () => {
    if (!host.missing) decided = await runCases(host, cases);
  });
  test.skipIf(host.missing).each(named)('%s', (_, one) => {
    if (one.asked.notInVm && host.name === 'node-vm') return;
    const { verdict, result, responses } = decided.get(one.name)!;
    expect(verdict).toBe(one.expected);
    expectForwarded(one, result!);
    expectAnswer(one, result!);
    expectLog(one, result!);
    expectRenewal(one, result!, responses);
  });
});

describe('in verify on Node', () => {
  test.each(named)('%s', async (_, one) => {
    const verdict = await inNode(one);
    if (verdict !== undefined) expect(verdict).toBe(one.expected);
  });
});
