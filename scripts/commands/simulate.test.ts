import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCli } from '../cli/output.js';
import { registerSimulate } from './simulate.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-simulate-command-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(...words: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await output(true, ...words)) as Record<string, unknown>;
}

async function output(json: boolean, ...words: string[]): Promise<string> {
  const stdout = new PassThrough();
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const program = new Command().exitOverride();
  registerSimulate(program.command('detect'), createCli({ json, configPath: 'portcullis.config.ts' }, streams));
  await program.parseAsync(['detect', 'simulate', ...words], { from: 'user' });
  return String(stdout.read());
}

describe('detect simulate', () => {
  it('writes logs that are the same for the same seed, and labels beside them', async () => {
    const options = ['--viewers', '60', '--minutes', '1', '--gzip', '--seed', 'x'];
    const first = await run(join(folder, 'a'), ...options);
    const second = await run(join(folder, 'b'), ...options);
    expect(first['rows']).toBeGreaterThan(500);
    expect(second['rows']).toBe(first['rows']);
    const [file] = await readdir(join(folder, 'a'));
    const contents = await Promise.all(['a', 'b'].map((name) => readFile(join(folder, name, file as string))));
    expect(contents[0]?.equals(contents[1] as Buffer)).toBe(true);
    const labels = (await readFile(first['labels'] as string, 'utf8')).trimEnd().split('\n');
    expect(labels.length).toBeGreaterThanOrEqual(60);
    expect(JSON.parse(labels[0] as string)).toMatchObject({ session: expect.any(String) as string, abuser: true });
  });

  it('writes nothing in a dry run', async () => {
    const result = await run(join(folder, 'dry'), '--dry-run', '--viewers', '100');
    expect(result).toMatchObject({ dryRun: true, sessions: { viewer: expect.any(Number) as number } });
    expect(await readdir(folder)).not.toContain('dry');
  });

  it.each([
    [['--viewers', 'many'], '--viewers wants a number from 1 to 1000000, not "many".'],
    [['--viewers', '1.5'], '--viewers wants a whole number'],
    [['--abusers', '2'], '--abusers wants a number from 0 to 1'],
    [['--sampling', '0'], '--sampling 0 would leave no request'],
    [['--format', 'parquet', '--gzip'], '--gzip compresses text'],
    [['--start', 'tomorrow'], '--start wants a time such as'],
  ])('says what is wrong with %j', async (words, message) => {
    await expect(run(join(folder, 'wrong'), ...words)).rejects.toThrow(message);
    await expect(run(join(folder, 'wrong'), ...words)).rejects.toMatchObject({ exitCode: 2 });
  });

  it('writes into no folder that holds something, which the labels would not tell of', async () => {
    const target = join(folder, 'twice');
    const options = ['--viewers', '20', '--minutes', '1'];
    const first = await run(target, ...options);
    const before = await readFile(first['labels'] as string, 'utf8');
    await expect(run(target, ...options, '--seed', '9')).rejects.toMatchObject({
      code: 'folder_not_empty',
      message: expect.stringContaining('is not empty') as string,
    });
    expect(await readFile(first['labels'] as string, 'utf8')).toBe(before);
    await expect(run(first['labels'] as string, ...options)).rejects.toMatchObject({ code: 'no_folder' });
  });

  it('says how a real-time log is read, which has no header line', async () => {
    const target = join(folder, 'real time');
    const text = await output(false, target, '--viewers', '20', '--minutes', '1', '--format', 'realtime');
    expect(text).toContain(
      `portcullis detect run '${target}' --address-database '${target}.addresses.csv' --fields '${target}.fields.txt'`,
    );
  });
});
