import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { realTimeFields } from '../../revoker/detection/fields.js';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import type { LedgerEntry } from '../../revoker/ledger/entry.js';
import { runProgram } from '../../scripts/cli/program.js';
import { createKvsApi, memoryStorage, type KvsApi } from '../../scripts/local-edge/kvs-api.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { restreamed, session, start, token } from './real-time.js';

const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';
let folder: string;
let log: string;
let database: LoopbackDynamoDb;
let kvs: KvsApi;
let pairs: Map<string, string>;
let tables = 0;
const before = process.env['PORTCULLIS_LOCAL'];

beforeAll(async () => {
  database = await startDynamoDb();
});
afterAll(() => database.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-watch-'));
  log = join(folder, 'access.log');
  const storage = memoryStorage();
  pairs = storage.map;
  kvs = await createKvsApi({ storage, arn });
  const tablePrefix = `watch-${++tables}-`;
  await ensureLedgerTable(database.client, `${tablePrefix}ledger`);
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
  await writeFile(
    process.env['PORTCULLIS_LOCAL'],
    JSON.stringify({
      kvs: { endpoint: kvs.endpoint, arn },
      dynamodb: { endpoint: database.endpoint, tablePrefix },
      accessLog: log,
    }),
  );
  await writeFile(
    log,
    restreamed(60)
      .map(({ data }) => `${JSON.stringify(asJson(Buffer.from(data, 'base64').toString('utf8').trimEnd()))}\n`)
      .join(''),
  );
});
afterEach(async () => {
  if (before === undefined) delete process.env['PORTCULLIS_LOCAL'];
  else process.env['PORTCULLIS_LOCAL'] = before;
  await kvs.close();
  await rm(folder, { recursive: true, force: true });
});

const asJson = (line: string): Record<string, unknown> =>
  Object.fromEntries(line.split('\t').map((value, i) => [realTimeFields[i], i === 0 ? Number(value) : value]));

interface Run {
  readonly code: number;
  readonly lines: readonly Record<string, unknown>[];
  readonly notes: string;
}

const watch = (...args: string[]): Promise<Run> => detectCommand('watch', ...args);

async function detectCommand(...args: string[]): Promise<Run> {
  let output = '';
  let notes = '';
  const sink = (add: (text: string) => void): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        add(chunk.toString('utf8'));
        done();
      },
    });
  const streams = {
    stdin: process.stdin,
    stdout: sink((text) => (output += text)),
    stderr: sink((text) => (notes += text)),
  };
  const code = await runProgram(['--json', 'detect', ...args], { version: '0', streams });
  const lines = output.split('\n').filter(Boolean);
  return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>), notes };
}

async function entries(): Promise<LedgerEntry[]> {
  const list: LedgerEntry[] = [];
  const ledger = createDynamoLedger({ client: database.client, table: `watch-${tables}-ledger` });
  for await (const entry of ledger.scan()) list.push(entry);
  return list;
}

test('reads the local edge’s own log to its end, and acts on what it convicts', async () => {
  const { code, lines, notes } = await watch('--local', '--once', '--revoke', '--by', 'ops', '--reason', 'final');
  expect([code, notes]).toEqual([0, '']);
  expect(lines).toMatchObject([
    { watching: log, acts: true },
    {
      session: session(1),
      acted: true,
      actions: [{ action: 'revokeSession', scope: 'session', id: session(1) }],
      firstSeen: new Date((start - (start % 10)) * 1000).toISOString().replace('.000', ''),
    },
    { records: restreamed(60).length, poison: 0, convicted: 1, acted: 1, waiting: 0 },
  ]);
  expect(await entries()).toMatchObject([
    { scope: 'session', id: session(1), by: 'detect watch: ops', reason: 'final' },
  ]);
  expect(pairs.size).toBe(1);
  expect(JSON.stringify(lines)).not.toContain(token(1).split('.')[1]);
  expect(JSON.stringify(lines)).not.toContain('203.0.');
  // A second reading tells nobody anew.
  const again = await watch('--local', '--once', '--revoke', '--by', 'ops');
  expect(again.lines.at(-1)).toMatchObject({ convicted: 0, acted: 0 });
  expect(await entries()).toMatchObject([{ version: 1 }]);
});

test.each([
  ['without --revoke', [], 'nothing is changed here'],
  ['in a dry run', ['--revoke', '--dry-run'], 'dry run'],
  ['over the ceiling', ['--revoke', '--ceiling', '0'], 'over the ceiling of 0 sessions in an hour'],
])('shows who would be convicted, and changes nothing: %s', async (_name, args, waits) => {
  const { code, lines } = await watch('--local', '--once', ...args);
  expect(code).toBe(0);
  expect(lines[1]).toMatchObject({ session: session(1), acted: false, waits });
  expect(lines.at(-1)).toMatchObject({ convicted: 1, acted: 0, waiting: 1 });
  expect(await entries()).toEqual([]);
  expect(pairs.size).toBe(0);
});

test('follows lines of a real-time log in an order of its own', async () => {
  const fields = [...realTimeFields].reverse();
  const file = join(folder, 'realtime.log');
  await writeFile(
    file,
    restreamed(30)
      .map(({ data }) => `${Buffer.from(data, 'base64').toString('utf8').trimEnd().split('\t').reverse().join('\t')}\n`)
      .join(''),
  );
  const { lines } = await watch(file, '--fields', fields.join(','), '--once');
  expect(lines.map((line) => line['session']).filter(Boolean)).toEqual([session(1)]);
});

test('passes over what is no record, and says how many lines that were', async () => {
  await writeFile(log, `{"timestamp":\nbinary \u0000\u0001\n${'x'.repeat(2_000_000)}\n`);
  const { code, lines, notes } = await watch('--local', '--once');
  expect(code).toBe(0);
  expect(lines.at(-1)).toMatchObject({ records: 2, poison: 3, convicted: 0 });
  expect(notes).toContain('3 lines are no records');
});

test('looks for tokens where the running functions do, whatever the configuration says', async () => {
  const local = process.env['PORTCULLIS_LOCAL'] as string;
  const placed = restreamed(30).map(({ data }) => {
    const record = asJson(Buffer.from(data, 'base64').toString('utf8').trimEnd());
    return { ...record, 'cs-uri-stem': String(record['cs-uri-stem']).replace(/^\/live\/([^/]+)/, '/watch/$1/live') };
  });
  await writeFile(log, placed.map((line) => `${JSON.stringify(line)}\n`).join(''));
  expect((await watch('--local', '--once')).lines.at(-1)).toMatchObject({ convicted: 0 });
  const addresses = { kvs: { endpoint: kvs.endpoint, arn }, accessLog: log };
  const placements = [{ kind: 'path', mode: 'prefix', prefix: '/watch' }];
  await writeFile(local, JSON.stringify({ ...addresses, placements }));
  expect((await watch('--local', '--once')).lines.at(-1)).toMatchObject({ convicted: 1 });
});

test('says that it waits for a log that is not there yet, and reads none once', async () => {
  const missing = join(folder, 'later.log');
  const waiting = await watch(missing, '--for', '1s');
  expect([waiting.code, waiting.notes]).toEqual([0, expect.stringContaining(`${missing} is not there yet`)]);
  const once = await watch(missing, '--once');
  expect([once.code, once.notes]).toEqual([1, expect.stringContaining('there is no such file')]);
  const wrong = await watch(folder, '--once');
  expect([wrong.code, wrong.notes]).toEqual([2, expect.stringContaining('is a folder; one growing file')]);
});

test('ends by itself after the time it is given', async () => {
  const { code, lines } = await watch('--local', '--from-start', '--for', '1s');
  expect(code).toBe(0);
  expect(lines.at(-1)).toMatchObject({ convicted: 1, acted: 0 });
});

test.each([
  [['--once'], 'Name the log to follow'],
  [['--local', '--every', '0'], '--every wants a whole number from 1 to 60'],
  [['--local', '--every', '61'], '--every wants'],
  [['--local', '--ceiling', 'many'], '--ceiling wants'],
  [['--local', '--for', 'ever'], '--for: a duration'],
  [['--local', '--fields', 'timestamp,c-ip'], '--fields: status, path missing'],
  [['--local', '--threshold', 'high'], '--threshold: a number'],
])('refuses %j', async (args, message) => {
  const { code, notes } = await watch(...args);
  expect(code).toBe(2);
  expect(notes).toContain(message);
});

test('a re-streamer is made up at the local edge alone, and only where it is meant', async () => {
  expect(await detectCommand('restream', '--local', '--dry-run', '--networks', '7')).toMatchObject({
    code: 0,
    lines: [{ dryRun: true, networks: 7, content: 'ch1' }],
  });
  for (const [args, message] of [
    [['restream'], 'only made up at the local edge'],
    [['restream', '--local', '--networks', '0'], '--networks wants'],
    [['restream', '--local', '--for', 'ever'], '--for: a duration'],
  ] as const) {
    const { code, notes } = await detectCommand(...args);
    expect(code).toBe(2);
    expect(notes).toContain(message);
  }
});

test('a re-streamer of content that there is not is told so at once', async () => {
  const edge = createServer((request, answer) => {
    const { port } = edge.address() as AddressInfo;
    if (request.method === 'POST') {
      answer.end(
        JSON.stringify({ url: `http://127.0.0.1:${port}/live/token/nosuch/master.m3u8`, session: session(1) }),
      );
    } else answer.writeHead(404).end();
  });
  await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
  const vend = `http://127.0.0.1:${(edge.address() as AddressInfo).port}/vend`;
  await writeFile(
    process.env['PORTCULLIS_LOCAL'] as string,
    JSON.stringify({ kvs: { endpoint: kvs.endpoint, arn }, vend }),
  );
  const { code, lines, notes } = await detectCommand('restream', '--local', '--content', 'nosuch');
  edge.close();
  expect([code, lines]).toEqual([1, []]);
  expect(notes).toContain('Content nosuch cannot be fetched: the edge answered 404');
});
