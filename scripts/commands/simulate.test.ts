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
  const stdout = new PassThrough();
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const program = new Command().exitOverride();
  registerSimulate(program.command('detect'), createCli({ json: true, configPath: 'portcullis.config.ts' }, streams));
  await program.parseAsync(['detect', 'simulate', ...words], { from: 'user' });
  return JSON.parse(String(stdout.read())) as Record<string, unknown>;
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
    [['--start', 'tomorrow'], '--start wants a time such as'],
  ])('says what is wrong with %j', async (words, message) => {
    await expect(run(join(folder, 'wrong'), ...words)).rejects.toThrow(message);
    await expect(run(join(folder, 'wrong'), ...words)).rejects.toMatchObject({ exitCode: 2 });
  });
});
