import { describe, expect, it } from 'vitest';
import { createMemoryLedger } from './ledger/memory.js';
import type { Target } from './targets.js';
import { createRevoker, reconcile } from './writer.js';

const now = (): number => 1_800_000_000_000;
const ok = (): Promise<object> => Promise.resolve({});
const down = (): Promise<never> => Promise.reject(new Error('down'));
const store: Target = { name: 'main', kind: 'store', needsEntries: false, apply: ok };
const act = { by: 'test' };

describe('an announcement for a target that this process does not have', () => {
  it.each([
    ['waf', 'network-blocker'],
    ['drm', 'webhook'],
    ['ivs:abcd', 'ivs'],
  ] as const)('is left for who has it: %s', async (name, kind) => {
    const ledger = createMemoryLedger();
    const taken: string[] = [];
    const other: Target = { name, kind, needsEntries: true, apply: down };
    const network = { scope: 'network', id: '198.51.100.7/32', reason: 'test' } as const;
    await createRevoker({ ledger, targets: [store, other], now }).revoke([network], act);
    const here = await reconcile({ ledger, targets: [store], now });
    expect(here).toMatchObject({ jobs: 1, finished: 0, failed: {}, left: { [name]: 1 } });
    const apply: Target['apply'] = ({ entries }) => {
      taken.push(...entries.map(({ id }) => id));
      return ok();
    };
    const there = await reconcile({ ledger, targets: [store, { ...other, apply }], now });
    expect(there).toMatchObject({ jobs: 1, finished: 1, left: {} });
    expect(taken).toEqual([network.id]);
  });

  it('is dropped where it is a store that is gone, and left where the store is said to be elsewhere', async () => {
    const ledger = createMemoryLedger();
    const second: Target = { ...store, name: 'second', apply: down };
    await createRevoker({ ledger, targets: [store, second], now }).revoke(
      [{ scope: 'session', id: 'one', reason: 'test' }],
      act,
    );
    const kept = await reconcile({ ledger, targets: [store], elsewhere: ['second'], now });
    expect(kept).toMatchObject({ finished: 0, left: { second: 1 } });
    expect(await reconcile({ ledger, targets: [store], now })).toMatchObject({ finished: 1, left: {} });
  });

  it('of an earlier version is told by its name', async () => {
    const ledger = createMemoryLedger();
    const job = { by: 'x', at: 1, leaseUntil: 0, buckets: [], keys: [], refs: [] };
    await ledger.putJob({ ...job, id: 'a', pending: { waf: '' } });
    await ledger.putJob({ ...job, id: 'b', pending: { 'old name': '' } });
    expect(await reconcile({ ledger, targets: [store], now })).toMatchObject({
      jobs: 2,
      finished: 1,
      left: { waf: 1 },
    });
  });
});
