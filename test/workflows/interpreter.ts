import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Machine, State, States } from '../../revoker/workflows/asl.js';
import type { FunctionName, WorkflowName } from '../../revoker/workflows/index.js';

/*
 * The interpreter is written for Node 22 and needs this one function of it; with it, it runs on Node 20, and Retry,
 * Catch, map concurrency and timeouts hold for local handlers (first tests of this folder).
 */
(Promise as { withResolvers?: unknown }).withResolvers ??= function withResolvers() {
  let resolve: unknown;
  let reject: unknown;
  const promise = new Promise((onDone, onFault) => {
    resolve = onDone;
    reject = onFault;
  });
  return { promise, resolve, reject };
};
const { StateMachine } = await import('aws-local-stepfunctions');

/** A definition as committed. */
export function committed(name: WorkflowName): Machine {
  return JSON.parse(
    readFileSync(new URL(`../../revoker/workflows/${name}.asl.json`, import.meta.url), 'utf8'),
  ) as Machine;
}

/** Every task of a definition, those inside maps included. */
export function tasksOf(states: States): [name: string, state: State & { Type: 'Task' }][] {
  return Object.entries(states).flatMap(([name, state]) => {
    if (state.Type === 'Map') return tasksOf(state.ItemProcessor.States);
    return state.Type === 'Task' ? [[name, state] as [string, State & { Type: 'Task' }]] : [];
  });
}

/** A crash of a function: `before` it did anything, or `after` it did everything but before it answered. */
export interface Crash {
  readonly state: string;
  readonly when: 'before' | 'after';
  /** How many invocations in a row. */
  readonly times: number;
}

export interface Services {
  /** Calls a function by name; JSON in, JSON out. */
  invoke(name: FunctionName, payload: unknown): Promise<unknown>;
  /** `athena:startQueryExecution.sync`. */
  query(parameters: Record<string, unknown>): Promise<unknown>;
  /** Task tokens that wait for an answer. */
  readonly waiting: Map<string, (output: unknown) => void>;
}

export interface Execution {
  readonly outcome: 'succeeded' | 'failed';
  readonly output: Record<string, unknown>;
  readonly error?: string;
  /** States in the order in which they were entered. */
  readonly path: readonly string[];
  readonly retries: number;
}

/** What a Lambda that dies, or a query that is not taken, looks like to Step Functions. */
function died(task: State & { Type: 'Task' }, message: string): Error {
  const name = task.Resource.includes(':athena:') ? 'Athena.TooManyRequestsException' : 'Runtime.ExitError';
  return Object.assign(new Error(message), { name });
}

const overTheWire = (value: unknown): unknown =>
  value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown);

/**
 * The interpreter looks a `TimeoutSecondsPath` up in the parameters; the language means the state's input. So the
 * number that the run's plan put there stands in for the path.
 */
function withTimeouts(machine: Machine, seconds: number): Machine {
  const States = Object.fromEntries(
    Object.entries(machine.States).map(([name, state]) => {
      if (state.Type !== 'Task' || state.TimeoutSecondsPath === undefined) return [name, state];
      const { TimeoutSecondsPath: _path, ...rest } = state;
      return [name, { ...rest, TimeoutSeconds: seconds }];
    }),
  ) as States;
  // Its timer holds 24 days at most.
  return { ...machine, TimeoutSeconds: Math.min(machine.TimeoutSeconds, 20 * 86_400), States };
}

/** Runs a workflow from its committed definition. Pauses between attempts, and waits, are cut to nothing. */
export async function execute(
  name: WorkflowName,
  input: Record<string, unknown>,
  services: Services,
  options: { readonly executionName: string; readonly approvalSeconds: number; readonly crashes?: readonly Crash[] },
): Promise<Execution> {
  const machine = withTimeouts(committed(name), options.approvalSeconds);
  const crashes = (options.crashes ?? []).map((crash) => ({ ...crash, left: crash.times }));
  const token = randomUUID();

  async function perform(
    stateName: string,
    task: State & { Type: 'Task' },
    parameters: Record<string, unknown>,
  ): Promise<unknown> {
    const crash = crashes.find((one) => one.state === stateName && one.left > 0);
    if (crash) crash.left -= 1;
    if (crash?.when === 'before') throw died(task, 'killed before it began');
    const answered = task.Resource.endsWith('.waitForTaskToken')
      ? new Promise((resolve) => services.waiting.set(token, resolve))
      : undefined;
    let answer: unknown;
    if (task.Resource.includes(':athena:')) answer = await services.query(parameters);
    else {
      const fn = /^\$\{(\w+)Arn\}$/.exec(String(parameters['FunctionName']))?.[1] as FunctionName;
      answer = { Payload: overTheWire(await services.invoke(fn, overTheWire(parameters['Payload']))) };
    }
    if (crash?.when === 'after') throw died(task, 'killed before it answered');
    return answered ?? answer;
  }

  const tasks = tasksOf(machine.States);
  const waits = Object.entries(machine.States).filter(([, state]) => state.Type === 'Wait');
  const runner = new StateMachine(machine as unknown as ConstructorParameters<typeof StateMachine>[0], {
    validationOptions: { checkArn: false },
  });
  const execution = runner.run(input as Parameters<typeof runner.run>[0], {
    context: { Execution: { Name: options.executionName, Input: input }, Task: { Token: token } } as never,
    overrides: {
      taskResourceLocalHandlers: Object.fromEntries(
        tasks.map(([state, task]) => [
          state,
          (parameters: unknown) => perform(state, task, parameters as Record<string, unknown>) as never,
        ]),
      ),
      retryIntervalOverrides: Object.fromEntries(tasks.map(([state]) => [state, 1])),
      waitTimeOverrides: Object.fromEntries(waits.map(([state]) => [state, 1])),
    },
  });
  const path: string[] = [];
  let retries = 0;
  const watching = (async () => {
    for await (const log of execution.eventLogs) {
      const { type, state } = log as { type: string; state?: { name: string } };
      if (type === 'StateEntered' && state) path.push(state.name);
      if (type === 'StateRetried') retries += 1;
    }
  })();
  try {
    const output = (await execution.result) as Record<string, unknown>;
    await watching;
    return { outcome: 'succeeded', output, path, retries };
  } catch (error) {
    await watching;
    return { outcome: 'failed', output: {}, error: String((error as Error).cause ?? error), path, retries };
  }
}
