import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSigner } from '@portcullis/tokens';
import { createWafApi } from '../../scripts/local-edge/wafv2-api.js';
import { runCommand, type CommandResult } from './command-runner.js';
import { arn, storeFixture, type StoreFixture } from './store-fixture.js';

let fixture: StoreFixture;
let folder: string;
const secret = new Uint8Array(32).fill(7);

beforeEach(async () => {
  fixture = await storeFixture({ database: true });
  folder = await mkdtemp(join(tmpdir(), 'portcullis-commands-'));
  const kvs = { endpoint: fixture.api.endpoint, arn };
  const state = { kvs, dynamodb: { endpoint: fixture.dynamo?.endpoint, tablePrefix: '' } };
  await writeFile(join(folder, 'local.json'), JSON.stringify(state));
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
});
afterEach(async () => {
  delete process.env['PORTCULLIS_LOCAL'];
  await fixture.close();
  await rm(folder, { recursive: true });
});

const run = (line: string): Promise<CommandResult> => runCommand([...line.split(' '), '--local']);
const json = async (line: string): Promise<Record<string, unknown>> => {
  const { output, error } = await runCommand([...line.split(' '), '--local', '--json']);
  if (error) throw error;
  return JSON.parse(output) as Record<string, unknown>;
};

async function signed(): Promise<{ url: string; token: string; session: string; tokenId: string }> {
  const key = { alg: 'HS256', kid: 'demo', secret } as const;
  const signer = createSigner({ issuer: 'demo', key, placement: { kind: 'path', mode: 'first' } });
  return signer.signPlaybackUrl('https://cdn.example/live/ch1/master.m3u8', { expiresIn: '1h', subject: 'alice' });
}

describe('portcullis revoke', () => {
  it('cuts off a session by its id, lists it, and takes it back', async () => {
    const { output, exitCode } = await run('revoke session 3q2-7wABAgMEBQYHCAkKCw');
    expect({ output, exitCode }).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining('session 3q2-7wABAgMEBQYHCAkKCw revoked.'),
    });
    expect(await fixture.read('session', '3q2-7wABAgMEBQYHCAkKCw')).toBe('revoked');
    const listed = await json('revocations list');
    expect(listed).toMatchObject({
      total: 1,
      entries: [{ scope: 'session', state: 'active', reason: 'no reason given' }],
    });
    expect((await run('unrevoke session 3q2-7wABAgMEBQYHCAkKCw --reason mistake')).exitCode).toBe(0);
    expect(await fixture.read('session', '3q2-7wABAgMEBQYHCAkKCw')).toBe('');
    expect((await run('unrevoke session 3q2-7wABAgMEBQYHCAkKCw')).exitCode).toBe(1);
  });

  it('finds token, session and subject in a pasted token, URL and log line', async () => {
    const { url, token, session, tokenId } = await signed();
    await run(`revoke session ${url}`);
    expect(await fixture.read('session', session)).toBe('revoked');
    await run(`revoke token ${token}`);
    expect(await fixture.read('token', tokenId)).toBe('revoked');
    const line = `2026-11-20\t12:00:01\tFRA2\tGET\t/${token}/live/ch1/1.m4s\t200`;
    await runCommand(['revoke', 'subject', line, '--local']);
    expect(await fixture.read('subject', 'alice', Math.floor(Date.now() / 1000))).toBe('revoked');
    expect(await fixture.read('subject', 'alice', Math.floor(Date.now() / 1000) + 10)).toBe('');
  });

  it('says that a URL holds no token instead of revoking the URL', async () => {
    const { exitCode, error } = await run('revoke session https://cdn.example/live/ch1/master.m3u8');
    expect({ exitCode, code: (error as { code?: string }).code }).toEqual({ exitCode: 2, code: 'no_token' });
  });

  it('changes nothing in a dry run', async () => {
    expect(await json('revoke subject alice --ban --dry-run')).toMatchObject({
      dryRun: true,
      requests: [{ scope: 'subject', id: 'alice' }],
    });
    expect(await json('revocations list')).toMatchObject({ total: 0 });
    expect(fixture.pairs.size).toBe(0);
  });

  it('asks before it cuts off everybody, and not without a terminal', async () => {
    const asked = await runCommand(['revoke', 'content', 'match-7', '--local'], Readable.from([]) as never);
    expect({ exitCode: asked.exitCode, code: (asked.error as { code?: string }).code }).toEqual({
      exitCode: 2,
      code: 'confirmation_needed',
    });
    expect((await run('revoke content match-7 --yes --for 1h')).exitCode).toBe(0);
    expect(await fixture.read('content', 'match-7')).toBe('revoked');
  });

  it('records networks and systems, and says what does not reach the edge', async () => {
    const { exitCode, notes } = await run('revoke ip 203.0.113.77/24 --reason farm');
    expect(exitCode).toBe(0);
    expect(notes).toContain('No WAF sets are configured');
    await run('revoke asn AS64500 --yes');
    expect(await json('revocations list --scope network asn')).toMatchObject({ total: 2 });
  });

  it("carries networks and systems to the WAF's sets, and takes them back", async () => {
    const waf = await createWafApi();
    try {
      const kvs = { endpoint: fixture.api.endpoint, arn };
      const dynamodb = { endpoint: fixture.dynamo?.endpoint, tablePrefix: '' };
      const state = { kvs, dynamodb, waf: { endpoint: waf.endpoint } };
      await writeFile(join(folder, 'local.json'), JSON.stringify(state));
      expect(await run('revoke ip 11.1.2.77/24 --reason farm --for 6h')).toMatchObject({ exitCode: 0 });
      expect((await run('revoke asn AS70000 --yes --reason farm')).exitCode).toBe(0);
      const sets = (): unknown => waf.find('ipset', 'portcullis-blocked-v4-1')?.['Addresses'];
      const rules = (): string => JSON.stringify(waf.find('rulegroup', 'portcullis-blocked')?.['Rules']);
      expect(sets()).toEqual(['11.1.2.0/24']);
      expect(rules()).toContain('70000');
      // The reserved range is recorded, and refused by WAF's keeper.
      const refused = await run('revoke ip 10.0.0.0/24 --reason slip');
      expect(refused.exitCode).toBe(1);
      expect((await run('unrevoke asn AS70000 --reason mistake')).exitCode).toBe(0);
      expect(sets()).toEqual(['11.1.2.0/24']);
      expect(rules()).not.toContain('70000');
    } finally {
      await waf.close();
    }
  });

  it.each([
    ['revoke session', 'usage'],
    ['revoke session a --for soon', 'usage'],
    ['revoke session a --until 2026-12-01', 'usage'],
    ['revoke session a --until 2020-01-01T00:00:00Z', 'invalid_request'],
    ['revoke ip example.com', 'invalid_request'],
    ['revoke subject a --ban --remint', 'usage'],
    ['mode set log --reason x', 'usage'],
    ['mode set log --for 30m', 'usage'],
    ['blackout set m --country Germany', 'invalid_request'],
    ['blackout set m', 'invalid_request'],
    ['revocations list --scope nothing', 'usage'],
  ])('answers exit code 2 to: %s', async (line, code) => {
    const { exitCode, error } = await run(line);
    expect({ exitCode, code: (error as { code?: string }).code }).toEqual({ exitCode: 2, code });
  });
});

describe('portcullis revocations', () => {
  it('moves a ledger from one place to another, as JSON Lines and as CSV', async () => {
    await run('revoke session one two --reason first');
    await run('revoke subject alice --remint --reason second');
    await run('unrevoke session two');
    for (const name of ['ledger.jsonl', 'ledger.csv']) {
      const file = join(folder, name);
      expect(await json(`revocations export ${file}`)).toMatchObject({ entries: 3 });
      expect((await readFile(file, 'utf8')).split('\n').length).toBe(name.endsWith('csv') ? 5 : 4);
      const before = new Map(fixture.pairs);
      await fixture.close();
      fixture = await storeFixture({ database: true });
      const kvs = { endpoint: fixture.api.endpoint, arn };
      const state = { kvs, dynamodb: { endpoint: fixture.dynamo?.endpoint, tablePrefix: '' } };
      await writeFile(join(folder, 'local.json'), JSON.stringify(state));
      expect(await json(`revocations import ${file} --yes`)).toMatchObject({
        revoked: 2,
        skipped: name.endsWith('csv') ? 2 : 1,
      });
      expect(fixture.pairs).toEqual(before);
      await run('unrevoke session two');
      await run('revoke session two --reason again');
      await run('unrevoke session two');
    }
  });

  it('takes ids from a file and refuses a bad line before anything is written', async () => {
    const file = join(folder, 'ids.txt');
    await writeFile(file, '# leaked\na\nb\n\n');
    expect(await json(`revoke token --file ${file} --yes`)).toMatchObject({ revoked: 2 });
    await writeFile(file, '{"scope":"session","id":"good"}\n{"scope":"planet","id":"x"}\n');
    const { exitCode, error } = await run(`revocations import ${file} --yes`);
    expect({ exitCode, message: error?.message }).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('Line 2'),
    });
    expect(await fixture.read('session', 'good')).toBe('');
  });

  it('finds drift, rebuilds, and is in step again', async () => {
    await run('revoke session one');
    expect(await json('revocations drift')).toMatchObject({ inStep: true });
    const { store } = fixture;
    const keys = [...fixture.pairs.keys()];
    await store.update({ puts: new Map([['r9', ',AAAAAAA']]), deletes: keys }, (await store.describe()).etag);
    expect((await run('revocations drift')).exitCode).toBe(1);
    expect((await run('doctor')).output).toContain('portcullis revocations rebuild');
    expect(await json('revocations rebuild --yes')).toMatchObject({ changed: 2 });
    expect(await json('revocations drift')).toMatchObject({ inStep: true });
    expect(await fixture.read('session', 'one')).toBe('revoked');
  });
});

describe('portcullis keys, mode and blackout', () => {
  it('make a key, rotate it at once, set a mode, and never show a secret', async () => {
    const { kid } = await json('keys add --issuer cms --sign');
    const text = JSON.parse(fixture.pairs.get(`k:${String(kid)}`) ?? '{}') as { k: string };
    const rotation = await json('keys rotate --emergency --yes --reason leak');
    expect(rotation).toMatchObject({ replaced: kid });
    expect(fixture.pairs.has(`k:${String(kid)}`)).toBe(false);
    await json('mode set log --for 30m --reason update');
    const { output } = await run('keys list');
    expect(output).toContain('log until');
    expect(output).not.toContain(text.k);
    expect((await run('keys retire nothing')).exitCode).toBe(1);
    expect(await json('doctor')).toMatchObject({ healthy: true });
  });

  it('set, list, mirror and clear blackouts', async () => {
    await json('blackout set match-7 --metro 807 862 --for 2h --reason home');
    expect(JSON.parse(fixture.pairs.get('b:match-7') ?? '')).toMatchObject({ deny: { metro: ['807', '862'] } });
    const file = join(folder, 'schedule.csv');
    await writeFile(file, 'content,country\nmatch-8,US\n');
    expect(await json(`blackout sync ${file} --name rights`)).toMatchObject({ set: 1, removed: 0 });
    expect(await json('blackout list')).toMatchObject({ blackouts: [{ content: 'match-7' }, { content: 'match-8' }] });
    await json('blackout clear match-7');
    expect([...fixture.pairs.keys()]).toEqual(['b:match-8']);
  });
});
