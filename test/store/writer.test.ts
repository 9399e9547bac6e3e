import { afterEach, describe, expect, it } from 'vitest';
import { driftOf } from '../../revoker/store/projection.js';
import { reconcile } from '../../revoker/writer.js';
import type { KvsFault } from '../../scripts/local-edge/kvs-api.js';
import { storeFixture, type StoreFixture } from './store-fixture.js';

let fixture: StoreFixture;
afterEach(() => fixture.close());

const act = { by: 'operator' };

/** What differs between the store and the ledger, in counts. */
async function drift({ store, ledger, now }: StoreFixture): Promise<Record<string, number>> {
  const found = await driftOf(store, [], { ledger, now, records: () => Promise.resolve(null) });
  return { missing: found.missing.length, surplus: found.surplus.length, different: found.different.length };
}
const none = { missing: 0, surplus: 0, different: 0 };

describe.each([
  ['a ledger in DynamoDB', true],
  ['a ledger in memory', false],
])('revoking, with %s', (_, database) => {
  it('refuses what is revoked, in every scope the edge looks up, and nothing else', async () => {
    fixture = await storeFixture({ database });
    const { revoker, read } = fixture;
    await revoker.revoke(
      [
        { scope: 'token', id: 'AAECAw', reason: 'leaked' },
        { scope: 'session', id: 'c2Vzc2lvbg', reason: 're-broadcast' },
        { scope: 'content', id: 'match-7', reason: 'rights' },
        { scope: 'subject-content', id: 'alice\nmatch-8', reason: 'rights' },
        { scope: 'blocklist', id: 'AQ', reason: 'load' },
      ],
      act,
    );
    expect(await read('token', 'AAECAw')).toBe('revoked');
    expect(await read('session', 'c2Vzc2lvbg')).toBe('revoked');
    expect(await read('content', 'match-7')).toBe('revoked');
    expect(await read('subject-content', 'alice\nmatch-8')).toBe('revoked');
    expect(await read('blocklist', 'AQ')).toBe('revoked');
    expect(await read('session', 'AAECAw')).toBe('');
    expect(await read('content', 'match-8')).toBe('');
    expect(await drift(fixture)).toEqual(none);
  });

  it('kills the tokens a subject got up to the moment, and not those after it', async () => {
    fixture = await storeFixture({ database });
    const { revoker, read, clock } = fixture;
    await revoker.revoke([{ scope: 'subject', id: 'alice', cutoff: clock.seconds, reason: 'shared password' }], act);
    expect(await read('subject', 'alice', clock.seconds - 1)).toBe('revoked');
    expect(await read('subject', 'alice', clock.seconds)).toBe('revoked');
    expect(await read('subject', 'alice')).toBe('revoked');
    expect(await read('subject', 'alice', clock.seconds + 1)).toBe('');
    await revoker.revoke(
      [{ scope: 'subject', id: 'bob', cutoff: clock.seconds, remint: true, reason: 'entitlements changed' }],
      act,
    );
    expect(await read('subject', 'bob', clock.seconds)).toBe('expired');
    expect(await read('subject', 'bob', clock.seconds + 1)).toBe('');
  });

  it('keeps who, when, why, until and evidence, and the history of an entry', async () => {
    fixture = await storeFixture({ database });
    const { revoker, ledger, clock } = fixture;
    const ref = { scope: 'session', id: 'one' } as const;
    const until = clock.seconds + 3600;
    await revoker.revoke([{ ...ref, reason: 'first', until, evidence: { score: 0.97 } }], { by: 'ann' });
    clock.seconds += 10;
    await revoker.lift([ref], { by: 'bob', reason: 'mistake' });
    clock.seconds += 10;
    await revoker.revoke([{ ...ref, reason: 'again' }], { by: 'ann' });
    expect(await ledger.get(ref)).toMatchObject({ state: 'active', by: 'ann', reason: 'again', version: 3 });
    expect((await ledger.get(ref))?.history).toEqual([
      { at: 1_800_000_000, by: 'ann', action: 'revoked', reason: 'first', until },
      { at: 1_800_000_010, by: 'bob', action: 'lifted', reason: 'mistake' },
      { at: 1_800_000_020, by: 'ann', action: 'revoked', reason: 'again' },
    ]);
  });

  it('lifts a mistake and gives its bytes back', async () => {
    fixture = await storeFixture({ database });
    const { revoker, read, pairs } = fixture;
    const ref = { scope: 'session', id: 'one' } as const;
    await revoker.revoke([{ ...ref, reason: 'x' }], act);
    expect((await revoker.lift([ref], { ...act, reason: 'mistake' }))[0]?.result).toBe('lifted');
    expect(await read('session', 'one')).toBe('');
    expect(pairs.size).toBe(0);
    expect((await revoker.lift([ref], { ...act, reason: 'mistake' }))[0]?.result).toBe('not_found');
  });

  it('lets an expired revocation go and gives its bytes back, but not one that was prolonged', async () => {
    fixture = await storeFixture({ database });
    const { revoker, read, clock, pairs, ledger } = fixture;
    const until = clock.seconds + 60;
    const requests = ['a', 'b'].map((id) => ({ scope: 'session' as const, id, until, reason: 'x' }));
    await revoker.revoke(requests, act);
    await revoker.revoke([{ scope: 'session', id: 'b', until: until + 100, reason: 'longer' }], act);
    clock.seconds = until;
    expect(await revoker.expire({ by: 'gc' })).toEqual({ expired: 1 });
    expect(await read('session', 'a')).toBe('');
    expect(await read('session', 'b')).toBe('revoked');
    expect((await ledger.get({ scope: 'session', id: 'a' }))?.state).toBe('expired');
    expect(pairs.size).toBe(1);
  });

  it('never weakens a standing revocation by a weaker one', async () => {
    fixture = await storeFixture({ database });
    const { revoker, read, clock, ledger } = fixture;
    const ref = { scope: 'subject', id: 'alice' } as const;
    await revoker.revoke([{ ...ref, reason: 'banned' }], act);
    const [outcome] = await revoker.revoke(
      [{ ...ref, cutoff: clock.seconds, until: clock.seconds + 60, reason: 'late' }],
      act,
    );
    expect(outcome?.result).toBe('unchanged');
    expect(await ledger.get(ref)).not.toHaveProperty('cutoff');
    expect(await read('subject', 'alice', clock.seconds + 1000)).toBe('revoked');
  });

  it('puts back what a store has lost when it is revoked again', async () => {
    fixture = await storeFixture({ database });
    const { revoker, pairs } = fixture;
    const request = { scope: 'session', id: 'one', reason: 'x' } as const;
    await revoker.revoke([request], act);
    const [[key, value] = ['', '']] = pairs;
    pairs.delete(key);
    const [outcome] = await revoker.revoke([request], act);
    expect(outcome?.result).toBe('unchanged');
    expect(pairs.get(key)).toBe(value);
  });
});

describe('the writer', () => {
  it('coalesces calls made at the same time into few store updates', async () => {
    fixture = await storeFixture();
    const { revoker, api } = fixture;
    const ids = Array.from({ length: 500 }, (_, i) => `s${i}`);
    await Promise.all(ids.map((id) => revoker.revoke([{ scope: 'session', id, reason: 'x' }], act)));
    expect(api.calls.UpdateKeys).toBeLessThanOrEqual(Math.ceil(500 / 50) + 2);
    expect(await drift(fixture)).toEqual(none);
  });

  it('finishes a run of many rounds, each begun as the one before ends', async () => {
    fixture = await storeFixture({ chunkSize: 3 });
    const requests = Array.from({ length: 40 }, (_, i) => ({ scope: 'session' as const, id: `s${i}`, reason: 'x' }));
    expect(await fixture.revoker.revoke(requests, act)).toHaveLength(40);
  });

  it('finishes for a store that was renamed what was announced for its old name', async () => {
    fixture = await storeFixture();
    const { ledger, target, revoker, pairs, clock, now, store } = fixture;
    await revoker.revoke([{ scope: 'session', id: 'one', reason: 'x' }], act);
    const [[key, value] = ['', '']] = pairs;
    await store.update({ puts: new Map(), deletes: [key] }, (await store.describe()).etag);
    const job = {
      id: 'a',
      by: 'x',
      at: clock.seconds,
      leaseUntil: 0,
      buckets: [Number(key.slice(1))],
      keys: [],
      refs: [],
    };
    await ledger.putJob({ ...job, pending: { 'old name': '' } });
    expect(await reconcile({ ledger, targets: [target], now })).toMatchObject({ jobs: 1, finished: 1 });
    expect(pairs.get(key)).toBe(value);
  });

  it('keeps the order of acts on the same entry', async () => {
    fixture = await storeFixture();
    const { revoker, read } = fixture;
    const ref = { scope: 'session', id: 'one' } as const;
    await Promise.all([
      revoker.revoke([{ ...ref, reason: 'x' }], act),
      revoker.lift([ref], { ...act, reason: 'y' }),
      revoker.revoke([{ ...ref, reason: 'z' }], act),
      revoker.lift([ref], { ...act, reason: 'last' }),
    ]);
    expect(await read('session', 'one')).toBe('');
  });

  it.each([
    ['an empty id', { scope: 'session', id: '', reason: 'x' }],
    ['no reason', { scope: 'session', id: 'a', reason: ' ' }],
    ['an end in the past', { scope: 'session', id: 'a', reason: 'x', until: 1_799_999_999 }],
    ['milliseconds for seconds', { scope: 'subject', id: 'a', reason: 'x', cutoff: 1_800_000_000_000 }],
    ['a re-mint without a moment', { scope: 'subject', id: 'a', reason: 'x', remint: true }],
    ['half the internet', { scope: 'network', id: '0.0.0.0/1', reason: 'x' }],
    ['a host name for a network', { scope: 'network', id: 'example.com', reason: 'x' }],
  ] as const)('refuses %s before it writes anything', async (_, request) => {
    fixture = await storeFixture();
    const both = [{ scope: 'session', id: 'good', reason: 'x' } as const, request];
    await expect(fixture.revoker.revoke(both, act)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(fixture.pairs.size).toBe(0);
    expect(await fixture.ledger.jobs()).toEqual([]);
  });

  it('loses nothing when writers race and their connections fail', async () => {
    let state = 7;
    const chance = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
    const fault = (): KvsFault | undefined => {
      const dice = chance();
      if (dice < 0.04) return { kind: 'throttle' };
      if (dice < 0.08) return { kind: 'drop', when: 'before' };
      if (dice < 0.12) return { kind: 'drop', when: 'after' };
      if (dice < 0.14) return { kind: 'error', code: 'ValidationException' };
      return undefined;
    };
    let faults = true;
    fixture = await storeFixture({ database: true, faults: () => (faults ? fault() : undefined) });
    const writers = Array.from({ length: 6 }, () => fixture.writer());
    await Promise.all(
      writers.map(({ revoker }, w) =>
        revoker.revoke(
          // a fifth of the ids is revoked by two writers
          Array.from({ length: 30 }, (_, i) => ({ scope: 'session', id: `s${w * 24 + i}`, reason: 'race' })),
          { by: `writer ${w}` },
        ),
      ),
    );
    faults = false;
    await reconcile({ ledger: fixture.ledger, targets: [fixture.target], now: fixture.now });
    const found: string[] = [];
    for await (const entry of fixture.ledger.scan()) found.push(entry.id);
    expect(new Set(found).size).toBe(6 * 24 + 6);
    expect(found).toHaveLength(6 * 24 + 6);
    for (const id of found) expect(await fixture.read('session', id)).toBe('revoked');
    expect(await drift(fixture)).toEqual(none);
  });

  it('leaves the act in the ledger while a store is out of reach, and reconciles later', async () => {
    let down = true;
    fixture = await storeFixture({
      faults: () => (down ? { kind: 'error', code: 'AccessDeniedException' } : undefined),
    });
    const { revoker, ledger, target, now, read } = fixture;
    const [outcome] = await revoker.revoke([{ scope: 'session', id: 'one', reason: 'x' }], act);
    expect(outcome?.result).toBe('revoked');
    expect(outcome?.targets['main']).toMatch(/refuses these credentials/);
    expect(await ledger.jobs()).toHaveLength(1);
    down = false;
    expect(await reconcile({ ledger, targets: [target], now })).toMatchObject({ jobs: 1, finished: 1, failed: {} });
    expect(await read('session', 'one')).toBe('revoked');
    expect(await ledger.jobs()).toEqual([]);
  });

  it('says that a full store is full, and keeps the ledger right', async () => {
    fixture = await storeFixture({ limits: { storeBytes: 30 } });
    const { revoker } = fixture;
    const requests = Array.from({ length: 9 }, (_, i) => ({ scope: 'session' as const, id: `s${i}`, reason: 'x' }));
    const outcomes = await revoker.revoke(requests, act);
    expect(outcomes[0]?.targets['main']).toMatch(/full/);
    expect(await fixture.ledger.jobs()).toHaveLength(1);
  });

  it('does not forget a writer that is still at work when it reconciles beside it', async () => {
    fixture = await storeFixture();
    const { ledger, target, clock, now } = fixture;
    const job = {
      id: 'a',
      by: 'x',
      at: clock.seconds,
      leaseUntil: clock.seconds + 120,
      buckets: [1],
      keys: [],
      refs: [],
    };
    await ledger.putJob({ ...job, pending: { main: '' } });
    expect(await reconcile({ ledger, targets: [target], now })).toMatchObject({ jobs: 1, finished: 0 });
    clock.seconds += 121;
    expect(await reconcile({ ledger, targets: [target], now })).toMatchObject({ jobs: 1, finished: 1 });
  });
});
