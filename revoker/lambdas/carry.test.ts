import { describe, expect, it } from 'vitest';
import { RevokerError, type RevokerErrorCode } from '../errors.js';
import { createMemoryLedger } from '../ledger/memory.js';
import type { Target } from '../targets.js';
import { createRevoker } from '../writer.js';
import { carry, servesStores } from './carry.js';
import { deferred } from './deferred.js';
import { silent } from './observe.js';

const now = (): number => 1_800_000_000_000;

const target = (name: string, apply: Target['apply']): Target => ({ name, kind: 'store', needsEntries: false, apply });
const failing = (name: string, code: RevokerErrorCode): Target =>
  target(name, () => Promise.reject(new RevokerError(code, `Store ${name} says ${code}.`)));

async function carried(targets: readonly Target[]): Promise<{ readonly done: string[]; readonly fault: Error }> {
  const ledger = createMemoryLedger();
  await createRevoker({ ledger, targets: targets.map(deferred), now }).revoke(
    [{ scope: 'session', id: 'one', reason: 'test' }],
    { by: 'test' },
  );
  const done: string[] = [];
  const healthy = target('healthy', () => {
    done.push('healthy');
    return Promise.resolve({});
  });
  const all = targets.map((one) => (one.name === 'healthy' ? healthy : one));
  const error: unknown = await carry({ ledger, targets: all, serves: servesStores, now })({}, silent).catch(
    (reason: unknown) => reason,
  );
  return { done, fault: error as Error };
}

const healthy = target('healthy', () => Promise.resolve({}));

describe('carrying announced work to its targets', () => {
  it.each(['store_access_denied', 'store_full'] as const)(
    'fails at once with what no repetition mends (%s), after every target was tried',
    async (code) => {
      const { done, fault } = await carried([failing('broken', code), healthy]);
      expect(done).toEqual(['healthy']);
      expect(fault).toMatchObject({ name: 'PermanentFault', message: `broken: ${code}: Store broken says ${code}.` });
    },
  );

  it('asks for another attempt as long as one target may get better', async () => {
    const { done, fault } = await carried([
      failing('full', 'store_full'),
      failing('away', 'store_unavailable'),
      healthy,
    ]);
    expect(done).toEqual(['healthy']);
    expect(fault).toMatchObject({ name: 'TransientFault' });
    expect(fault.message).toMatch(/full: .*; away: /);
  });
});
