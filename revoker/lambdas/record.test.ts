import { describe, expect, it } from 'vitest';
import type { RevocationRequest } from '../ledger/entry.js';
import { createMemoryLedger } from '../ledger/memory.js';
import type { Scope } from './observe.js';
import { part, type RunBatch } from './parts.js';
import { record } from './record.js';
import type { RunStore } from './runs.js';

const start = 1_800_000_000;

/** A run whose only part is one batch. */
function runOf(requests: readonly RevocationRequest[]): RunStore {
  const batch: RunBatch = { requests, why: [] };
  return {
    get: <Value>(_run: string, name: string) =>
      Promise.resolve(name === part.batch('ready', 0) ? (batch as Value) : undefined),
    put: () => Promise.resolve(),
    putOnce: (_run, _part, value) => Promise.resolve(value),
  };
}

describe('recording a batch', () => {
  it('sets aside what the ledger cannot take, records the rest, and names nobody', async () => {
    // The clock passes the end of the third request between the first look at it and the writer's.
    let calls = 0;
    const now = (): number => (start + (calls++ > 0 ? 20 : 0)) * 1000;
    const ledger = createMemoryLedger();
    const lines: unknown[] = [];
    const counts: Record<string, number> = {};
    const scope: Scope = {
      log: (message, fields) => lines.push([message, fields]),
      count: (metric, value = 1) => void (counts[metric] = value),
    };
    const runs = runOf([
      { scope: 'session', id: 'good', reason: 'test' },
      { scope: 'subject', id: `alice@example.com${'x'.repeat(960)}`, reason: 'test' },
      { scope: 'network', id: '203.0.113.9', reason: 'test', until: start + 10 },
      { scope: 'network', id: '203.0.113.9/2', reason: 'test' },
      { scope: 'session', id: 'over', reason: 'test', until: start - 1 },
    ]);
    const answer = await record({ runs, ledger, targets: [], now })({ run: 'r', kind: 'ready', batch: 0 }, scope);
    expect(answer).toEqual({ recorded: 1, unchanged: 0, lapsed: 1, setAside: 3 });
    expect(await ledger.get({ scope: 'session', id: 'good' })).toMatchObject({ state: 'active' });
    expect(counts).toMatchObject({ recorded: 1, setAside: 3 });
    expect(lines[0]).toMatchObject([
      'requests set aside',
      { requests: [{ scope: 'subject' }, { scope: 'network' }, { scope: 'network' }] },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/alice|203\.0/);
  });
});
