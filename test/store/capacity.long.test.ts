import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findEngine, njsVersions, type NjsEngine } from '../../scripts/engine/index.js';
import { countRevokedInNjs } from './capacity.js';
import { storeFixture, type StoreFixture } from './store-fixture.js';

const revoked = 400_000;
const strangers = 1_000_000;
const perProcess = 100_000;

let fixture: StoreFixture;
beforeAll(async () => {
  fixture = await storeFixture({ chunkSize: 100_000 });
}, 240_000);
afterAll(() => fixture.close());

async function engines(): Promise<NjsEngine[]> {
  const found: NjsEngine[] = [];
  for (const version of njsVersions) {
    try {
      found.push(await findEngine(version));
    } catch (error) {
      if (process.env['CI'] === 'true') throw error;
      console.warn(`ENGINE TESTS SKIPPED: ${(error as Error).message}`);
    }
  }
  return found;
}

describe('400,000 revocations', () => {
  it('fit a store of 5,000,000 bytes, written through the real client with its limits enforced', async () => {
    const { revoker, store, api } = fixture;
    for (let from = 0; from < revoked; from += 100_000) {
      const requests = Array.from({ length: 100_000 }, (_, i) => ({
        scope: 'session' as const,
        id: `revoked-${from + i}`,
        reason: 'capacity',
      }));
      const outcomes = await revoker.revoke(requests, { by: 'test' });
      expect(outcomes.every(({ result, targets }) => result === 'revoked' && targets['main'] === 'done')).toBe(true);
    }
    const { bytes, items } = await store.describe();
    const calls = Object.values(api.calls).reduce((sum, count) => sum + count, 0);
    console.log(
      `${revoked} revocations: ${bytes} bytes in ${items} keys, ${(bytes / revoked).toFixed(3)} each, ${calls} API calls`,
    );
    expect(bytes).toBeLessThanOrEqual(5_000_000);
  });

  it('are all found by the edge reader in njs, and 1,000,000 strangers are not', async () => {
    for (const engine of await engines()) {
      const jobs: { prefix: string; from: number; to: number }[] = [];
      for (const [prefix, count] of [
        ['revoked-', revoked],
        ['stranger-', strangers],
      ] as const) {
        for (let from = 0; from < count; from += perProcess) jobs.push({ prefix, from, to: from + perProcess });
      }
      const found: Record<string, number> = { 'revoked-': 0, 'stranger-': 0 };
      const work = async (): Promise<void> => {
        for (let job = jobs.shift(); job; job = jobs.shift()) {
          const count = await countRevokedInNjs(engine, fixture.pairs, job);
          found[job.prefix] = (found[job.prefix] ?? 0) + count;
        }
      };
      await Promise.all([work(), work()]);
      expect({ version: engine.version, ...found }).toEqual({
        version: engine.version,
        'revoked-': revoked,
        'stranger-': 0,
      });
    }
  });
});
