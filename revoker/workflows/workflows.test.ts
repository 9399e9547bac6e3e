import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';
import { describe, expect, it } from 'vitest';
import { checkMachine, type Machine, type State } from './asl.js';
import { functionNames, workflows, type WorkflowName } from './index.js';

const names = Object.keys(workflows) as WorkflowName[];

function allStates(machine: Pick<Machine, 'States'>): State[] {
  return Object.values(machine.States).flatMap((state) =>
    state.Type === 'Map' ? [state, ...allStates(state.ItemProcessor)] : [state],
  );
}

describe.each(names)('workflow %s', (name) => {
  const machine: Machine = workflows[name];
  const states = allStates(machine);

  it('is committed as generated', async () => {
    const file = fileURLToPath(new URL(`./${name}.asl.json`, import.meta.url));
    const options = { ...(await prettier.resolveConfig(file)), parser: 'json' };
    const text = await prettier.format(JSON.stringify(machine), options);
    await expect(text).toMatchFileSnapshot(file);
  });

  it('tries every function again with backoff, jitter and a bound', () => {
    for (const state of states) {
      if (state.Type !== 'Task') continue;
      const retriers = state.Retry ?? [];
      expect(retriers.length).toBeGreaterThan(0);
      for (const retrier of retriers) {
        expect(retrier).toMatchObject({ JitterStrategy: 'FULL', BackoffRate: 2 });
        expect(retrier.MaxAttempts).toBeLessThanOrEqual(10);
        expect(retrier.MaxDelaySeconds).toBeGreaterThan(0);
      }
    }
  });

  it('leaves no failure uncaught outside its maps, and fails only after it has told of it', () => {
    for (const state of Object.values(machine.States)) {
      if (state.Type !== 'Task' && state.Type !== 'Map') continue;
      expect(state.Catch?.some((catcher) => catcher.ErrorEquals.includes('States.ALL'))).toBe(true);
    }
  });

  it('bounds every task, every map and itself', () => {
    expect(machine.TimeoutSeconds).toBeGreaterThan(0);
    for (const state of states) {
      if (state.Type === 'Task') expect(state.TimeoutSeconds ?? state.TimeoutSecondsPath).toBeDefined();
      if (state.Type === 'Map') expect(state.MaxConcurrency).toBeLessThanOrEqual(10);
    }
  });

  it('names no function that does not exist', () => {
    const known = new Set<string>(functionNames.map((one) => `\${${one}Arn}`));
    for (const state of states) {
      if (state.Type === 'Task' && state.Resource.includes(':lambda:')) {
        expect(known).toContain(state.Parameters?.['FunctionName']);
      }
    }
  });
});

it('lets the plan of a run say how long an answer may take', () => {
  const { 'Unwrap the plan': unwrap, 'Ask for approval': ask } = workflows.detect.States;
  expect(ask).toMatchObject({ TimeoutSecondsPath: '$.approvalSeconds' });
  expect(unwrap).toMatchObject({ Parameters: { 'approvalSeconds.$': '$.plan.answer.approvalSeconds' } });
});

describe('a definition', () => {
  const machine = (States: Machine['States']): Machine => ({ Comment: '', TimeoutSeconds: 1, StartAt: 'A', States });

  it('may not lead to a state that is not there', () => {
    expect(() => checkMachine(machine({ A: { Type: 'Pass', Next: 'B' } }))).toThrow('There is no state "B".');
  });

  it('may not have a state that nobody reaches', () => {
    expect(() => checkMachine(machine({ A: { Type: 'Pass', End: true }, B: { Type: 'Succeed' } }))).toThrow('"B"');
  });

  it('may not have a map without a bound', () => {
    const unbounded = {
      Type: 'Map',
      ItemsPath: '$.items',
      ItemSelector: {},
      MaxConcurrency: 0,
      ItemProcessor: { ProcessorConfig: { Mode: 'INLINE' }, StartAt: 'B', States: { B: { Type: 'Succeed' } } },
      ResultPath: null,
      End: true,
    } as const;
    expect(() => checkMachine(machine({ A: unbounded }))).toThrow('no bound');
  });
});
