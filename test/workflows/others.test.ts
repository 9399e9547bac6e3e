import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createRevoker } from '../../revoker/writer.js';
import { committed, tasksOf } from './interpreter.js';
import { closeDatabase, workflowFixture, type FixtureOptions, type WorkflowFixture } from './workflow-fixture.js';

const open: WorkflowFixture[] = [];
async function fixtureOf(options: FixtureOptions = {}): Promise<WorkflowFixture> {
  const fixture = await workflowFixture(options);
  open.push(fixture);
  return fixture;
}
afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.close();
});
afterAll(closeDatabase);

/** Every task of a workflow, its function killed after it did its work and before it answered. */
const stepsOf = (name: 'expire' | 'reconcile' | 'rotate-key'): { state: string; when: 'before' | 'after' }[] =>
  tasksOf(committed(name).States)
    .map(([state]) => state)
    .filter((state) => state !== 'Report the fault')
    .map((state) => ({ state, when: 'after' }));

async function revoked(fixture: WorkflowFixture): Promise<void> {
  const { ledger, targets, clock } = fixture;
  const revoker = createRevoker({ ledger, targets, now: () => clock.seconds * 1000 });
  await revoker.revoke(
    [
      { scope: 'session', id: 'short', reason: 'test', until: clock.seconds + 60 },
      { scope: 'network', id: '192.88.99.7/32', reason: 'test', until: clock.seconds + 60 },
      { scope: 'session', id: 'long', reason: 'test', until: clock.seconds + 6000 },
      { scope: 'network', id: '192.31.196.0/24', reason: 'test' },
    ],
    { by: 'test' },
  );
}

describe('the expiry workflow', () => {
  it.each([{ state: 'none', when: 'before' as const }, ...stepsOf('expire')])(
    'ends what is over, everywhere, and nothing else; a function dies $when "$state"',
    async (crash) => {
      const fixture = await fixtureOf();
      await revoked(fixture);
      expect(fixture.pairs.size).toBe(2);
      fixture.clock.seconds += 61;
      const execution = await fixture.run('expire', {}, { crashes: [{ ...crash, times: 2 }] });
      expect(execution.outcome).toBe('succeeded');
      const states = (await fixture.entries()).map(({ id, state }) => [id, state]);
      expect(states).toEqual([
        ['192.31.196.0/24', 'active'],
        ['192.88.99.7/32', 'expired'],
        ['long', 'active'],
        ['short', 'expired'],
      ]);
      expect(fixture.pairs.size).toBe(1);
      expect(fixture.blocked()).toEqual(['192.31.196.0/24']);
      expect(await fixture.ledger.jobs()).toEqual([]);
    },
  );

  it('is silent when nothing is over', async () => {
    const fixture = await fixtureOf();
    await revoked(fixture);
    expect(await fixture.run('expire', {})).toMatchObject({ outcome: 'succeeded' });
    expect(fixture.notices).toEqual([]);
    expect(fixture.pairs.size).toBe(2);
  });
});

describe('the reconciliation workflow', () => {
  it.each([{ state: 'none', when: 'before' as const }, ...stepsOf('reconcile')])(
    'puts back what a store lost and takes away what it should not have; a function dies $when "$state"',
    async (crash) => {
      const fixture = await fixtureOf();
      await revoked(fixture);
      const wanted = [...fixture.pairs];
      const [lost] = [...fixture.pairs.keys()];
      const { store } = fixture;
      await store.update(
        { puts: new Map([['r8191', ',AAAAAAA'], ['k:by-hand', '{"alg":"HS256","k":"x"}']]), deletes: [lost as string] },
        (await store.describe()).etag,
      ); // prettier-ignore
      const execution = await fixture.run('reconcile', {}, { crashes: [{ ...crash, times: 2 }] });
      expect(execution.outcome).toBe('succeeded');
      const after = new Map(fixture.pairs);
      // A key record that the ledger does not know is somebody's; it is only counted.
      expect(after.get('k:by-hand')).toBeDefined();
      after.delete('k:by-hand');
      expect([...after].sort()).toEqual(wanted.sort());
      if (crash.state !== 'Compare' && crash.state !== 'Repair') {
        expect(fixture.notices).toMatchObject([{ type: 'Portcullis reconcile done', detail: { differences: 2 } }]);
      }
    },
  );

  it("puts back what the WAF's address sets lost, though nothing was announced", async () => {
    const fixture = await fixtureOf();
    await revoked(fixture);
    await fixture.emptySets();
    expect(fixture.blocked()).toEqual([]);
    expect(await fixture.run('reconcile', {})).toMatchObject({ outcome: 'succeeded' });
    expect(fixture.blocked()).toEqual(['192.31.196.0/24', '192.88.99.7/32']);
    expect(fixture.notices).toMatchObject([{ type: 'Portcullis reconcile done', detail: { differences: 1 } }]);
  });

  it('changes nothing and is silent where all is well', async () => {
    const fixture = await fixtureOf();
    expect(await fixture.run('reconcile', {})).toMatchObject({ outcome: 'succeeded' });
    await revoked(fixture);
    const execution = await fixture.run('reconcile', {});
    expect(execution.outcome).toBe('succeeded');
    expect(execution.path).not.toContain('Repair');
    expect(fixture.notices).toEqual([]);
  });
});

describe('the key rotation workflow', () => {
  const input = { tokenSeconds: 600, edgeSeconds: 1 };
  const about = { by: 'test', reason: 'first key' };

  async function withFirstKey(): Promise<WorkflowFixture> {
    const fixture = await fixtureOf();
    await fixture.keyring.add({ kid: 'first', iss: ['https://play.example.tv'], paths: ['/live'] }, about);
    await fixture.keyring.sign('first', { ...about, tokenSeconds: 600 });
    return fixture;
  }

  it.each([{ state: 'none', when: 'before' as const }, ...stepsOf('rotate-key')])(
    'replaces the key once, and keeps the old one until its last token is dead; a function dies $when "$state"',
    async (crash) => {
      const fixture = await withFirstKey();
      // The interpreter does not wait; the moment it would wait for comes when the old key may go.
      const invoke = fixture.services.invoke.bind(fixture.services);
      const states: string[][] = [];
      (fixture.services as { invoke: typeof invoke }).invoke = async (name, payload) => {
        if (name === 'RetireKey') fixture.clock.seconds += 1000;
        const answer = await invoke(name, payload);
        if (name !== 'Report')
          states.push(
            (await fixture.keyring.list())
              .map(({ kid, state }) => `${kid === 'first' ? 'first' : 'next'} ${state}`)
              .sort(),
          );
        return answer;
      };
      const execution = await fixture.run('rotate-key', input, { crashes: [{ ...crash, times: 2 }] });
      expect(execution.outcome).toBe('succeeded');
      const distinct = states.filter((state, i) => i === 0 || state.join() !== states[i - 1]?.join());
      expect(distinct).toEqual([
        ['first signing', 'next published'],
        ['first retiring', 'next signing'],
        ['first retired', 'next signing'],
      ]);
      const [, kid] = [...(await fixture.keyring.list())]
        .sort((a, b) => (a.kid === 'first' ? -1 : b.kid === 'first' ? 1 : 0))
        .map((key) => key.kid);
      expect((await fixture.keyring.signingKey())?.kid).toBe(kid);
      expect([...fixture.pairs.keys()]).toEqual([`k:${kid}`]);
      expect(JSON.parse(fixture.pairs.get(`k:${kid}`) ?? '')).toMatchObject({
        iss: ['https://play.example.tv'],
        paths: ['/live'],
      });
      expect(await fixture.ledger.jobs()).toEqual([]);
      expect(fixture.notices).toHaveLength(1);
      expect(JSON.stringify([fixture.notices, fixture.logs])).not.toContain((await fixture.keyring.signingKey())?.k);
    },
  );

  it('does not retire a key whose tokens may be alive', async () => {
    const fixture = await withFirstKey();
    const execution = await fixture.run('rotate-key', input);
    expect(execution.outcome).toBe('failed');
    expect((await fixture.keyring.list()).find(({ kid }) => kid === 'first')?.state).toBe('retiring');
    fixture.clock.seconds += 1000;
    expect(await fixture.run('rotate-key', input)).toMatchObject({ outcome: 'succeeded' });
    expect((await fixture.keyring.list()).map(({ state }) => state).sort()).toEqual(['retired', 'signing']);
  });

  it('is done once when it is executed again under its name, also after a later rotation', async () => {
    const fixture = await withFirstKey();
    await fixture.run('rotate-key', input);
    fixture.clock.seconds += 1000;
    await fixture.run('rotate-key', input);
    await fixture.run('rotate-key', input, { name: 'run-2' });
    const before = (await fixture.keyring.signingKey())?.kid;
    fixture.clock.seconds += 1000;
    await fixture.run('rotate-key', input);
    await fixture.run('rotate-key', input, { name: 'run-2' });
    expect((await fixture.keyring.signingKey())?.kid).toBe(before);
    expect((await fixture.keyring.list()).map(({ state }) => state).sort()).toEqual(['retired', 'retired', 'signing']);
  });

  it('makes the first key where there is none', async () => {
    const fixture = await fixtureOf();
    expect(await fixture.run('rotate-key', input)).toMatchObject({ outcome: 'succeeded' });
    expect((await fixture.keyring.list()).map(({ state }) => state)).toEqual(['signing']);
  });
});
