import { describe, expect, it } from 'vitest';
import {
  answerWhenAsked,
  certain,
  closeFixtures,
  crashes,
  doubtful,
  fixtureOf,
  harmless,
  input,
  rows,
  runThrough,
  undisturbed,
  withoutNotices,
} from './detect-cases.js';
import type { FlaggedRow } from './workflow-fixture.js';

closeFixtures();

describe('the detection workflow', () => {
  it('takes what is certain to the ledger, the store and the WAF, and says so', async () => {
    const fixture = await fixtureOf({ rows: [...certain, ...harmless] });
    const execution = await fixture.run('detect', input);
    expect(execution).toMatchObject({ outcome: 'succeeded', retries: 0 });
    expect(execution.path).toEqual([
      'Plan the run', 'Is the window taken?', 'Unwrap the plan', 'Query the logs', 'Read a page', 'Was it the last?', 'Decide', 'Anything certain?',
      'Certain: ledger', 'Certain: one batch', 'Certain: stores', 'Certain: WAF', 'Anything to ask?', 'Report', 'Done',
    ]); // prettier-ignore
    const entries = await fixture.entries();
    expect(entries.map(({ scope, id, state, version }) => [scope, id, state, version])).toEqual([
      ['network', '192.88.99.7/32', 'active', 1],
      ['session', 'AAAAAAAAAAAAAAAAAAAAAA', 'active', 1],
      ['session', 'BBBBBBBBBBBBBBBBBBBBBA', 'active', 1],
      ['subject', 'acct-1', 'active', 1],
    ]);
    expect(entries[1]).toMatchObject({ by: 'detect run-1', reason: 'score 95', evidence: { score: 95 } });
    expect(fixture.pairs.size).toBe(3);
    expect(fixture.blocked()).toEqual(['192.88.99.7/32']);
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
    expect(await fixture.finalState()).toEqual({ entries: [], pairs: [], blocked: [], jobs: [], notices: [] });
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
      query: { parameters: string[] };
    };
    const to = Date.parse('2027-01-15T08:00:00Z') / 1000;
    expect(query.parameters).toEqual([String(to - 300), String(to)]);
  });

  it('takes a scheduled window once, and goes on with it under its own name', async () => {
    const fixture = await fixtureOf({ rows: [...certain] });
    // Rehearsals take no window, and neither does who names one.
    await fixture.run('detect', { time: '2027-01-15T08:03:10Z', dryRun: true }, { name: 'rehearsal' });
    await fixture.run('detect', { from: '2027-01-15T07:55:00Z', to: '2027-01-15T08:00:00Z', dryRun: true });
    const first = await fixture.run('detect', { time: '2027-01-15T08:03:10Z' }, { name: 'first' });
    expect(first.path).toContain('Certain: ledger');
    expect(await fixture.entries()).toHaveLength(certain.length);
    const queries = fixture.queries.size;
    const second = await fixture.run('detect', { time: '2027-01-15T08:04:50Z' }, { name: 'second' });
    expect(second).toMatchObject({ outcome: 'succeeded' });
    expect(second.path).toEqual(['Plan the run', 'Is the window taken?', 'Done']);
    expect(fixture.queries.size).toBe(queries);
    const again = await fixture.run('detect', { time: '2027-01-15T08:03:10Z' }, { name: 'first' });
    expect(again.path).toContain('Certain: ledger');
    const next = await fixture.run('detect', { time: '2027-01-15T08:08:10Z' }, { name: 'next' });
    expect(next.path).toContain('Query the logs');
    const byHand = await fixture.run(
      'detect',
      { from: '2027-01-15T07:55:00Z', to: '2027-01-15T08:00:00Z' },
      { name: 'by-hand' },
    );
    expect(byHand.path).toContain('Query the logs');
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
    while (fixture.blocked().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(fixture.blocked()).toEqual(['192.88.99.7/32']);
    await expect(answerWhenAsked(fixture, true)).resolves.toEqual({ accepted: true });
    expect(await running).toMatchObject({ outcome: 'succeeded' });
    const entries = await fixture.entries();
    expect(entries).toHaveLength(6);
    expect(entries.find(({ id }) => id === 'CCCCCCCCCCCCCCCCCCCCCA')).toMatchObject({
      by: 'detect run-1, approved by ops@example.com',
    });
    expect(fixture.blocked()).toEqual(['192.31.196.0/24', '192.88.99.7/32']);
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
    expect((await fixture.entries()).map(({ id }) => id).sort()).toEqual(certain.map(({ id }) => id).sort());
    expect(fixture.blocked()).toEqual(['192.88.99.7/32']);
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

  it('says so where the execution that asked is gone, and has the answer when it is started again', async () => {
    const fixture = await fixtureOf({ rows: doubtful });
    const { outcome } = await fixture.run('detect', input, {
      crashes: [{ state: 'Ask for approval', when: 'after', times: 100 }],
    });
    expect(outcome).toBe('failed');
    fixture.services.waiting.clear();
    await expect(answerWhenAsked(fixture, true)).resolves.toEqual({
      accepted: true,
      note: expect.stringContaining('no execution waits for it') as unknown,
    });
    expect(await fixture.entries()).toEqual([]);
    expect(await fixture.run('detect', input)).toMatchObject({ outcome: 'succeeded' });
    expect(await fixture.entries()).toHaveLength(doubtful.length);
    await expect(answerWhenAsked(fixture, true)).resolves.toEqual({ accepted: true });
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
  const wanted = undisturbed();

  it.each(crashes.filter(({ when }) => when === 'after'))(
    'a function dies $when "$state", twice',
    async ({ state, when }) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when, times: 2 }])).toBe('succeeded');
      expect(await fixture.finalState()).toEqual(wanted.state);
    },
  );

  it('is executed again under its name', async () => {
    const fixture = await fixtureOf({ rows });
    expect(await runThrough(fixture)).toBe('succeeded');
    fixture.clock.seconds += 600;
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(await fixture.finalState()).toEqual(wanted.state);
    expect(fixture.queries.size).toBe(1);
  });

  it.each(['Certain: stores', 'Approved: WAF'])(
    '"%s" fails for good, the run goes on, and the reconciliation finishes it',
    async (state) => {
      const fixture = await fixtureOf({ rows });
      expect(await runThrough(fixture, [{ state, when: 'before', times: 100 }])).toBe('succeeded');
      const after = await fixture.run('reconcile', {}, { name: 'reconcile-1' });
      expect(after.outcome).toBe('succeeded');
      expect(withoutNotices(await fixture.finalState())).toEqual(wanted.withoutNotices());
    },
  );

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
    expect(await fixture.finalState()).toEqual(wanted.state);
  });

  it('other writers storm the WAF: stale lock tokens, throttling, sets that are not there yet, lost answers', async () => {
    let storm = 0;
    const fixture = await fixtureOf({
      rows,
      wafFaults: ({ operation }) => {
        if (!/^(Create|Update)/.test(operation) || storm++ >= 10) return undefined;
        const errors = ['WAFOptimisticLockException', 'ThrottlingException', 'WAFUnavailableEntityException'] as const;
        if (storm % 4 === 0) return { error: 'reset', after: true };
        return { error: errors[storm % 3] as string };
      },
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(storm).toBeGreaterThan(10);
    expect(await fixture.finalState()).toEqual(wanted.state);
  });

  it('leaves alone what the WAF sets refuse to block, and still refuses it at minting', async () => {
    const fixture = await fixtureOf({ rows: [{ scope: 'network', id: '10.1.2.0/24', score: 99 }] });
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(fixture.blocked()).toEqual([]);
    expect(await fixture.entries()).toMatchObject([{ scope: 'network', id: '10.1.2.0/24', state: 'active' }]);
    expect(await fixture.ledger.jobs()).toEqual([]);
  });

  it('an interrupted key publication whose secret is gone keeps no revocation back', async () => {
    const fixture = await fixtureOf({ rows: certain });
    const key = { kid: 'lost', alg: 'HS256', state: 'published', createdAt: 1, by: 'test', reason: 'test' };
    await fixture.ledger.putRecord({ kind: 'key', id: 'lost', version: 1, value: key });
    await fixture.ledger.putJob({
      id: 'interrupted',
      by: 'test',
      at: 1,
      leaseUntil: 0,
      buckets: [],
      keys: ['k:lost'],
      refs: [],
      pending: { main: '' },
    });
    expect(await runThrough(fixture)).toBe('succeeded');
    expect(fixture.pairs.size).toBe(3);
    expect(fixture.notices.at(-1)).toMatchObject({ detail: { actions: 4, targets: { stores: 'later', waf: 'done' } } });
    expect((await fixture.ledger.jobs()).map(({ id }) => id)).toEqual(['interrupted']);
  });
});
