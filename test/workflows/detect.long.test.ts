import { describe, expect, it } from 'vitest';
import type { Ledger } from '../../revoker/ledger/ledger.js';
import { closeFixtures, crashes, fixtureOf, rows, runThrough, undisturbed, withoutNotices } from './detect-cases.js';

closeFixtures();

describe('whatever breaks on the way, the end is the same', () => {
  const wanted = undisturbed();

  it.each(crashes.filter(({ when }) => when === 'before'))(
    'a function dies $when "$state", twice',
    async ({ state, when }) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when, times: 2 }])).toBe('succeeded');
      expect(await fixture.finalState()).toEqual(wanted.state);
    },
  );

  // What is caught on purpose (stores, WAF) does not end an execution; the others do.
  it.each(crashes.filter(({ state }) => !/stores|WAF|Nobody/.test(state)))(
    'a function dies $when "$state" until the execution gives up, and it is started again',
    async ({ state, when }) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when, times: 100 }])).toBe('failed');
      const failures = fixture.notices.filter(({ type }) => type === 'Portcullis detect failed');
      expect(failures).toHaveLength(1);
      fixture.notices.splice(fixture.notices.indexOf(failures[0] as (typeof failures)[number]), 1);
      expect(await runThrough(fixture)).toBe('succeeded');
      expect(await fixture.finalState()).toEqual(wanted.state);
    },
  );

  it.each(['Certain: stores', 'Certain: WAF', 'Approved: stores', 'Approved: WAF'])(
    '"%s" fails for good, the run goes on, and the reconciliation finishes it',
    async (state) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when: 'before', times: 100 }])).toBe('succeeded');
      const after = await fixture.run('reconcile', {}, { name: 'reconcile-1' });
      expect(after.outcome).toBe('succeeded');
      expect(withoutNotices(await fixture.finalState())).toEqual(wanted.withoutNotices());
    },
  );

  /** A ledger that dies at its n-th write; every later call of the same invocation fails too. */
  function dyingLedger(at: number): (ledger: Ledger) => Ledger {
    let writes = 0;
    const writers = new Set<keyof Ledger>(['write', 'putJob', 'deleteJob']);
    return (ledger) =>
      new Proxy(ledger, {
        get(target, name: keyof Ledger) {
          const method = target[name] as (...given: unknown[]) => unknown;
          if (!writers.has(name)) return method.bind(target);
          return (...given: unknown[]) => {
            writes += 1;
            if (writes === at)
              return Promise.reject(Object.assign(new Error('the process was killed'), { name: 'TimeoutError' }));
            return method.apply(target, given);
          };
        },
      });
  }

  it.each(Array.from({ length: 14 }, (_, i) => i + 1))('the database is lost at write %i of a step', async (at) => {
    const fixture = await fixtureOf({ rows, wrapLedger: dyingLedger(at) });
    expect(await runThrough(fixture)).toBe('succeeded');
    // Announcements of the step that died may be open still: their lease has to run out.
    fixture.clock.seconds += 300;
    await fixture.run('reconcile', {}, { name: 'reconcile-1' });
    expect(withoutNotices(await fixture.finalState())).toEqual(wanted.withoutNotices());
  });

  it('the KeyValueStore throttles, drops connections and faults', async () => {
    let call = 0;
    const fixture = await fixtureOf({
      rows,
      kvsFaults: () => {
        call += 1;
        if (call === 1) return { kind: 'throttle' };
        if (call === 3 || call === 8) return { kind: 'drop', when: call === 3 ? 'before' : 'after' };
        return call === 6 ? { kind: 'error', code: 'InternalServerException' } : undefined;
      },
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    await fixture.run('reconcile', {}, { name: 'reconcile-1' });
    expect(withoutNotices(await fixture.finalState())).toEqual(wanted.withoutNotices());
  });
});
