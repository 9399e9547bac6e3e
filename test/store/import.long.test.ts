import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDynamoLedger } from '../../revoker/ledger/dynamodb.js';
import { driftOf } from '../../revoker/store/projection.js';
import { reconcile } from '../../revoker/writer.js';
import { allFeatures } from '../../scripts/build/features.js';
import { repositoryRoot } from '../../scripts/engine/index.js';
import type { KvsFault } from '../../scripts/local-edge/kvs-api.js';
import { arn, storeFixture, type StoreFixture } from './store-fixture.js';

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-import-'));
  // Inside the repository, where the packages that stay outside the bundle are found.
  program = join(repositoryRoot(), 'node_modules/.cache/portcullis/import-process.mjs');
  await mkdir(join(program, '..'), { recursive: true });
  await build({
    entryPoints: [join(repositoryRoot(), 'test/store/import-process.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    define: allFeatures(),
    alias: { '@portcullis/tokens': join(repositoryRoot(), 'tokens/src') },
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function stateFile(fixture: StoreFixture): Promise<string> {
  const file = join(folder, 'local.json');
  const kvs = { endpoint: fixture.api.endpoint, arn };
  await writeFile(file, JSON.stringify({ kvs, dynamodb: { endpoint: fixture.dynamo?.endpoint, tablePrefix: '' } }));
  return file;
}

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A process that has loaded everything and waits; `go` lets it run its command. */
function prepare(state: string, args: readonly string[]): { readonly child: ChildProcess; go(): Promise<Run> } {
  const child = spawn(process.execPath, ['--no-warnings', program, ...args], {
    env: { ...process.env, PORTCULLIS_LOCAL: state },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Run>((resolve) => child.on('close', (code) => resolve({ code, out, err })));
  return {
    child,
    go() {
      child.stdin?.end();
      return ended;
    },
  };
}

/** What the ledger has and the edge does not refuse, after a reconcile. */
async function missingAfterReconcile(fixture: StoreFixture): Promise<{ recorded: number; missing: number }> {
  const { ledger, target, read } = fixture;
  await reconcile({ ledger, targets: [target] });
  let recorded = 0;
  let missing = 0;
  for await (const entry of ledger.scan({ states: ['active'] })) {
    recorded += 1;
    if ((await read('session', entry.id)) !== 'revoked') missing += 1;
  }
  return { recorded, missing };
}

async function realTimeFixture(): Promise<StoreFixture> {
  const fixture = await storeFixture({ database: true, name: 'local' });
  // The processes under test use the real clock.
  fixture.clock.seconds = Math.floor(Date.now() / 1000);
  return fixture;
}

describe('a bulk import', () => {
  it('of 100,000 needs at most 2,500 API calls and 512 MB', async () => {
    const fixture = await realTimeFixture();
    try {
      const file = join(folder, 'bulk.txt');
      await writeFile(file, Array.from({ length: 100_000 }, (_, i) => `bulk-${i}\n`).join(''));
      const args = ['revocations', 'import', file, '--scope', 'session', '--local', '--yes', '--json'];
      const { code, out, err } = await prepare(await stateFile(fixture), args).go();
      expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
      expect(JSON.parse(out)).toMatchObject({ revoked: 100_000, unchanged: 0 });
      const calls = Object.values(fixture.api.calls).reduce((sum, count) => sum + count, 0);
      const kilobytes = Number(/peak memory (\d+) kB/.exec(err)?.[1]);
      console.log(`import of 100,000: ${calls} KeyValueStore calls, ${Math.round(kilobytes / 1024)} MB`);
      expect(calls).toBeLessThanOrEqual(2500);
      expect(kilobytes).toBeLessThanOrEqual(512 * 1024);
      for (let i = 0; i < 100_000; i += 997) expect(await fixture.read('session', `bulk-${i}`)).toBe('revoked');
    } finally {
      await fixture.close();
    }
  });

  it('killed at 100 random moments loses nothing that it had recorded', async () => {
    const size = 10_000;
    const file = join(folder, 'entries.txt');
    await writeFile(file, Array.from({ length: size }, (_, i) => `entry-${i}\n`).join(''));
    const args = ['revocations', 'import', file, '--scope', 'session', '--local', '--yes', '--json'];
    let kills = 0;
    let fixture = await realTimeFixture();
    let next = prepare(await stateFile(fixture), args);
    try {
      const begun = performance.now();
      expect((await next.go()).code).toBe(0);
      const whole = performance.now() - begun;
      while (kills < 100) {
        await fixture.close();
        fixture = await realTimeFixture();
        const state = await stateFile(fixture);
        next = prepare(state, args);
        // One import, killed again and again until it has recorded everything.
        for (let recorded = 0; recorded < size && kills < 100;) {
          const { child, go } = next;
          const [{ code }] = await Promise.all([go(), pause(Math.random() * whole).then(() => child.kill('SIGKILL'))]);
          if (code === null) kills += 1;
          // Loads while this process reconciles.
          next = prepare(state, args);
          const after = await missingAfterReconcile(fixture);
          expect(after.missing).toBe(0);
          recorded = after.recorded;
        }
        if (kills < 100) next.child.kill();
      }
      expect((await next.go()).code).toBe(0);
      expect(await missingAfterReconcile(fixture)).toEqual({ recorded: size, missing: 0 });
      const { missing, surplus, different } = await driftOf(fixture.store, [], {
        ledger: createDynamoLedger({ client: fixture.dynamo!.client, table: 'ledger' }),
        records: () => Promise.resolve(null),
      });
      expect({ missing, surplus, different }).toEqual({ missing: [], surplus: [], different: [] });
    } finally {
      next.child.kill();
      await fixture.close();
    }
  });
});

describe('50 racing writers of 200 revocations each', () => {
  it('lose none and double none through conflicts, throttling and lost connections', async () => {
    let faults = true;
    const fault = (): KvsFault | undefined => {
      const dice = Math.random();
      if (dice < 0.03) return { kind: 'throttle' };
      if (dice < 0.06) return { kind: 'drop', when: 'before' };
      if (dice < 0.09) return { kind: 'drop', when: 'after' };
      return undefined;
    };
    const fixture = await storeFixture({ database: true, faults: () => (faults ? fault() : undefined) });
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, w) =>
          fixture.writer().revoker.revoke(
            Array.from({ length: 200 }, (_unused, i) => ({
              scope: 'session' as const,
              id: `w${w}-${i}`,
              reason: 'race',
            })),
            { by: `writer ${w}` },
          ),
        ),
      );
      faults = false;
      const open = outcomes.flat().filter(({ targets }) => targets['main'] !== 'done').length;
      console.log(`50 × 200: ${fixture.api.calls.UpdateKeys} updates sent, ${open} entries left to the reconciler`);
      await reconcile({ ledger: fixture.ledger, targets: [fixture.target], now: fixture.now });
      const ids: string[] = [];
      for await (const entry of fixture.ledger.scan()) ids.push(entry.id);
      expect(ids).toHaveLength(10_000);
      expect(new Set(ids).size).toBe(10_000);
      for (const id of ids) expect(await fixture.read('session', id)).toBe('revoked');
      const drift = await driftOf(fixture.store, [], {
        ledger: fixture.ledger,
        now: fixture.now,
        records: () => Promise.resolve(null),
      });
      expect({ missing: drift.missing, surplus: drift.surplus, different: drift.different }).toEqual({
        missing: [],
        surplus: [],
        different: [],
      });
    } finally {
      await fixture.close();
    }
  });
});
