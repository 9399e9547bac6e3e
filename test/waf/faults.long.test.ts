import { afterEach, describe, expect, test } from 'vitest';
import { createWafApi, type WafApi, type WafFault } from '../../scripts/local-edge/wafv2-api.js';
import { createMemoryRecords } from '../../waf-rules/address-records.js';
import { applyRuleSet, makePlan, rollBack, type PublishOptions } from '../../waf-rules/apply.js';
import { createWafClient } from '../../waf-rules/client.js';
import { createAddressBlocker } from '../../waf-rules/ip-sets.js';
import { buildRuleSet } from '../../waf-rules/presets.js';
import { createMemoryRollout } from '../../waf-rules/rollout-record.js';

const apis: WafApi[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
});

const old = buildRuleSet({ preset: 'vod', mint: { path: '/token' } });
const wanted = buildRuleSet({
  preset: 'strict',
  countries: { block: ['KP'] },
  exceptions: { partners: ['11.1.1.0/24'] },
});
const patience = { random: () => 0.5, sleep: () => new Promise<void>((done) => setImmediate(done)), tries: 8 };
const names = (api: WafApi): string[] =>
  ((api.find('webacl', 'portcullis')?.['Rules'] ?? []) as { Name: string }[]).map((rule) => rule.Name);
const expected = (set: typeof old): string[] => set.rules.map((rule) => `portcullis-${rule.id}`);

async function setUp(): Promise<{
  api: WafApi;
  options: PublishOptions;
  failAt: (call: number | undefined, fault?: WafFault) => void;
}> {
  let at: number | undefined;
  let fault: WafFault = { error: 'AccessDeniedException' };
  let seen = 0;
  const api = await createWafApi({
    faults: () => {
      if (at === undefined) return undefined;
      seen++;
      return seen >= at && (fault.after ? seen === at : true) ? fault : undefined;
    },
  });
  apis.push(api);
  const options = {
    client: createWafClient({ endpoint: api.endpoint }),
    records: createMemoryRollout(),
    by: 'tester',
    patience,
  };
  return {
    api,
    options,
    failAt(call, kind = { error: 'AccessDeniedException' }) {
      at = call;
      fault = kind;
      seen = 0;
    },
  };
}

describe('an apply that is cut off at any call', () => {
  const faults: [string, WafFault][] = [
    ['every call refused from there on', { error: 'AccessDeniedException' }],
    ['the answer lost', { error: 'reset', after: true }],
  ];
  test.each(faults)(
    '%s: the old rules or the new, never a mixture, and the next run completes',
    async (_name, fault) => {
      for (let call = 1; ; call++) {
        const { api, options, failAt } = await setUp();
        await applyRuleSet(old, options);
        failAt(call, fault);
        const failed = await applyRuleSet(wanted, options).then(
          () => false,
          () => true,
        );
        const found = names(api);
        expect([expected(old), expected(wanted)]).toContainEqual(found);
        failAt(undefined);
        await applyRuleSet(wanted, options);
        expect(names(api)).toEqual(expected(wanted));
        expect((await makePlan(wanted, options)).plan).toMatchObject({ changes: [], drift: [] });
        await rollBack(wanted, options);
        expect(names(api)).toEqual(expected(old));
        await api.close();
        if (!failed && call > 45) break;
        if (call > 120) throw new Error('an apply should not need so many calls');
      }
    },
  );
});

describe('the address sets under constant trouble', () => {
  test('adding, renewing, removing and expiring by eight writers, faults everywhere: the sets are what the records say', async () => {
    let random = 12345;
    const dice = (sides: number): number => {
      random = (random * 1103515245 + 12345) & 0x7fffffff;
      return Math.floor((random / 0x7fffffff) * sides);
    };
    const troubles = [
      'ThrottlingException',
      'WAFInternalErrorException',
      'WAFUnavailableEntityException',
      'reset',
      'WAFOptimisticLockException',
    ];
    let calm = false;
    const api = await createWafApi({
      faults: () =>
        !calm && dice(6) === 0 ? { error: troubles[dice(troubles.length)] as string, after: dice(2) === 0 } : undefined,
    });
    apis.push(api);
    const records = createMemoryRecords();
    let now = 1_800_000_000;
    const writers = Array.from({ length: 8 }, () =>
      createAddressBlocker({
        client: createWafClient({ endpoint: api.endpoint }),
        prefix: 'portcullis',
        records,
        setSize: 40,
        now: () => now,
        patience: { random: Math.random, sleep: (ms) => new Promise((done) => setTimeout(done, ms / 200)), tries: 400 },
      }),
    );
    const address = (): string => `11.0.${dice(4)}.${dice(128) * 2}`;
    for (let round = 0; round < 25; round++) {
      await Promise.all(
        writers.map(async (writer) => {
          const kind = dice(10);
          if (kind < 6) {
            await writer.add(
              Array.from({ length: 1 + dice(12) }, () => ({ address: address(), until: now + 10 + dice(100) })),
            );
          } else if (kind < 8) await writer.remove([address(), address()]);
          else await writer.expire(now);
        }),
      );
      now += 5 + dice(10);
    }
    calm = true;
    await writers[0]?.expire(now);
    const live = (await records.all())
      .filter((each) => each.until === undefined || each.until > now)
      .map((each) => each.key);
    const found = new Set<string>();
    for (let number = 1; ; number++) {
      const set = api.find('ipset', `portcullis-blocked-v4-${number}`);
      if (!set) break;
      for (const each of set['Addresses'] as string[]) found.add(each);
    }
    expect([...found].sort()).toEqual(live.sort());
    expect((await writers[0]?.status())?.missing).toEqual([]);
    expect((await writers[0]?.status())?.unrecorded).toEqual([]);
  });
});
