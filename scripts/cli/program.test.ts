import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import { commandGroups } from './commands.js';
import { createCli } from './output.js';
import { runProgram } from './program.js';

async function run(...args: string[]): Promise<{ exitCode: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
  const exitCode = await runProgram(args, { version: '1.2.3', streams: { stdin: new PassThrough(), stdout, stderr } });
  return { exitCode, out, error };
}

describe('help', () => {
  test('names every command, and where to begin', async () => {
    const { exitCode, out } = await run('--help');
    expect(exitCode).toBe(0);
    for (const word of commandGroups.flatMap(({ words }) => words))
      expect(out).toMatch(new RegExp(`^  ${word}\\b`, 'm'));
    expect(out).toContain('npm start');
  });

  test('comes without arguments too, once', async () => {
    const { exitCode, out } = await run();
    expect(exitCode).toBe(0);
    expect(out.match(/^Usage:/gm)).toHaveLength(1);
  });

  test('of one command', async () => {
    const { exitCode, out } = await run('build', '--help');
    expect(exitCode).toBe(0);
    expect(out).toContain('10,240');
  });

  test('version', async () => {
    expect(await run('--version')).toMatchObject({ exitCode: 0, out: '1.2.3\n' });
  });
});

describe('errors say what was wrong and what to do', () => {
  test.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['build', '--nonsense'], "unknown option '--nonsense'"],
    [['build', '--profile', 'huge'], '--profile must be one of'],
    [['build', '--config', '/no/such/file.ts'], '--config: there is no file'],
  ])('%j is wrong usage', async (args, message) => {
    const { exitCode, error, out } = await run(...args);
    expect(exitCode).toBe(2);
    expect(error).toContain(message);
    expect(out).toBe('');
  });

  test.each([[['nonsense', '--json']], [['--json', 'build', '--profile', 'huge']]])(
    '%j: one line of JSON with a code',
    async (args) => {
      const { exitCode, error } = await run(...args);
      expect(exitCode).toBe(2);
      expect(error.trim().split('\n')).toHaveLength(1);
      expect(JSON.parse(error)).toMatchObject({ error: { code: 'usage' } });
    },
  );
});

test('--json and --config hold before and after the command', async () => {
  for (const args of [
    ['--json', 'build', '--dry-run', '--config', 'portcullis.config.ts'],
    ['--config=portcullis.config.ts', 'build', '--dry-run', '--json'],
  ]) {
    const { exitCode, out, error } = await run(...args);
    expect(error).toBe('');
    expect(exitCode).toBe(0);
    expect((JSON.parse(out) as { config: string }).config).toMatch(/portcullis\.config\.ts$/);
  }
});

describe('every command', () => {
  const leaves: [string, Command][] = [];
  beforeAll(async () => {
    const program = new Command();
    const cli = createCli({ json: false, configPath: 'none' });
    for (const { load } of commandGroups) (await load()).register(program, cli);
    const visit = (command: Command, path: string): void => {
      if (command.commands.length === 0) leaves.push([path, command]);
      for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim());
    };
    visit(program, '');
  });

  test('says what it is for', () => {
    expect(leaves.filter(([, command]) => command.description().length < 10).map(([path]) => path)).toEqual([]);
  });

  test('explains every option', () => {
    const silent = leaves.flatMap(([path, { options }]) =>
      options.filter((option) => option.description === '').map((option) => `${path} ${option.flags}`),
    );
    expect(silent).toEqual([]);
  });
});
