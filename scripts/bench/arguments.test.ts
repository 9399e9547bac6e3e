import { describe, expect, it } from 'vitest';
import { readArguments } from './arguments.js';

const names = ['edge', 'lambda', 'sdk'];
const read = (...args: string[]) => readArguments(args, names);

describe('the arguments of the benchmarks', () => {
  it('name what is run, all of it where they name nothing', () => {
    expect(read()).toEqual({ kind: 'run', names, json: false });
    expect(read('--json')).toEqual({ kind: 'run', names, json: true });
    expect(read('lambda')).toEqual({ kind: 'run', names: ['lambda'], json: false });
    expect(read('sdk', '--json', 'edge')).toEqual({ kind: 'run', names: ['edge', 'sdk'], json: true });
  });

  it.each([['--help'], ['-h'], ['lambda', '--help'], ['--nonsense', '-h']])(
    'ask for help and run nothing: %s',
    (...args) => {
      const asked = read(...args);
      expect(asked.kind).toBe('help');
      if (asked.kind === 'help') for (const name of names) expect(asked.text).toContain(name);
    },
  );

  it.each([
    [['--jsn'], '--jsn'],
    [['lambda', '-x'], '-x'],
    [['lamda'], 'lamda'],
    [['lambda', 'edg', 'toString'], 'edg, toString'],
  ])('run nothing where they are not understood: %j', (args, word) => {
    const asked = read(...args);
    expect(asked).toMatchObject({ kind: 'wrong', message: expect.stringContaining(word) as string });
  });
});
