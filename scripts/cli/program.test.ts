import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

describe('a group without a command', () => {
  test.each(['detect', 'token', 'revoke', 'waf', 'revocations'])(
    '%s prints its help and is wrong usage',
    async (group) => {
      const { exitCode, out, error } = await run(group);
      expect([exitCode, out]).toEqual([2, '']);
      expect(error).toMatch(new RegExp(`^Usage: portcullis ${group} .*\\n`));
      expect(error).not.toContain('outputHelp');
      expect(error).not.toContain('error:');
    },
  );

  test('is done where help was asked for', async () => {
    const { exitCode, out, error } = await run('detect', '--help');
    expect([exitCode, error]).toEqual([0, '']);
    expect(out).toContain('Usage: portcullis detect');
  });

  test('is an object under --json', async () => {
    const { exitCode, error } = await run('--json', 'detect');
    expect([exitCode, JSON.parse(error)]).toMatchObject([2, { error: { code: 'usage' } }]);
  });
});

describe('ids that begin with a hyphen', () => {
  const ids = ['-_v7-_v7-_v7-_v7-_v7-w', '--9xAbCdEfGhIjKlMnOpQr', '-yAAAAAAAAAAAAAAAAAAAA', '-VAAAAAAAAAAAAAAAAAAAA'];

  test.each(ids)('%s is an argument', async (id) => {
    const { exitCode, error } = await run('detect', 'explain', id, '/no/such/logs', '--threshold', '60', '--json');
    expect([exitCode, JSON.parse(error)]).toMatchObject([1, { error: { code: 'no_logs' } }]);
  });

  test.each(ids)('%s is one behind -- too', async (id) => {
    const { error } = await run('detect', 'explain', '--json', '--', id, '/no/such/logs');
    expect(JSON.parse(error)).toMatchObject({ error: { code: 'no_logs' } });
  });

  test.each([
    [['revoke', 'session', '-_v7-_v7-_v7-_v7-_v7-w'], 'no_store'],
    [['revoke', 'subject', '-_v7-_v7-_v7-_v7-_v7-w', '--reason', '-_v7-_v7-_v7-_v7-_v7-w'], 'no_store'],
    [['unrevoke', 'token', '-_v7-_v7-_v7-_v7-_v7-w'], 'no_store'],
  ])('%j gets as far as the store', async (args, code) => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-program-'));
    await writeFile(join(folder, 'empty.json'), '{}');
    const { error } = await run('--json', '--config', join(folder, 'empty.json'), ...args);
    await rm(folder, { recursive: true });
    expect(JSON.parse(error)).toMatchObject({ error: { code } });
  });

  test.each(['--adress-database', '-address-database', '--treshold'])(
    '%s is an unknown option still',
    async (option) => {
      const { exitCode, error } = await run('detect', 'explain', 'session', '/no/such/logs', option);
      expect([exitCode, error]).toEqual([2, expect.stringContaining(`unknown option '${option}'`)]);
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
