import { Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { CliError, createCli } from '../cli/output.js';
import { register } from './token.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-token-'));
const keyFile = join(folder, 'key.json');
const secret = randomBytes(32).toString('base64url');
writeFileSync(keyFile, JSON.stringify({ alg: 'HS256', kid: 'k1', k: secret }));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  process.exitCode = undefined;
});

async function run(
  words: readonly string[],
  json = true,
): Promise<{ out: string; err: string; json: Record<string, unknown> }> {
  const texts = { out: '', err: '' };
  const sink = (name: 'out' | 'err'): Writable =>
    new Writable({ write: (chunk, _, done) => ((texts[name] += String(chunk)), done()) });
  const cli = createCli({ json, configPath: 'none' }, {
    stdin: process.stdin,
    stdout: sink('out'),
    stderr: sink('err'),
  } as never);
  const program = new Command().exitOverride();
  register(program, cli);
  await program.parseAsync(['token', ...words], { from: 'user' });
  return { ...texts, json: json ? (JSON.parse(texts.out) as Record<string, unknown>) : {} };
}

const signing = ['sign', '--key', keyFile, '--path', '/live/ch1/', '--country', 'GB', '--no-jitter'];

describe('portcullis token', () => {
  it('signs a playback URL, and shows the command line nothing of the key', async () => {
    const { json, out, err } = await run([
      'sign',
      '--key',
      keyFile,
      '--url',
      'https://cdn.example/live/ch1/main.m3u8',
      '--placement',
      'prefix:/live',
      '--issuer',
      'cms',
    ]);
    expect(json['url']).toBe(`https://cdn.example/live/${String(json['token'])}/ch1/main.m3u8`);
    expect(out + err).not.toContain(secret);
  });

  it('reads back what it signed, in either format', async () => {
    for (const format of ['cat', 'jwt']) {
      const { json } = await run([...signing, '--format', format, '--claims', '{"x":1}']);
      const read = await run(['inspect', `https://cdn.example/${String(json['token'])}/live/ch1/a.ts`]);
      expect(read.json).toMatchObject({
        format,
        alg: 'HS256',
        kid: 'k1',
        claims: { catgeoiso3166: ['GB'], catu: { path: { prefix: '/live/ch1/' } }, x: 1 },
      });
      expect((await run(['inspect', String(json['token'])], false)).out).toContain('countries');
    }
  });

  it('verifies against a request, and refuses with the reason as code and exit code 1', async () => {
    const { json } = await run(signing);
    const token = String(json['token']);
    const request = ['--key', keyFile, '--url', '/live/ch1/a.ts', '--header', 'CloudFront-Viewer-Country: GB'];
    expect((await run(['verify', token, ...request])).json).toMatchObject({ admitted: true });
    const refused = await run(['verify', token, ...request.slice(0, -1), 'CloudFront-Viewer-Country: US']).catch(
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(CliError);
    expect(refused).toMatchObject({ code: 'country_mismatch', exitCode: 1 });
    expect((await run(['verify', token, '--key', keyFile])).json).toMatchObject({ admitted: true });
  });

  it('explains a refusal: which claim, with what value, and what was expected', async () => {
    const { json } = await run(signing);
    const pasted = `https://cdn.example/${String(json['token'])}/live/ch2/a.ts`;
    const explained = await run(['explain', pasted, '--key', keyFile, '--header', 'CloudFront-Viewer-Country: US']);
    expect(explained.json).toMatchObject({ admitted: false });
    const checks = explained.json['checks'] as { check: string; holds: boolean; value?: unknown; actual?: unknown }[];
    expect(
      checks
        .filter(({ holds }) => holds === false)
        .map(({ check }) => check)
        .sort(),
    ).toEqual(['catgeoiso3166', 'catu']);
    expect(checks.find(({ check }) => check === 'catgeoiso3166')).toMatchObject({
      value: ['GB'],
      actual: { country: 'US' },
    });
    expect(checks.find(({ check }) => check === 'catu')).toMatchObject({ actual: 'https://cdn.example/live/ch2/a.ts' });
    expect(process.exitCode).toBe(1);
    expect((await run(['explain', pasted, '--key', keyFile], false)).out).toContain('✗');
    expect((await run(['explain', 'nonsense', '--key', keyFile])).json).toMatchObject({ reason: 'malformed_token' });
  });

  it.each([
    [['sign', '--key', keyFile], 'missing_option', 2],
    [['sign', '--key', '/nowhere/key.json', '--path', '/'], 'unreadable_key', 2],
    [[...signing, '--country', 'UK'], 'invalid_policy', 2],
    [[...signing, '--placement', 'moon'], 'invalid_option', 2],
    [[...signing, '--claims', '[]'], 'invalid_option', 2],
    [['sign', '--path', '/'], 'key_unavailable', 1],
    [['inspect', 'nonsense'], 'malformed_token', 1],
  ])('answers wrong usage of %j with %s', async (words, code, exitCode) => {
    const error = await run(words as string[]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, exitCode });
  });
});
