import { beforeAll, describe, expect, it } from 'vitest';

/** The proofs of this folder rest on the interpreter: these properties of it are checked first. */
describe('the ASL interpreter, with local handlers', () => {
  let StateMachine: (typeof import('aws-local-stepfunctions'))['StateMachine'];
  beforeAll(async () => {
    await import('./interpreter.js');
    ({ StateMachine } = await import('aws-local-stepfunctions'));
  });

  const resource = 'arn:aws:lambda:us-east-1:123456789012:function:f';
  const boom = (): never => {
    throw Object.assign(new Error('boom'), { name: 'Boom' });
  };

  it('retries as often as Retry says, and only the errors it names', async () => {
    const retry = { ErrorEquals: ['Boom'], IntervalSeconds: 1, MaxAttempts: 3, BackoffRate: 2 };
    const machine = new StateMachine({
      StartAt: 'A',
      States: { A: { Type: 'Task', Resource: resource, Retry: [retry], End: true } },
    });
    let calls = 0;
    const run = (name: string): Promise<unknown> =>
      machine.run(
        {},
        {
          overrides: {
            taskResourceLocalHandlers: {
              A: async () => {
                calls += 1;
                throw Object.assign(new Error(name), { name });
              },
            },
            retryIntervalOverrides: { A: 1 },
          },
        },
      ).result;
    await expect(run('Boom')).rejects.toThrow();
    expect(calls).toBe(4);
    calls = 0;
    await expect(run('Other')).rejects.toThrow();
    expect(calls).toBe(1);
  });

  it('goes where Catch says, with the error at its ResultPath', async () => {
    const machine = new StateMachine({
      StartAt: 'A',
      States: {
        A: {
          Type: 'Task',
          Resource: resource,
          Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.fault', Next: 'B' }],
          End: true,
        },
        B: { Type: 'Succeed' },
      },
    });
    const result = await machine.run(
      { kept: 1 },
      { overrides: { taskResourceLocalHandlers: { A: async () => boom() } } },
    ).result;
    expect(result).toEqual({ kept: 1, fault: { Error: 'Boom', Cause: 'boom' } });
  });

  it('runs no more items of a map at once than MaxConcurrency', async () => {
    let now = 0;
    let most = 0;
    const machine = new StateMachine({
      StartAt: 'A',
      States: {
        A: {
          Type: 'Map',
          MaxConcurrency: 2,
          ItemProcessor: {
            StartAt: 'B',
            States: { B: { Type: 'Task', Resource: resource, End: true } },
          },
          End: true,
        },
      },
    });
    const handler = async (): Promise<null> => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now -= 1;
      return null;
    };
    await machine.run([1, 2, 3, 4, 5, 6], { overrides: { taskResourceLocalHandlers: { B: handler } } }).result;
    expect(most).toBe(2);
  });

  it('ends a task that takes too long with States.Timeout', async () => {
    const machine = new StateMachine({
      StartAt: 'A',
      States: {
        A: {
          Type: 'Task',
          Resource: resource,
          TimeoutSeconds: 1,
          Catch: [{ ErrorEquals: ['States.Timeout'], ResultPath: '$.silence', Next: 'B' }],
          End: true,
        },
        B: { Type: 'Succeed' },
      },
    });
    const never = (): Promise<never> => new Promise(() => undefined);
    const result = await machine.run({}, { overrides: { taskResourceLocalHandlers: { A: never } } }).result;
    expect(result).toMatchObject({ silence: { Error: 'States.Timeout' } });
  });
});
