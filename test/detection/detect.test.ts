import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detect as detectIn, type Detection } from '../../revoker/detection/run.js';
import { htmlReport } from '../../revoker/detection/report.js';
import { parseDetectionConfig, readAddressDatabase } from '../../revoker/detection/index.js';
import { register } from '../../scripts/commands/detect.js';
import type { Cli } from '../../scripts/cli/output.js';
import { createCli } from '../../scripts/cli/output.js';
import { simulatedLog, type SimulatedLog } from './logs.js';

const config = parseDetectionConfig();
const now = Date.UTC(2026, 6, 1) / 1000;

describe('a simulated event', () => {
  let log: SimulatedLog;
  let found: Detection;

  beforeAll(async () => {
    log = await simulatedLog({ seed: 12, viewers: 400, minutes: 6, abuserShare: 0.04 });
    found = await detectIn({ logs: [log.folder], config, now, addresses: await readAddressDatabase(log.addresses) });
  });
  afterAll(() => log.remove());

  it('has every abuser found that left enough evidence, and nobody else', () => {
    const flagged = new Set(found.verdicts.filter((verdict) => verdict.flagged).map((verdict) => verdict.session));
    const abusers = log.labels.filter((label) => label.abuser && label.rows >= 60);
    const missed = abusers.filter((label) => !flagged.has(label.session));
    const honest = log.labels.filter((label) => !label.abuser && flagged.has(label.session));
    expect(abusers.length).toBeGreaterThan(10);
    expect(honest.map((label) => label.kind)).toEqual([]);
    expect(missed.length / abusers.length).toBeLessThan(0.1);
  });

  it('gives every verdict its reasons, and points that add up', () => {
    for (const verdict of found.verdicts) {
      const sum = verdict.contributions.reduce((total, contribution) => total + contribution.points, 0);
      expect(verdict.score).toBeCloseTo(Math.min(100, sum), 1);
      expect(verdict.reasons.length).toBeGreaterThan(0);
    }
  });

  it('leaves no token of the log in anything that is put out', async () => {
    const tokens = new Set<string>();
    for (const file of await readdir(log.folder)) {
      const text = await readFile(join(log.folder, file), 'utf8');
      for (const match of text.matchAll(/\/live\/([A-Za-z0-9_.-]{40,})\//g)) tokens.add(match[1] as string);
    }
    expect(tokens.size).toBeGreaterThan(300);
    const flagged = found.verdicts.find((verdict) => verdict.flagged)?.session as string;
    const outputs = [
      JSON.stringify({ ...found, places: [...found.places], timelines: [...found.timelines] }),
      htmlReport(found, config, { madeAt: now }),
    ];
    for (const json of [true, false]) {
      outputs.push(await command(['run', log.folder, '--address-database', log.addresses], json));
      outputs.push(await command(['explain', flagged, log.folder, '--address-database', log.addresses], json));
    }
    const all = outputs.join('\n');
    const long = new Set(all.match(/[A-Za-z0-9_.-]{40,}/g) ?? []);
    expect([...long].filter((text) => tokens.has(text))).toEqual([]);
    const signatures = new Set([...tokens].map((token) => token.slice(-32)));
    expect([...signatures].filter((signature) => all.includes(signature))).toEqual([]);
  });

  it('prints one object for each flagged session under --json', async () => {
    const printed = JSON.parse(await command(['run', log.folder, '--address-database', log.addresses], true)) as {
      flagged: { session: string; score: number; firstSeen: string; decidedAt: string; reasons: string[] }[];
    };
    expect(printed.flagged.length).toBe(found.verdicts.filter((verdict) => verdict.flagged).length);
    for (const entry of printed.flagged) {
      expect(entry.score).toBeGreaterThanOrEqual(config.threshold);
      expect(Date.parse(entry.decidedAt)).toBeGreaterThan(Date.parse(entry.firstSeen));
      expect(entry.reasons.length).toBeGreaterThan(0);
    }
  });

  it('is judged alike whatever becomes of the order of its lines', async () => {
    const shuffled = join(log.root, 'reversed');
    await mkdir(shuffled);
    for (const file of await readdir(log.folder)) {
      const lines = (await readFile(join(log.folder, file), 'utf8')).trimEnd().split('\n');
      const [first = '', second = '', ...records] = lines;
      await writeFile(join(shuffled, `${file}.gz`), gzipSync([first, second, ...records.reverse(), ''].join('\n')));
    }
    const again = await detectIn({
      logs: [shuffled],
      config,
      now,
      addresses: await readAddressDatabase(log.addresses),
    });
    expect(again.verdicts.map(({ session, score }) => ({ session, score }))).toEqual(
      found.verdicts.map(({ session, score }) => ({ session, score })),
    );
  });
});

it.each(['w3c', 'realtime', 'json', 'parquet'] as const)('reads %s logs as it reads standard ones', async (format) => {
  const options = { seed: 4, viewers: 80, minutes: 5, abuserShare: 0.05 };
  const standard = await simulatedLog(options);
  const other = await simulatedLog(options, format, format !== 'parquet');
  try {
    const addresses = await readAddressDatabase(standard.addresses);
    const flagged = async (log: SimulatedLog): Promise<string[]> => {
      const found = await detectIn({ logs: [log.folder], config, now, fields: log.fields, addresses });
      expect(found.reading.unreadable).toBe(0);
      return found.verdicts
        .filter((verdict) => verdict.flagged)
        .map((verdict) => verdict.session)
        .sort();
    };
    const expected = await flagged(standard);
    expect(expected.length).toBeGreaterThan(0);
    expect(await flagged(other)).toEqual(expected);
  } finally {
    await standard.remove();
    await other.remove();
  }
});

describe('bad logs', () => {
  it('never stop a run: they are counted, named and passed over', async () => {
    const log = await simulatedLog({ seed: 6, viewers: 80, minutes: 4, abuserShare: 0.05 });
    const good = await detectIn({ logs: [log.folder], config, now });
    const [name = ''] = await readdir(log.folder);
    const whole = await readFile(join(log.folder, name), 'utf8');
    const [, fields = ''] = whole.split('\n');
    const record = whole.split('\n').find((line) => line.includes('/live/')) as string;
    const compressed = gzipSync(whole);
    await writeFile(join(log.folder, 'truncated.gz'), compressed.subarray(0, compressed.length / 2));
    const broken = Buffer.from(compressed);
    broken.fill(0xaa, broken.length >> 1, (broken.length >> 1) + 4000);
    await writeFile(join(log.folder, 'damaged.gz'), broken);
    await writeFile(
      join(log.folder, 'junk.log'),
      Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 251)),
    );
    await writeFile(join(log.folder, 'empty.log'), '');
    await writeFile(join(log.folder, 'not-parquet.parquet'), 'PAR1 and nothing more');
    await writeFile(join(log.folder, 'columns.log'), '#Fields: date time c-ip\n2026-06-14\t18:30:00\t192.0.2.1\n');
    const future = record.replace(/^\d{4}/, '2031');
    await writeFile(
      join(log.folder, 'lines.log'),
      [fields, 'a\tb', record.split('\t').slice(0, 6).join('\t'), `${'z'.repeat(10_000_000)}`, future, '', ''].join(
        '\n',
      ),
    );
    await appendFile(join(log.folder, 'lines.log'), Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]));
    const found = await detectIn({ logs: [log.folder], config, now });
    expect(good.reading).toMatchObject({ unreadable: 0, skipped: [], damaged: [] });
    expect(found.reading.records).toBeGreaterThanOrEqual(good.reading.records);
    expect(found.reading.damaged.map(({ file, why }) => [file.split('/').at(-1), why])).toEqual([
      ['damaged.gz', 'its gzip is damaged: read as far as it makes sense'],
      ['truncated.gz', 'its gzip ends too early: read as far as it goes'],
    ]);
    expect(found.reading.future).toBe(1);
    expect(found.reading.unreadable).toBeGreaterThanOrEqual(3);
    const skipped = found.reading.skipped.map((file) => file.file.split('/').at(-1));
    expect(skipped.sort()).toEqual(['junk.log', 'empty.log', 'not-parquet.parquet', 'columns.log'].sort());
    expect(found.reading.skipped.every((file) => file.why !== '')).toBe(true);
    expect(gunzipSync(compressed).length).toBe(Buffer.byteLength(whole));
    // The files that are whole are judged as without the bad ones beside them.
    for (const name of ['truncated.gz', 'damaged.gz']) await rm(join(log.folder, name));
    const beside = await detectIn({ logs: [log.folder], config, now });
    expect(beside.reading.records).toBe(good.reading.records);
    expect(good.verdicts.filter((verdict) => verdict.flagged).length).toBeGreaterThan(0);
    expect(beside.verdicts.map(({ session, score }) => ({ session, score }))).toEqual(
      good.verdicts.map(({ session, score }) => ({ session, score })),
    );
    await log.remove();
  });

  it('that are not there at all are an error that says so', async () => {
    await expect(detectIn({ logs: ['/nowhere/at/all'], config, now })).rejects.toMatchObject({ code: 'log_source' });
  });
});

describe('a forged token', () => {
  it("with somebody's session in it says nothing against that session, for it is never served", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-forged-'));
    const session = Buffer.alloc(16, 7);
    const payload = Buffer.from(JSON.stringify({ sid: session.toString('base64url'), sub: 'alice' })).toString(
      'base64url',
    );
    const token = (signature: string): string => `eyJhbGciOiJIUzI1NiJ9.${payload}.${signature.padEnd(43, 'A')}`;
    const line = (second: number, address: string, status: number, segment: number, signature: string): string =>
      `2026-06-14\t18:${String(30 + Math.floor(second / 60)).padStart(2, '0')}:${String(second % 60).padStart(2, '0')}\t${address}\tGET\t/live/${token(signature)}/ch1/v5/seg_${segment}.m4s\t${status}\t900000`;
    const lines = ['#Fields: date time c-ip cs-method cs-uri-stem sc-status sc-bytes'];
    for (let segment = 0; segment < 100; segment++) {
      lines.push(line(segment * 2, '198.51.100.7', 200, segment, 'real'));
      for (let network = 0; network < 40; network++)
        lines.push(line(segment * 2, `203.0.${network}.9`, 401, segment, `forged${network}`));
    }
    await writeFile(join(folder, 'access.log'), `${lines.join('\n')}\n`);
    const found = await detectIn({ logs: [folder], config, now, sessions: [session.toString('base64url')] });
    expect(found.verdicts).toHaveLength(1);
    expect(found.verdicts[0]).toMatchObject({ session: session.toString('base64url'), score: 0, flagged: false });
    expect(found.verdicts[0]?.windows[0]?.row).toMatchObject({ networks: 1, refusedToken: 4000, served: 100 });
    await rm(folder, { recursive: true });
  });
});

/** Runs a detect command and gives what it wrote, both streams. */
async function command(words: readonly string[], json: boolean): Promise<string> {
  const written: string[] = [];
  const stream = { write: (text: string) => (written.push(text), true) } as unknown as NodeJS.WritableStream;
  const silent = { write: () => true } as unknown as NodeJS.WritableStream;
  const cli: Cli = createCli(
    { json, configPath: 'portcullis.config.ts' },
    { stdin: process.stdin, stdout: stream, stderr: json ? silent : stream },
  );
  const program = new Command().exitOverride();
  register(program, cli);
  await program.parseAsync(['detect', ...words], { from: 'user' });
  return written.join('');
}
