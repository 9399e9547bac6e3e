import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CliError, createCli } from '../../scripts/cli/output.js';
import { register } from '../../scripts/commands/waf.js';
import { createWafApi, type WafApi } from '../../scripts/local-edge/wafv2-api.js';

let folder = '';
let api: WafApi;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waf-'));
  api = await createWafApi();
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await api.close();
});

/** Runs one command line; the text of both outputs. */
async function run(...args: string[]): Promise<{ out: string; error: string }> {
  const stream = () => {
    const made = new PassThrough();
    let text = '';
    made.on('data', (chunk: Buffer) => (text += chunk.toString()));
    return { made, text: () => text };
  };
  const out = stream();
  const error = stream();
  const json = args.includes('--json');
  const cli = createCli(
    { json, configPath: join(folder, 'portcullis.config.json') },
    { stdin: new PassThrough(), stdout: out.made, stderr: error.made },
  );
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  register(program, cli);
  await program.parseAsync(['waf', ...args.filter((each) => each !== '--json')], { from: 'user' });
  return { out: out.text(), error: error.text() };
}
const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await run(...args, '--json')).out) as Record<string, unknown>;

const configure = (waf: object): void => {
  const record = join(folder, 'rollout.json');
  writeFileSync(join(folder, 'portcullis.config.json'), JSON.stringify({ waf: { rollout: { file: record }, ...waf } }));
};

describe('against the WAF API on loopback', () => {
  test('plan, apply, enforce, roll back', async () => {
    configure({ preset: 'vod', mint: { path: '/token' } });
    const endpoint = ['--endpoint', api.endpoint];
    expect((await run('plan', ...endpoint)).out).toContain('+ web-acl portcullis');
    expect(api.find('webacl', 'portcullis')).toBeUndefined();

    const first = await json('apply', ...endpoint);
    expect(first).toMatchObject({ version: 1 });
    expect((await run('apply', ...endpoint)).out).toContain('nothing changed');

    const dry = await json('apply', '--enforce', 'all', '--why', 'kick-off', '--dry-run', ...endpoint);
    expect(JSON.stringify(dry)).toContain('Count → Block 401');
    expect(JSON.stringify(api.find('webacl', 'portcullis'))).not.toContain('"ResponseCode":401');
    expect(readFileSync(join(folder, 'rollout.json'), 'utf8')).not.toContain('kick-off');

    await expect(run('apply', '--enforce', 'all', ...endpoint)).rejects.toMatchObject({
      code: 'reason_needed',
      exitCode: 2,
    });
    await expect(run('apply', '--enforce', 'all', '--why', 'x', ...endpoint)).rejects.toMatchObject({
      code: 'confirmation_needed',
    });
    await run('apply', '--enforce', 'all', '--why', 'kick-off', '--by', 'alice', '--yes', ...endpoint);
    expect(JSON.stringify(api.find('webacl', 'portcullis'))).toContain('"ResponseCode":401');
    expect(readFileSync(join(folder, 'rollout.json'), 'utf8')).toContain('"by":"alice","why":"kick-off"');
    expect((await json('rules')).rules).toContainEqual(
      expect.objectContaining({ rule: 'token-missing', stage: 'enforce' }),
    );

    expect((await json('rollback', '--dry-run')).versions).toMatchObject([{ version: 1 }, { version: 2 }]);
    await run('rollback', '--yes', ...endpoint);
    expect(JSON.stringify(api.find('webacl', 'portcullis'))).not.toContain('"ResponseCode":401');
  });

  test('capacity --check compares with what AWS counts', async () => {
    configure({ preset: 'strict' });
    await run('apply', '--endpoint', api.endpoint);
    const found = await json('capacity', '--check', '--endpoint', api.endpoint);
    expect(found['aws']).toBe(found['wcu']);
  });

  test('an API that does not answer is said to be so', async () => {
    configure({});
    const { endpoint } = api;
    await api.close();
    await expect(run('plan', '--endpoint', endpoint)).rejects.toBeInstanceOf(CliError);
    api = await createWafApi();
  }, 120_000);
});

describe('without AWS', () => {
  test('capacity prints every preset, wcu in JSON', async () => {
    configure({});
    const found = await json('capacity');
    expect(found['wcu']).toBeTypeOf('number');
    expect((found['presets'] as { preset: string }[]).map((each) => each.preset)).toEqual([
      'live-event',
      'vod',
      'strict',
      'observe',
    ]);
    expect((await run('capacity', '--preset', 'strict')).out).toContain('portcullis-token-missing');
  });

  test('a rule set over its ceiling fails', async () => {
    configure({ capacity: { ceiling: 100 } });
    await expect(run('capacity')).rejects.toMatchObject({ code: 'capacity_exceeded', exitCode: 1 });
  });

  test('last night’s log: what would have been blocked, by rule, with examples and without tokens', async () => {
    configure({ placements: [{ kind: 'query', name: 'CAT' }], protectedPaths: ['/live/'] });
    const token = `eyJ${'a'.repeat(80)}`;
    const fields =
      'date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie)';
    const line = (second: number, ip: string, uri: string, query: string, status = 200): string =>
      [
        '2026-11-19',
        `20:00:${String(second).padStart(2, '0')}`,
        'FRA2',
        '100',
        ip,
        'GET',
        'd1.cloudfront.net',
        uri,
        status,
        '-',
        'Mozilla/5.0%20(TV)',
        query,
        '-',
      ].join('\t');
    mkdirSync(join(folder, 'logs'));
    writeFileSync(
      join(folder, 'logs', 'E1.2026-11-19-20.gz'),
      gzipSync(
        [
          '#Version: 1.0',
          `#Fields: ${fields}`,
          line(1, '31.1.1.1', '/live/a.m4s', `CAT=${token}`),
          line(3, '23.0.0.9', '/live/a.m4s', `CAT=${token}`),
          line(2, '31.1.1.2', '/live/a.m4s', '-', 403),
        ].join('\n'),
      ),
    );
    writeFileSync(join(folder, 'vpn.txt'), '# a list\n23.0.0.0/16 # one\n');
    const args = ['simulate', join(folder, 'logs'), '--anonymous', join(folder, 'vpn.txt')];
    const report = await json(...args);
    expect(report).toMatchObject({ requests: 3, allowed: 1, blocked: 2 });
    expect(report['rules']).toContainEqual(
      expect.objectContaining({ rule: 'AnonymousIPList', ended: 1, servedThen: 1, addresses: 1 }),
    );
    expect(report['rules']).toContainEqual(
      expect.objectContaining({ rule: 'portcullis-token-missing', ended: 1, servedThen: 0 }),
    );
    expect(JSON.stringify(report)).not.toContain(token);
    const { out } = await run(...args);
    expect(out).toContain('/live/a.m4s?CAT=<token>');
    await expect(run(...args, '--fail-on-block')).rejects.toMatchObject({ code: 'would_block' });
  });

  test('one request typed here is explained', async () => {
    configure({});
    const { out } = await run(
      'simulate',
      '--request',
      '/live/a.m4s',
      '--address',
      '31.1.1.1',
      '--header',
      'user-agent: x',
    );
    expect(out).toContain('BLOCK by portcullis-token-missing, status 401');
  });

  test('requests from a file of JSON lines', async () => {
    configure({});
    writeFileSync(
      join(folder, 'r.jsonl'),
      '{"uri":"/live/a","address":"31.1.1.1"}\n{"uri":"/index.html","address":"31.1.1.1"}\n',
    );
    expect(await json('simulate', join(folder, 'r.jsonl'))).toMatchObject({ requests: 2, blocked: 1 });
    writeFileSync(join(folder, 'bad.jsonl'), '{"uri":"live"}\n');
    await expect(run('simulate', join(folder, 'bad.jsonl'))).rejects.toMatchObject({
      code: 'invalid_request',
      exitCode: 2,
    });
  });

  test.each([
    [['simulate'], 'nothing_to_simulate'],
    [['simulate', '/no/such/file.log'], 'no_such_file'],
    [['simulate', '--request', '/', '--header', 'nonsense'], 'wrong_option'],
    [['simulate', '--request', '/', '--placement', 'pocket'], 'wrong_option'],
    [['rollback', '--to', 'x'], 'wrong_option'],
  ])('%j is wrong usage', async (args, code) => {
    configure({});
    await expect(run(...args)).rejects.toMatchObject({ code, exitCode: 2 });
  });

  test('a wrong configuration names the path', async () => {
    configure({ countries: { block: ['usa'] } });
    await expect(run('rules')).rejects.toThrowError(/waf\.countries\.block\.0/);
  });
});
