import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import { createKvsApi, memoryStorage, type KvsApi } from '../../scripts/local-edge/kvs-api.js';
import { createWafApi, type WafApi, type WafFault } from '../../scripts/local-edge/wafv2-api.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { portcullis } from './command-run.js';

const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';
const start = Math.floor(Date.now() / 1000) - 600;
const session = Buffer.alloc(16, 0xfb).toString('base64url');
const token = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify({ sid: session, sub: 'alice' })).toString('base64url')}.${'S'.repeat(43)}`;
const hosts = ['11.1.0.9', '11.2.0.9', '240.1.0.9', '11.3.0.9', '11.4.0.9', '11.5.0.9'];

let folder: string;
let log: string;
let database: LoopbackDynamoDb;
let kvs: KvsApi;
let waf: WafApi;
let fault: WafFault | undefined;
let tables = 0;
const before = process.env['PORTCULLIS_LOCAL'];

beforeAll(async () => {
  database = await startDynamoDb();
});
afterAll(() => database.close());
beforeEach(async () => {
  fault = undefined;
  folder = await mkdtemp(join(tmpdir(), 'portcullis-run-'));
  log = join(folder, 'access.log');
  kvs = await createKvsApi({ storage: memoryStorage(), arn });
  waf = await createWafApi({ faults: () => fault });
  const tablePrefix = `run-${++tables}-`;
  await ensureLedgerTable(database.client, `${tablePrefix}ledger`);
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
  await writeFile(
    process.env['PORTCULLIS_LOCAL'],
    JSON.stringify({
      kvs: { endpoint: kvs.endpoint, arn },
      dynamodb: { endpoint: database.endpoint, tablePrefix },
      waf: { endpoint: waf.endpoint },
    }),
  );
  await writeFile(log, shared());
});
afterEach(async () => {
  if (before === undefined) delete process.env['PORTCULLIS_LOCAL'];
  else process.env['PORTCULLIS_LOCAL'] = before;
  await kvs.close();
  await waf.close();
  await rm(folder, { recursive: true, force: true });
});

/** One session that six hosts fetch at once. */
function shared(): string {
  const lines: string[] = [];
  for (let segment = 0; segment < 60; segment++) {
    for (const address of hosts) {
      lines.push(
        JSON.stringify({
          timestamp: start + segment * 2,
          'c-ip': address,
          'c-country': 'US',
          asn: 16509,
          'sc-status': 200,
          'sc-bytes': 40_000,
          'cs-method': 'GET',
          'cs-uri-stem': `/live/${token}/ch1/v1/seg_${segment}.ts`,
          'cs-user-agent': 'Mozilla/5.0',
        }),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

const run = (...words: string[]) => portcullis('detect', 'run', log, ...words);
const blocked = (): unknown => waf.find('ipset', 'portcullis-blocked-v4-1')?.['Addresses'];

async function recorded(): Promise<number> {
  let count = 0;
  for await (const entry of createDynamoLedger({ client: database.client, table: `run-${tables}-ledger` }).scan())
    count += entry.state === 'active' ? 1 : 0;
  return count;
}

interface Summary {
  readonly acted: Record<string, unknown> & { readonly planned: Record<string, unknown>[] };
}

describe('acting on what was found', () => {
  it('passes over what the WAF sets refuse, names it, and does the rest', async () => {
    const { code, out, notes } = await run('--local', '--revoke', '--json');
    expect(notes).toContain('passed over by WAF: 240.1.0.9/32 touches');
    expect((JSON.parse(out) as Summary).acted).toMatchObject({
      done: 6,
      passedOver: ['240.1.0.9/32'],
      failed: [],
      dryRun: false,
    });
    expect(code).toBe(0);
    expect(blocked()).toEqual(hosts.filter((host) => !host.startsWith('240')).map((host) => `${host}/32`));
    expect(await recorded()).toBe(7);
  });

  it('counts nothing as done that a target has not taken, says so, and fails', async () => {
    fault = { error: 'WAFLimitsExceededException' };
    const { code, out, notes } = await run('--local', '--revoke', '--json');
    expect(code).toBe(1);
    expect(notes).toContain('"code":"targets_waiting"');
    expect((JSON.parse(out) as Summary).acted).toMatchObject({ done: 1, failed: [{ target: 'waf', actions: 6 }] });
    expect(await recorded()).toBe(7);
  });

  it('lists in a dry run what would be done, writes the report, and changes nothing', async () => {
    const html = join(folder, 'report.html');
    const { code, out } = await run('--local', '--revoke', '--dry-run', '--json', '--html', html);
    expect(code).toBe(0);
    const { acted } = JSON.parse(out) as Summary;
    expect(acted).toMatchObject({ dryRun: true, done: 0 });
    expect(acted.planned).toHaveLength(7);
    expect(acted.planned[0]).toMatchObject({ action: 'revokeSession', scope: 'session', id: session, session });
    expect((await stat(html)).size).toBeGreaterThan(1000);
    const { out: shown } = await run('--local', '--revoke', '--dry-run');
    expect(shown).toMatch(new RegExp(`revokeSession +session ${session} +\\d+ +24 h`));
    expect(shown).toMatch(/blockAddress +network 11\.1\.0\.9\/32 +\d+ +120 min/);
    expect(await recorded()).toBe(0);
  });
});

describe('what cannot be meant', () => {
  it.each([
    [['--held'], '--held says nothing without --revoke'],
    [['--dry-run'], '--dry-run says nothing without --revoke'],
    [['--limit', '0'], '--limit wants a positive whole number, not 0'],
    [['--limit', '1.5'], '--limit wants'],
    [['--html', '/no/such/folder/report.html'], '--html: there is no folder /no/such/folder'],
    [['--html', tmpdir()], 'is a folder'],
  ])('%j is told before anything is read', async (words, message) => {
    const { code, out, notes } = await run(...words);
    expect([code, out]).toEqual([2, '']);
    expect(notes).toContain(message);
  });
});

it('explains and revokes a session as it is printed, also where it begins with a hyphen', async () => {
  expect(session).toMatch(/^-/);
  const explained = await portcullis('detect', 'explain', session, log, '--json');
  expect([explained.code, JSON.parse(explained.out)]).toMatchObject([0, { session, flagged: true }]);
  const revoked = await portcullis('revoke', 'session', session, '--local', '--reason', session, '--json');
  expect(JSON.parse(revoked.out)).toMatchObject({ results: [{ scope: 'session', id: session, reason: session }] });
});

it('tells a session with little evidence from one that nothing speaks against', async () => {
  const part = join(folder, 'part.tsv');
  const lines = (await readFile(log, 'utf8')).split('\n');
  const own = lines.filter((line) => line.includes(`/live/`) && !line.startsWith('#'));
  await writeFile(part, [...lines.filter((line) => line.startsWith('#')), ...own.slice(0, 5)].join('\n'));
  const { out } = await portcullis('detect', 'explain', session, part);
  expect(out).toMatch(
    /Too little evidence for a verdict: \d+ segments in \d moments, where it rests on 20 in 3 at least/,
  );
});

describe('settings and fields', () => {
  const file = async (text: string): Promise<string> => {
    const name = join(folder, 'settings.json');
    await writeFile(name, text);
    return name;
  };

  it.each([
    ['null', 'an object with settings was expected'],
    ['[]', 'an object with settings was expected'],
    ['7', 'an object with settings was expected'],
    ['{"detection":null}', 'an object with settings was expected as its detection section'],
    ['{"treshold":60}', 'detection.treshold: no such setting; is threshold meant?'],
    ['{', 'it holds no JSON'],
  ])('%s are refused', async (text, message) => {
    const { code, notes } = await run('--settings', await file(text));
    expect([code, notes]).toEqual([2, expect.stringContaining(message)]);
  });

  it.each([
    ['--settings', 'nofile.json', 'there is no such file'],
    ['--settings', tmpdir(), 'it is a folder'],
    ['--fields', 'nofile.txt', 'there is no such file'],
    ['--fields', tmpdir(), 'it is a folder'],
    ['--fields', 'c-ip,sc-status', 'path, timestamp missing'],
  ])('%s %s is told in words', async (flag, name, message) => {
    const { code, notes } = await run(flag, name);
    expect([code, notes]).toEqual([2, expect.stringContaining(message)]);
    expect(notes).not.toMatch(/ENOENT|EISDIR/);
  });

  it('show a session between the threshold and the score that is watched', async () => {
    const weights = Object.fromEntries(
      ['distantPlayheads', 'concurrentNetworks', 'hosting'].map((name) => [name, { points: 0 }]),
    );
    const settings = await file(JSON.stringify({ weights: { ...weights, repeatedSegments: { points: 25 } } }));
    const { out } = await run('--settings', settings, '--threshold', '20', '--json');
    expect(JSON.parse(out)).toMatchObject({ flagged: [{ session, score: 25 }], watched: 0 });
  });
});

describe('logs that tell little', () => {
  it('of which nothing is understood are an error', async () => {
    await writeFile(log, `not a log\n${'x'.repeat(1000)}\n`);
    const { code, out, notes } = await run('--json');
    expect([code, out]).toEqual([1, '']);
    expect(notes).toContain('No record of these logs could be understood');
    const realTime = await portcullis('detect', 'run', log, '--fields', 'timestamp,c-ip,sc-status,cs-uri-stem');
    expect([realTime.code, realTime.notes]).toEqual([1, expect.stringContaining('No record of these logs')]);
  });

  it('with no record at all have no beginning and no end', async () => {
    await writeFile(log, '#Fields: date time c-ip sc-status cs-uri-stem\n');
    const { code, out, notes } = await run('--json');
    expect([code, notes]).toEqual([0, expect.stringContaining('the logs hold no record')]);
    expect(JSON.parse(out)).not.toHaveProperty('from');
  });

  it.each([
    [10, 'only 10 % of the records carry a token where'],
    [60, 'no record carries a token where'],
  ])('of which few carry a token say so', async (stripped, message) => {
    const lines = shared().trimEnd().split('\n').slice(0, 60);
    const bare = stripped === 60 ? 60 : 54;
    await writeFile(log, lines.map((line, i) => (i < bare ? line.replace(`/${token}`, '') : line)).join('\n') + '\n');
    const { code, notes } = await run();
    expect([code, notes]).toEqual([0, expect.stringContaining(message)]);
  });
});

describe('calibrating', () => {
  it('warns as reading does, calls an abused log one, and proposes what --settings takes', async () => {
    const { code, out, notes } = await portcullis('detect', 'calibrate', log, '--json');
    expect(code).toBe(0);
    expect(notes).toContain('the log looks abused, so nothing is proposed for repeatedSegments');
    const proposal = JSON.parse(out) as { config: { weights: object } };
    expect(proposal.config.weights).toHaveProperty('concurrentNetworks');
    expect(proposal.config.weights).not.toHaveProperty('repeatedSegments');
    const file = join(folder, 'proposal.json');
    await writeFile(file, out);
    const again = await run('--settings', file, '--json');
    expect([again.code, again.notes]).toEqual([0, '']);
    await writeFile(log, `${shared()}nonsense\n{"timestamp":"x"}\n`);
    expect((await portcullis('detect', 'calibrate', log)).notes).toContain('2 lines are no records');
  });
});
