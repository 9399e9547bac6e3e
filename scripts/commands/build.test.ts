import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import type { BuildReport } from '../build/build.js';
import { runProgram } from '../cli/program.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-build-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `build` with a configuration written as JSON. */
async function build(config: object, ...args: string[]): Promise<{ exitCode: number; out: string; error: string }> {
  const file = join(folder, 'build.config.json');
  writeFileSync(file, JSON.stringify(config));
  let out = '';
  let error = '';
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
  const exitCode = await runProgram(
    ['build', '--config', file, '--output', join(folder, 'functions'), '--json', ...args],
    { version: '0', streams: { stdin: new PassThrough(), stdout, stderr } },
  );
  return { exitCode, out, error };
}

const lean = { profile: 'jwt-minimal', placements: { query: true }, claims: { use: [] } };
const report = (): BuildReport =>
  JSON.parse(readFileSync(join(folder, 'functions/report.json'), 'utf8')) as BuildReport;

describe('portcullis build', () => {
  test('writes both functions, the profiles that were asked for, and their sizes', async () => {
    const { exitCode, out } = await build(lean, '--profile', 'jwt-minimal');
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toEqual(report());
    expect(report().failures).toEqual([]);
    expect(report().functions.map(({ profile, name }) => `${profile} ${name}`)).toEqual([
      'configured viewer-request',
      'configured viewer-response',
      'jwt-minimal viewer-request',
      'jwt-minimal viewer-response',
    ]);
    for (const { profile, name, bytes } of report().functions) {
      const file = join(folder, 'functions', profile === 'configured' ? '' : profile, `${name}.js`);
      expect(readFileSync(file)).toHaveLength(bytes);
    }
  });

  test('leaves out what is not configured: a leaner policy makes a smaller function', async () => {
    await build(lean, '--no-profiles');
    const size = (): number => report().functions[0]?.bytes ?? 0;
    const before = size();
    await build({ ...lean, claims: { use: ['catu', 'catnip'] } }, '--no-profiles');
    expect(size()).toBeGreaterThan(before);
  });

  test('fails over the limit, says by how much and what to do, and still reports', async () => {
    const words = Array.from({ length: 2000 }, (_, i) => `word${i}`).join(' ');
    writeFileSync(
      join(folder, 'large.ts'),
      `export default (event: object): void => { console.log(event, '${words}'); };`,
    );
    const { exitCode, error } = await build({ ...lean, hooks: { before: './large.ts' } }, '--no-profiles');
    expect(exitCode).toBe(1);
    const { error: said } = JSON.parse(error) as { error: { code: string; message: string; hint: string } };
    expect(said.code).toBe('function_too_large');
    expect(said.message).toMatch(/Over 10240 bytes: configured viewer-request \d{5}\./);
    expect(said.hint).toContain('--features');
    expect(report().failures).toHaveLength(1);
  });

  test('--dry-run writes nothing and names what would be compiled in', async () => {
    rmSync(join(folder, 'functions'), { recursive: true, force: true });
    const { exitCode, out } = await build(lean, '--dry-run');
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ placements: [{ kind: 'query', name: 'CAT' }] });
    expect((JSON.parse(out) as { features: string[] }).features).toContain('jwt');
    expect(existsSync(join(folder, 'functions'))).toBe(false);
  });

  test('a wrong configuration is wrong usage', async () => {
    const { exitCode, error } = await build({ mode: 'loud' });
    expect(exitCode).toBe(2);
    expect(error).toContain('mode: expected one of');
  });
});

describe('with a section lambda', () => {
  const key = {
    kty: 'EC',
    crv: 'P-256',
    kid: 'cms',
    x: '04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY',
    y: 'UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw',
  };

  test('portcullis build puts the packages beside the functions, and says how large they are', async () => {
    const lambda = { keys: [{ kind: 'jwks', jwks: { keys: [key] } }], guard: {} };
    const { exitCode, out } = await build({ ...lean, lambda }, '--no-profiles');
    const { lambdas } = JSON.parse(out) as { lambdas: { name: string; zip: string; zipBytes: number }[] };
    expect([exitCode, lambdas.map(({ name }) => name)]).toEqual([0, ['guard']]);
    expect(readFileSync(join(folder, 'functions/lambda/guard.zip'))).toHaveLength(lambdas[0]?.zipBytes ?? 0);
  });

  test('portcullis build says what is wrong with its keys', async () => {
    const lambda = { keys: [{ kind: 'jwks', jwks: { key } }], guard: {} };
    const { exitCode, error } = await build({ ...lean, lambda }, '--no-profiles');
    expect([exitCode, JSON.parse(error)]).toMatchObject([1, { error: { code: 'invalid_config' } }]);
    expect(error).toContain('JWK set');
  });
});
