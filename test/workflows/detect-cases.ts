import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { committed, tasksOf, type Crash } from './interpreter.js';
import {
  closeDatabase,
  workflowFixture,
  type FixtureOptions,
  type FlaggedRow,
  type WorkflowFixture,
} from './workflow-fixture.js';

export const input = { from: '2027-01-15T07:50:00Z', to: '2027-01-15T07:55:00Z' };

// Addresses that are nobody's and yet not on the lists of reserved ranges (RFC 7526, RFC 7535): those are refused.
export const certain: readonly FlaggedRow[] = [
  { scope: 'session', id: 'AAAAAAAAAAAAAAAAAAAAAA', score: 95 },
  { scope: 'session', id: 'BBBBBBBBBBBBBBBBBBBBBA', score: 85 },
  { scope: 'subject', id: 'acct-1', score: 91 },
  { scope: 'network', id: '192.88.99.7/32', score: 97 },
];
export const doubtful: readonly FlaggedRow[] = [
  { scope: 'session', id: 'CCCCCCCCCCCCCCCCCCCCCA', score: 60 },
  { scope: 'network', id: '192.31.196.0/24', score: 70 },
];
export const harmless: readonly FlaggedRow[] = [
  { scope: 'session', id: 'DDDDDDDDDDDDDDDDDDDDDA', score: 40 },
  { scope: 'session', id: 'EEEEEEEEEEEEEEEEEEEEEA', score: 3 },
];

const open: WorkflowFixture[] = [];
export async function fixtureOf(options: FixtureOptions): Promise<WorkflowFixture> {
  const fixture = await workflowFixture(options);
  open.push(fixture);
  return fixture;
}

/** Closes after each test what the test opened, and the database in the end. */
export function closeFixtures(): void {
  afterEach(async () => {
    for (const fixture of open.splice(0)) await fixture.close();
  });
  afterAll(closeDatabase);
}

/** Answers as soon as the run asks. */
export async function answerWhenAsked(fixture: WorkflowFixture, approved: boolean, run = 'run-1'): Promise<unknown> {
  while (!fixture.notices.some(({ type }) => type === 'Portcullis approval needed')) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return fixture.invoke('AnswerApproval', { run, approved, by: 'ops@example.com', reason: 'looked at it' });
}

export const rows = [...certain, ...doubtful, ...harmless];

/** Runs detection to its end; the question, if one is asked, is answered with yes. */
export async function runThrough(fixture: WorkflowFixture, crashes: readonly Crash[] = []): Promise<string> {
  const running = fixture.run('detect', input, { crashes });
  const asked = fixture.notices.some(({ type }) => type === 'Portcullis approval needed');
  const stop = new AbortController();
  const answering = asked ? Promise.resolve() : answerOnce(fixture, stop.signal);
  const { outcome } = await running;
  stop.abort();
  await answering;
  return outcome;
}
async function answerOnce(fixture: WorkflowFixture, signal: AbortSignal): Promise<void> {
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

/** Every task of the workflow at which a function, or the query, can die. */
export const steps = tasksOf(committed('detect').States)
  .map(([name]) => name)
  .filter((name) => name !== 'Report the fault');
export const crashes = steps.flatMap((state) => (['before', 'after'] as const).map((when) => ({ state, when })));

/** The state that an undisturbed run ends in; filled in before the tests of a file. */
export function undisturbed(): { state: unknown; withoutNotices: () => unknown } {
  const reference = {
    state: undefined as unknown,
    withoutNotices: () => withoutNotices(reference.state),
  };
  beforeAll(async () => {
    const fixture = await workflowFixture({ rows });
    expect(await runThrough(fixture)).toBe('succeeded');
    reference.state = await fixture.finalState();
    await fixture.close();
  });
  return reference;
}

export function withoutNotices(state: unknown): unknown {
  const { notices: _notices, ...rest } = state as Record<string, unknown>;
  return rest;
}
