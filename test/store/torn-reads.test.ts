import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { bucketKey, encodeBucket, parseBucketKey, placeOf } from '../../revoker/store/buckets.js';
import { lookUp } from './edge-reader.js';
import { storeFixture, type StoreFixture } from './store-fixture.js';

/** Ids that all fall into one bucket, so that it overflows into two and three values. */
function idsOfOneBucket(bucket: number, count: number): string[] {
  const ids: string[] = [];
  for (let i = 0; ids.length < count; i += 1) {
    const id = `id-${i}`;
    if (placeOf('session', id).bucket === bucket) ids.push(id);
  }
  return ids;
}

const crowded = 4711;
const ids = idsOfOneBucket(crowded, 300);
const fixed = ids.slice(0, 20);
const free = ids.slice(20, 40);
const moving = ids.slice(40);

/** The bucket's pairs where these ids are revoked. */
const stateOf = (revoked: readonly string[]): Map<string, string> =>
  new Map(
    encodeBucket(
      crowded,
      revoked.map((id) => placeOf('session', id)),
    ),
  );

async function verdict(id: string, read: (key: string) => Promise<string | undefined>): Promise<string> {
  try {
    return await lookUp('session', id, undefined, read);
  } catch {
    // the edge answers 503: refused, and tried again by the player
    return 'fault';
  }
}

describe('a bucket that grows and shrinks', () => {
  it('never lets what stays revoked pass, whichever mixture of old and new values a reader sees', async () => {
    const state = fc.subarray(moving, { minLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(state, { minLength: 2, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        async (states, picks) => {
          const seen = states.map((revoked) => stateOf([...fixed, ...revoked]));
          const versions = new Map<string, string | undefined>();
          // every key comes from a state of its own: some edge has it, some has not
          const read = (key: string): Promise<string | undefined> => {
            if (!versions.has(key)) versions.set(key, seen[(picks.next().value as number) % seen.length]?.get(key));
            return Promise.resolve(versions.get(key));
          };
          for (const id of fixed) expect(['revoked', 'fault']).toContain(await verdict(id, read));
          for (const id of free) expect(['', 'fault']).toContain(await verdict(id, read));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('would let one pass without the repeated entry: the case that the layout guards against', () => {
    const sorted = (revoked: string[]): string[] =>
      revoked.map((id) => `,${placeOf('session', id).fingerprint}`).sort();
    const before = sorted(moving);
    const cut = 127;
    const moved = before[cut] ?? '';
    const after = before.filter((_, i) => i !== 3);
    // cut at the same length without a repeated entry, the one after the cut is in neither half
    expect(before.slice(0, cut)).not.toContain(moved);
    expect(after.slice(cut)).not.toContain(moved);
  });
});

let fixture: StoreFixture | undefined;
afterEach(() => fixture?.close());

describe('growing and shrinking under load', () => {
  it('never lets a revoked session pass while a reader checks without pause', async () => {
    fixture = await storeFixture();
    const { revoker, pairs, writer } = fixture;
    const requestOf = (id: string): { scope: 'session'; id: string; reason: string } => ({
      scope: 'session',
      id,
      reason: 'x',
    });
    await revoker.revoke(fixed.map(requestOf), { by: 'a' });
    let running = true;
    const counts = { checks: 0, faults: 0, passed: 0, wronglyRefused: 0, parts: 0 };
    const reader = (async () => {
      // each read is a turn of the event loop apart, as reads at the edge are
      const read = async (key: string): Promise<string | undefined> => {
        await turn();
        counts.parts = Math.max(counts.parts, 1 + (parseBucketKey(key)?.part ?? 0));
        return pairs.get(key);
      };
      while (running) {
        await turn();
        for (const [list, wrong] of [
          [fixed, 'passed'],
          [free, 'wronglyRefused'],
        ] as const) {
          for (const id of list) {
            const answer = await verdict(id, read);
            counts.checks += 1;
            if (answer === 'fault') counts.faults += 1;
            else if ((answer === 'revoked') !== (list === fixed)) counts[wrong] += 1;
          }
        }
      }
    })();
    const other = writer().revoker;
    for (let round = 0; round < 6; round += 1) {
      const some = moving.filter((_, i) => i % (round + 1) === 0);
      await Promise.all([
        revoker.revoke(some.map(requestOf), { by: 'a' }),
        other.revoke(moving.slice(0, 100).map(requestOf), { by: 'b' }),
      ]);
      await Promise.all(
        [
          revoker.lift(
            some.map((id) => ({ scope: 'session' as const, id })),
            { by: 'a', reason: 'y' },
          ),
          other.lift(
            moving.slice(50, 250).map((id) => ({ scope: 'session' as const, id })),
            { by: 'b', reason: 'y' },
          ),
        ].slice(0, round % 2 === 0 ? 2 : 1),
      );
    }
    running = false;
    await reader;
    expect(counts).toMatchObject({ passed: 0, wronglyRefused: 0 });
    expect(counts.checks).toBeGreaterThan(1000);
    expect(counts.parts).toBeGreaterThan(2);
    expect(pairs.has(bucketKey(crowded))).toBe(true);
  });
});
