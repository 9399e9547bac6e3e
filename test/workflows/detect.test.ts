import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Ledger } from '../../revoker/ledger/ledger.js';
import { committed, tasksOf, type Crash } from './interpreter.js';
import {
  closeDatabase,
  memoryBlocker,
  workflowFixture,
  type FixtureOptions,
  type FlaggedRow,
  type WorkflowFixture,
} from './workflow-fixture.js';

const input = { from: '2027-01-15T07:50:00Z', to: '2027-01-15T07:55:00Z' };

const certain: readonly FlaggedRow[] = [
  { scope: 'session', id: 'AAAAAAAAAAAAAAAAAAAAAA', score: 95 },
  { scope: 'session', id: 'BBBBBBBBBBBBBBBBBBBBBA', score: 85 },
  { scope: 'subject', id: 'acct-1', score: 91 },
  { scope: 'network', id: '198.51.100.7/32', score: 97 },
];
const doubtful: readonly FlaggedRow[] = [
  { scope: 'session', id: 'CCCCCCCCCCCCCCCCCCCCCA', score: 60 },
  { scope: 'network', id: '203.0.113.0/24', score: 70 },
];
const harmless: readonly FlaggedRow[] = [
  { scope: 'session', id: 'DDDDDDDDDDDDDDDDDDDDDA', score: 40 },
  { scope: 'session', id: 'EEEEEEEEEEEEEEEEEEEEEA', score: 3 },
];

const open: WorkflowFixture[] = [];
async function fixtureOf(options: FixtureOptions): Promise<WorkflowFixture> {
  const fixture = await workflowFixture(options);
  open.push(fixture);
  return fixture;
}
afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.close();
});
afterAll(closeDatabase);

/** Answers as soon as the run asks. */
async function answerWhenAsked(fixture: WorkflowFixture, approved: boolean, run = 'run-1'): Promise<unknown> {
  while (!fixture.notices.some(({ type }) => type === 'Portcullis approval needed')) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return fixture.invoke('AnswerApproval', { run, approved, by: 'ops@example.com', reason: 'looked at it' });
}

describe('the detection workflow', () => {
  it('takes what is certain to the ledger, the store and the WAF, and says so', async () => {
    const fixture = await fixtureOf({ rows: [...certain, ...harmless] });
    const execution = await fixture.run('detect', input);
    expect(execution).toMatchObject({ outcome: 'succeeded', retries: 0 });
    expect(execution.path).toEqual([
      'Plan the run', 'Unwrap the plan', 'Query the logs', 'Read a page', 'Was it the last?', 'Decide', 'Anything certain?',
      'Certain: ledger', 'Certain: one batch', 'Certain: stores', 'Certain: WAF', 'Anything to ask?', 'Report', 'Done',
    ]); // prettier-ignore
    const entries = await fixture.entries();
    expect(entries.map(({ scope, id, state, version }) => [scope, id, state, version])).toEqual([
      ['network', '198.51.100.7/32', 'active', 1],
      ['session', 'AAAAAAAAAAAAAAAAAAAAAA', 'active', 1],
      ['session', 'BBBBBBBBBBBBBBBBBBBBBA', 'active', 1],
      ['subject', 'acct-1', 'active', 1],
    ]);
    expect(entries[1]).toMatchObject({ by: 'detect run-1', reason: 'score 95', evidence: { score: 95 } });
    expect(fixture.pairs.size).toBe(3);
    expect([...fixture.networks.keys()]).toEqual(['198.51.100.7/32']);
    expect(await fixture.ledger.jobs()).toEqual([]);
    expect(fixture.notices).toEqual([
      {
        type: 'Portcullis detect done',
        detail: expect.objectContaining({
          run: 'run-1',
          actions: 4,
          held: 0,
          watched: 1,
          sessions: 6,
          targets: { stores: 'done', waf: 'done' },
        }) as unknown,
      },
    ]);
  });

  it('changes nothing and tells nobody when there is nothing', async () => {
    const fixture = await fixtureOf({ rows: harmless });
    const execution = await fixture.run('detect', input);
    expect(execution.outcome).toBe('succeeded');
    expect(execution.path).not.toContain('Certain: stores');
    expect(await fixture.finalState()).toEqual({ entries: [], pairs: [], networks: [], jobs: [], notices: [] });
  });

  it('copes with an empty result', async () => {
    const fixture = await fixtureOf({ rows: [] });
    expect(await fixture.run('detect', input)).toMatchObject({ outcome: 'succeeded' });
    expect(fixture.pairs.size).toBe(0);
  });

  it('reads a result in pages and judges it whole', async () => {
    const rows = Array.from({ length: 130 }, (_, i): FlaggedRow => ({
      scope: 'session',
      id: `session-${String(i).padStart(3, '0')}`,
      score: i % 2 ? 95 : 10,
    }));
    const fixture = await fixtureOf({ rows, pageRows: 20 });
    const execution = await fixture.run('detect', input);
    expect(execution.outcome).toBe('succeeded');
    expect(fixture.pagesRead.count).toBe(7);
    expect(execution.path.filter((state) => state === 'Certain: one batch')).toHaveLength(3);
    expect((await fixture.entries()).map(({ id }) => id)).toEqual(
      rows.filter(({ score }) => score === 95).map(({ id }) => id),
    );
  });

  it('decides and reports, and does nothing, in a dry run', async () => {
    const fixture = await fixtureOf({ rows: [...certain, ...doubtful] });
    expect(await fixture.run('detect', { ...input, dryRun: true })).toMatchObject({ outcome: 'succeeded' });
    expect(await fixture.entries()).toEqual([]);
    expect(fixture.notices).toMatchObject([{ type: 'Portcullis detect done', detail: { dryRun: true, actions: 0 } }]);
  });

  it('takes the last whole window before the time that a schedule gives', async () => {
    const fixture = await fixtureOf({ rows: [] });
    const { query } = (await fixture.invoke('PlanRun', { run: 'r', input: { time: '2027-01-15T08:03:10Z' } })) as {
      query: { text: string };
    };
    const to = Date.parse('2027-01-15T08:00:00Z') / 1000;
    expect(query.text).toContain(`time >= ${to - 300} AND time < ${to}`);
  });

  it('refuses a window that ends before it begins, and reports the fault', async () => {
    const fixture = await fixtureOf({});
    const execution = await fixture.run('detect', { from: input.to, to: input.from });
    expect(execution).toMatchObject({ outcome: 'failed', retries: 0 });
    expect(fixture.notices).toMatchObject([{ type: 'Portcullis detect failed', detail: { error: 'PermanentFault' } }]);
  });
});

describe('approval', () => {
  it('carries out what a person grants, under their name, and what is certain before that', async () => {
    const fixture = await fixtureOf({ rows: [...certain, ...doubtful] });
    const running = fixture.run('detect', input);
    while (fixture.networks.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect([...fixture.networks.keys()]).toEqual(['198.51.100.7/32']);
    await expect(answerWhenAsked(fixture, true)).resolves.toEqual({ accepted: true });
    expect(await running).toMatchObject({ outcome: 'succeeded' });
    const entries = await fixture.entries();
    expect(entries).toHaveLength(6);
    expect(entries.find(({ id }) => id === 'CCCCCCCCCCCCCCCCCCCCCA')).toMatchObject({
      by: 'detect run-1, approved by ops@example.com',
    });
    expect([...fixture.networks.keys()].sort()).toEqual(['198.51.100.7/32', '203.0.113.0/24']);
    const asked = fixture.notices.find(({ type }) => type === 'Portcullis approval needed');
    expect(asked?.detail).toEqual({
      id: 'run-1/asked',
      run: 'run-1',
      actions: 2,
      reasons: { 'below the confidence for acting alone': 2 },
    });
    expect(JSON.stringify(fixture.notices)).not.toContain([...fixture.services.waiting.keys()][0] ?? 'no token');
  });

  it.each([
    ['refused', false],
    ['timed out', undefined],
  ] as const)('leaves what it was asked about alone: %s', async (_name, answer) => {
    const fixture = await fixtureOf({
      rows: [...certain, ...doubtful],
      approvalSeconds: answer === undefined ? 1 : 30,
    });
    const running = fixture.run('detect', input);
    if (answer !== undefined) await answerWhenAsked(fixture, answer);
    expect(await running).toMatchObject({ outcome: 'succeeded' });
    expect((await fixture.entries()).map(({ id }) => id)).toEqual(
      certain.map(({ id }) => id).sort((a, b) => (a.includes('.') ? -1 : a.localeCompare(b))),
    );
    expect([...fixture.networks.keys()]).toEqual(['198.51.100.7/32']);
    expect(fixture.notices.at(-1)).toMatchObject({
      detail: { approval: answer === undefined ? 'unanswered' : 'refused', actions: 4 },
    });
  });

  it('tells who answers too late so, and changes nothing', async () => {
    const fixture = await fixtureOf({ rows: doubtful, approvalSeconds: 1 });
    expect(await fixture.run('detect', input)).toMatchObject({ outcome: 'succeeded' });
    fixture.services.waiting.clear();
    await expect(answerWhenAsked(fixture, true)).resolves.toEqual({ accepted: false });
    expect(await fixture.entries()).toEqual([]);
  });

  it('takes the first answer, and refuses another one after it', async () => {
    const fixture = await fixtureOf({ rows: doubtful });
    const running = fixture.run('detect', input);
    await answerWhenAsked(fixture, false);
    await expect(answerWhenAsked(fixture, true)).rejects.toThrow('was refused by ops@example.com before');
    await expect(answerWhenAsked(fixture, false)).resolves.toEqual({ accepted: true });
    expect(await running).toMatchObject({ outcome: 'succeeded' });
    expect(await fixture.entries()).toEqual([]);
  });

  it('does not believe a state machine that says "approved" without an answer on record', async () => {
    const fixture = await fixtureOf({ rows: doubtful, approvalSeconds: 1 });
    await fixture.run('detect', input);
    await expect(fixture.invoke('Record', { run: 'run-1', kind: 'held', batch: 0 })).rejects.toThrow(
      'no approval on record',
    );
    expect(await fixture.entries()).toEqual([]);
  });
});

describe('whatever breaks on the way, the end is the same', () => {
  const rows = [...certain, ...doubtful, ...harmless];

  async function reference(): Promise<unknown> {
    const fixture = await fixtureOf({ rows });
    const running = fixture.run('detect', input);
    await answerWhenAsked(fixture, true);
    expect(await running).toMatchObject({ outcome: 'succeeded' });
    return fixture.finalState();
  }
  const wanted = reference();

  async function runThrough(fixture: WorkflowFixture, crashes: readonly Crash[] = []): Promise<string> {
    const running = fixture.run('detect', input, { crashes });
    const asked = fixture.notices.some(({ type }) => type === 'Portcullis approval needed');
    const stop = new AbortController();
    const answering = asked ? Promise.resolve() : answering_(fixture, stop.signal);
    const { outcome } = await running;
    stop.abort();
    await answering;
    return outcome;
  }
  async function answering_(fixture: WorkflowFixture, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (fixture.notices.some(({ type }) => type === 'Portcullis approval needed')) {
        await fixture.invoke('AnswerApproval', {
          run: 'run-1',
          approved: true,
          by: 'ops@example.com',
          reason: 'looked at it',
        });
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const steps = tasksOf(committed('detect').States)
    .map(([name]) => name)
    .filter((name) => name !== 'Report the fault');
  const crashes = steps.flatMap((state) => (['before', 'after'] as const).map((when) => ({ state, when })));

  it.each(crashes)('a function dies $when "$state", three times', async ({ state, when }) => {
    const fixture = await fixtureOf({ rows });
    expect(await runThrough(fixture, [{ state, when, times: 3 }])).toBe('succeeded');
    expect(await fixture.finalState()).toEqual(await wanted);
  });

  // What is caught on purpose (stores, WAF) does not end an execution; the others do.
  it.each(crashes.filter(({ state }) => !/stores|WAF/.test(state)))(
    'a function dies $when "$state" until the execution gives up, and it is started again',
    async ({ state, when }) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when, times: 100 }])).toBe('failed');
      const failures = fixture.notices.filter(({ type }) => type === 'Portcullis detect failed');
      expect(failures).toHaveLength(1);
      fixture.notices.splice(fixture.notices.indexOf(failures[0] as (typeof failures)[number]), 1);
      expect(await runThrough(fixture)).toBe('succeeded');
      expect(await fixture.finalState()).toEqual(await wanted);
    },
  );

  it('is executed again under its name', async () => {
    const fixture = await fixtureOf({ rows });
    expect(await runThrough(fixture)).toBe('succeeded');
    fixture.clock.seconds += 600;
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(await fixture.finalState()).toEqual(await wanted);
    expect(fixture.queries.size).toBe(1);
  });

  it.each(['Certain: stores', 'Certain: WAF', 'Approved: stores', 'Approved: WAF'])(
    '"%s" fails for good, the run goes on, and the reconciliation finishes it',
    async (state) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when: 'before', times: 100 }])).toBe('succeeded');
      const after = await fixture.run('reconcile', {}, { name: 'reconcile-1' });
      expect(after.outcome).toBe('succeeded');
      const { notices: _notices, ...state_ } = (await fixture.finalState()) as Record<string, unknown>;
      const { notices: _wanted, ...wantedState } = (await wanted) as Record<string, unknown>;
      expect(state_).toEqual(wantedState);
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
    const { notices: _notices, ...state } = (await fixture.finalState()) as Record<string, unknown>;
    const { notices: _wanted, ...wantedState } = (await wanted) as Record<string, unknown>;
    expect(state).toEqual(wantedState);
  });

  it('other writers storm the KeyValueStore', async () => {
    let conflicts = 0;
    const fixture = await fixtureOf({
      rows,
      kvsFaults: ({ operation }) =>
        operation === 'UpdateKeys' && conflicts++ < 40
          ? { kind: 'error', code: conflicts % 3 === 0 ? 'ValidationException' : 'ConflictException' }
          : undefined,
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(conflicts).toBeGreaterThan(40);
    expect(await fixture.finalState()).toEqual(await wanted);
  });

  it('the KeyValueStore throttles, drops connections and faults', async () => {
    let call = 0;
    const fixture = await fixtureOf({
      rows,
      kvsFaults: () => {
        call += 1;
        if (call % 4 === 1) return { kind: 'throttle' };
        if (call % 4 === 2) return { kind: 'drop', when: call % 8 === 2 ? 'before' : 'after' };
        return call % 4 === 3 ? { kind: 'error', code: 'InternalServerException' } : undefined;
      },
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    await fixture.run('reconcile', {}, { name: 'reconcile-1' });
    const { notices: _notices, ...state } = (await fixture.finalState()) as Record<string, unknown>;
    const { notices: _wanted, ...wantedState } = (await wanted) as Record<string, unknown>;
    expect(state).toEqual(wantedState);
  });

  it('the WAF refuses again and again', async () => {
    const inner = memoryBlocker();
    let refusals = 0;
    const fixture = await fixtureOf({
      rows,
      blocker: {
        ...inner,
        async block(list) {
          if (refusals++ < 5)
            throw Object.assign(new Error('stale lock token'), { name: 'WAFOptimisticLockException' });
          return inner.block(list);
        },
      },
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(await fixture.finalState()).toEqual(await wanted);
  });
});
