import { describe, expect, it } from 'vitest';
import { RevokerError } from '../errors.js';
import { canonicalRef, networksAround } from '../scopes.js';
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

const cancelled = (...codes: string[]): Error =>
  Object.assign(new Error('Transaction cancelled'), {
    name: 'TransactionCanceledException',
    $metadata: { httpStatusCode: 400 },
    CancellationReasons: codes.map((Code) => ({ Code })),
  });

describe('errors get the name that says whether to try again', () => {
  it.each<[string, unknown, string]>([
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
    ...[
      'RequestLimitExceeded',
      'LimitExceededException',
      'TransactionConflictException',
      'CredentialsProviderError',
    ].map(
      (name) =>
        [`what passes by its name: ${name}`, Object.assign(new Error('x y'), { name }), 'TransientFault'] as [
          string,
          unknown,
          string,
        ],
    ),
    ...['EAI_AGAIN', 'ETIMEDOUT'].map(
      (code) =>
        [`what passes by its code: ${code}`, Object.assign(new Error('x y'), { code }), 'TransientFault'] as [
          string,
          unknown,
          string,
        ],
    ),
    ['a transaction that others disturbed', cancelled('None', 'TransactionConflict'), 'TransientFault'],
    [
      'a transaction with a failed condition',
      cancelled('TransactionConflict', 'ConditionalCheckFailed'),
      'PermanentFault',
    ],
    [
      'a request whose connection was refused',
      new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) }),
      'TransientFault',
    ],
    [
      'a denied store, whatever the service called it',
      new RevokerError('store_access_denied', 'x', { cause: Object.assign(new Error('x'), { code: 'ETIMEDOUT' }) }),
      'PermanentFault',
    ],
    [
      'a quota that is used up',
      Object.assign(new Error('x'), { name: 'WAFLimitsExceededException' }),
      'PermanentFault',
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

describe('a fault names nobody', () => {
  it.each([
    ['the canonical network', () => canonicalRef({ scope: 'network', id: '203.0.113.9/2' })],
    ['what is no network', () => canonicalRef({ scope: 'network', id: 'alice@example.com' })],
    ['what is no AS number', () => canonicalRef({ scope: 'asn', id: 'alice@example.com' })],
    ['what is no address', () => networksAround('203.0.113.9x')],
    [
      'a service that quotes',
      () => {
        throw new Error('Field IP_ADDRESS, parameter "203.0.113.9/32": 2001:db8::1 (alice@example.com).');
      },
    ],
  ])('%s', (_what, act) => {
    let fault: Error | undefined;
    try {
      act();
    } catch (error) {
      fault = named(error);
    }
    expect(fault?.message).toMatch(/\w/);
    expect(fault?.message).not.toMatch(/203\.0|2001:db8|alice/);
  });
});
