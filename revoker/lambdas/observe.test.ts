import { describe, expect, it } from 'vitest';
import { RevokerError } from '../errors.js';
import { named, observed, type Handler } from './observe.js';

const context = { awsRequestId: 'request-1' };

function watched<Event, Answer>(handler: Handler<Event, Answer>) {
  const lines: Record<string, unknown>[] = [];
  let time = 1_800_000_000_000;
  const run = observed('Test', () => handler, {
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
    now: () => (time += 5),
  });
  return { run, lines };
}

describe('an observed function', () => {
  it('writes one JSON line per event, and its metrics in the embedded format', async () => {
    const { run, lines } = watched(async (event: { n: number }, scope) => {
      scope.log('half way', { n: event.n });
      scope.count('things', 2);
      scope.count('things');
      return event.n * 2;
    });
    expect(await run({ n: 4 }, context)).toBe(8);
    expect(lines[0]).toMatchObject({
      level: 'info',
      function: 'Test',
      requestId: 'request-1',
      message: 'half way',
      n: 4,
    });
    expect(lines[1]).toMatchObject({ function: 'Test', things: 3, duration: expect.any(Number) as number });
    const { _aws: meta } = lines[1] as { _aws: { Timestamp: number; CloudWatchMetrics: unknown[] } };
    expect(meta.CloudWatchMetrics).toEqual([
      {
        Namespace: 'Portcullis',
        Dimensions: [['function']],
        Metrics: [
          { Name: 'things', Unit: 'Count' },
          { Name: 'duration', Unit: 'Milliseconds' },
        ],
      },
    ]);
    expect(meta.Timestamp).toBeGreaterThan(1_800_000_000_000);
  });

  it('cannot be made to lie by a field called like one of its own', async () => {
    const { run, lines } = watched(async (_event: null, scope) =>
      scope.log('true', { level: 'error', message: 'false' }),
    );
    await run(null, context);
    expect(lines[0]).toMatchObject({ level: 'info', message: 'true' });
  });

  it('logs a failure, counts it and throws it under the name that Retry knows', async () => {
    const { run, lines } = watched(async () => {
      throw new RevokerError('store_unavailable', 'Store main does not answer.');
    });
    await expect(run(null, context)).rejects.toMatchObject({ name: 'TransientFault' });
    expect(lines[0]).toMatchObject({ level: 'error', fault: 'TransientFault' });
    expect(lines[1]).toMatchObject({ faults: 1 });
  });

  it('tries its set-up again at the next invocation', async () => {
    let attempts = 0;
    const run = observed(
      'Test',
      () => {
        attempts += 1;
        if (attempts === 1) throw new Error('no network yet');
        return async () => 'ready';
      },
      { write: () => undefined },
    );
    await expect(run(null, context)).rejects.toThrow('no network yet');
    await expect(run(null, context)).resolves.toBe('ready');
    await expect(run(null, context)).resolves.toBe('ready');
    expect(attempts).toBe(2);
  });
});

describe('errors get the name that says whether to try again', () => {
  it.each([
    ['a store that does not answer', new RevokerError('store_unavailable', 'x'), 'TransientFault'],
    ['a ledger under contention', new RevokerError('ledger_conflict', 'x'), 'TransientFault'],
    ['a request that is wrong', new RevokerError('invalid_request', 'x'), 'PermanentFault'],
    ['a full store', new RevokerError('store_full', 'x'), 'PermanentFault'],
    ['a throttled call', Object.assign(new Error('x'), { name: 'ThrottlingException' }), 'TransientFault'],
    [
      'a fault on the other side',
      Object.assign(new Error('x'), { name: 'Odd', $metadata: { httpStatusCode: 503 } }),
      'TransientFault',
    ],
    ['a lost connection', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), 'TransientFault'],
    [
      'a denied permission',
      Object.assign(new Error('x'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } }),
      'PermanentFault',
    ],
    ['a bug', new TypeError('x is not a function'), 'PermanentFault'],
    ['something thrown that is no error', 'oops', 'PermanentFault'],
  ])('%s', (_what, error, name) => {
    expect(named(error).name).toBe(name);
  });
});
