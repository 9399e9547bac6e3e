import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TrinoSQL } from 'dt-sql-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { athenaQuery, partitionCondition, placesTold } from '../../revoker/detection/athena.js';
import { parseDetectionConfig } from '../../revoker/detection/config.js';
import { readLogs } from '../../revoker/detection/duckdb.js';
import { columnName, featureNames, readFeatureRow, readSession } from '../../revoker/detection/features.js';
import { detect } from '../../revoker/detection/run.js';
import { findLogs } from '../../revoker/detection/sources.js';
import { accountsOfRows, placesOfRows, workflowJudge } from '../../revoker/detection/workflow.js';
import { simulate, writeSimulation } from '../../revoker/simulate/index.js';
import { type Lake, openLake, trinoForDuckdb } from './trino-on-duckdb.js';

const config = parseDetectionConfig();
const table = { database: 'logs', table: 'cloudfront' };
const stretch = { from: 1_781_461_800, to: 1_781_461_800 + 900 };

describe('the text for Athena', () => {
  it.each([
    ['features', athenaQuery(config, table, stretch)],
    ['every row', athenaQuery(config, table, stretch, { every: true })],
    [
      'features with every placement and public paths',
      athenaQuery(
        parseDetectionConfig({
          publicPaths: ['/trailers'],
          placements: [
            { kind: 'path', mode: 'marker', prefix: '/~t' },
            { kind: 'query', name: 'token' },
            { kind: 'cookie' },
            { kind: 'path-parameter' },
            { kind: 'header' },
          ],
        }),
        {
          ...table,
          columns: {
            timestamp: 'timestamp',
            address: 'c_ip',
            status: 'sc_status',
            path: 'cs_uri_stem',
            query: 'cs_uri_query',
            cookie: 'cs_cookie',
            headers: 'cs_headers',
          },
        },
        stretch,
      ),
    ],
  ])('is Trino SQL: %s', (_name, { text }) => {
    expect(new TrinoSQL().validate(text)).toEqual([]);
  });

  it('is the same for every window of as many partitions, which gives its values in the order of the question marks', () => {
    const allowed = parseDetectionConfig({ allow: { subjects: ["o'hara", 'x'.repeat(1100)] } });
    const first = athenaQuery(allowed, table, stretch);
    const next = athenaQuery(allowed, table, { from: stretch.to, to: stretch.to + 900 });
    expect(next.text).toBe(first.text);
    expect(first.text).toContain('where r.seen_at >= ? and r.seen_at < ?');
    expect(first.text).not.toMatch(/1781461800|2026|hara/);
    expect(first.parameters).toEqual([
      ...["'2026'", "'06'", "'14'", "'18'", "'2026'", "'06'", "'14'", "'19'"],
      '1781461800',
      '1781462700',
      "'o''hara'",
    ]);
    // A longer value than StartQueryExecution takes is a literal.
    expect(first.text).toContain(`subject not in (?, '${'x'.repeat(1100)}')`);
  });

  it('has every question mark in a condition, the only place where Athena takes them', () => {
    const bare = athenaQuery(config, table, stretch).text.replace(/'(?:[^']|'')*'/g, "''");
    expect(bare.split('?').length - 1).toBe(athenaQuery(config, table, stretch).parameters.length);
    expect(bare.match(/[^\s(]+ [<>=]+ \?/g)).toHaveLength(bare.split('?').length - 1);
  });

  it('reads no partition but those of the stretch', () => {
    expect(
      partitionCondition({ from: Date.UTC(2026, 11, 31, 22, 10) / 1000, to: Date.UTC(2026, 11, 31, 22, 20) / 1000 }),
    ).toBe(
      `(("year" = '2026' and "month" = '12' and "day" = '31' and "hour" = '22')\n` +
        `  or ("year" = '2026' and "month" = '12' and "day" = '31' and "hour" = '23'))`,
    );
  });

  it.each([
    ['an empty stretch', { from: 100, to: 100 }],
    ['a stretch over two days', { from: 0, to: 49 * 3600 }],
    ['a fraction of a second', { from: 0.5, to: 100 }],
  ])('refuses %s', (_name, wrong) => {
    expect(() => athenaQuery(config, table, wrong)).toThrow(expect.objectContaining({ code: 'athena_query' }) as Error);
  });

  it('refuses a name that would end the statement', () => {
    expect(() => athenaQuery(config, { database: 'logs', table: 'x"; drop table y' }, stretch)).toThrow(/is no name/);
  });
});

describe('both texts on the same log', () => {
  let folder: string;
  let lake: Lake;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portcullis-athena-'));
    // Accounts that are passed on among them.
    await writeSimulation(simulate({ seed: 11, viewers: 150, minutes: 6, abuserShare: 0.04, jwtShare: 0.5 }), {
      format: 'parquet',
      folder: join(folder, 'logs'),
    });
    lake = await openLake(join(folder, 'logs'));
  });

  afterAll(async () => {
    lake.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('come to the same features, row by row', async () => {
    const open = parseDetectionConfig({ hostingAsns: config.hostingAsns });
    const query = athenaQuery(open, table, stretch, { dialect: trinoForDuckdb, every: true });
    const ofTrino = (await lake.ask(query)).map((row) => readFeatureRow(row));
    const database = await readLogs(await findLogs([join(folder, 'logs')]), {
      config: open,
      now: stretch.to,
      everySession: true,
    });
    const ofDuckdb = await database.rows({ every: true });
    await database.close();
    expect(ofTrino.length).toBeGreaterThan(200);
    const measured = (rows: typeof ofTrino) =>
      rows
        .filter((row) => row.media > 0)
        .map(({ expectedCmcd, agentOneIn, ...row }) => ({
          ...row,
          expectedCmcd: Math.round(expectedCmcd * 1e6) / 1e6,
          rare: agentOneIn > 0,
        }))
        .sort((a, b) => a.windowStart - b.windowStart || (a.session < b.session ? -1 : 1));
    expect(measured(ofTrino)).toEqual(measured(ofDuckdb));
  });

  const answers = new Map<boolean, Promise<Record<string, string | null>[]>>();
  /** The rows that Athena would answer, as text by column. */
  function answered(every: boolean): Promise<Record<string, string | null>[]> {
    const query = athenaQuery(config, table, stretch, { dialect: trinoForDuckdb, every });
    const answer = answers.get(every) ?? lake.ask(query);
    answers.set(every, answer);
    return answer;
  }

  it('come to the same accounts, watched from the same number of places by the same sessions', async () => {
    const database = await readLogs(await findLogs([join(folder, 'logs')]), { config, now: stretch.to });
    const ofDuckdb = await database.accounts();
    await database.close();
    expect(ofDuckdb.length).toBeGreaterThan(0);
    const inOrder = (accounts: typeof ofDuckdb) =>
      accounts
        .map((account) => ({ ...account, concurrency: Math.round(account.concurrency * 1e6) / 1e6 }))
        .sort((a, b) => a.windowStart - b.windowStart || (a.subject < b.subject ? -1 : 1));
    expect(inOrder(accountsOfRows(await answered(false), config))).toEqual(inOrder(ofDuckdb));
    expect(inOrder(accountsOfRows(await answered(true), config))).toEqual(inOrder(ofDuckdb));
  });

  it('leave out the sessions of an account on the allow list, unless something else speaks against them', async () => {
    const shared = accountsOfRows(await answered(false), config)[0]?.subject as string;
    const sparing = parseDetectionConfig({ allow: { subjects: [shared, "o'hara"] } });
    const rows = await lake.ask(athenaQuery(sparing, table, stretch, { dialect: trinoForDuckdb }));
    const all = await answered(false);
    expect(rows.length).toBeLessThan(all.length);
    const gone = all.filter((row) => !rows.some((one) => one['session'] === row['session']));
    expect(new Set(gone.map((row) => row['subject']))).toEqual(new Set([shared]));
  });

  it('come to the same places of every session: address, network, system, hosting, media', async () => {
    const rows = await answered(true);
    const texts = [...new Set(rows.map((row) => String(row['session'])))];
    const database = await readLogs(await findLogs([join(folder, 'logs')]), {
      config,
      now: stretch.to,
      everySession: true,
    });
    const ofDuckdb = await database.places(texts);
    await database.close();
    const ofTrino = placesOfRows(rows, config);
    let whole = 0;
    for (const text of texts) {
      const told = ofTrino.get(readSession(text).session) ?? [];
      const known = ofDuckdb.get(text) ?? [];
      const shape = (places: typeof told) =>
        places
          .filter(({ media }) => media > 0)
          .map(({ address, place, asn, hosting, media }) => ({ address, place, asn, hosting, media }))
          .sort((a, b) => (a.address < b.address ? -1 : 1));
      const sum = (places: typeof told): number => places.reduce((total, { media }) => total + media, 0);
      expect(sum(told), text).toBe(sum(known));
      if (told.some(({ address }) => address === '')) continue;
      whole++;
      expect(shape(told), text).toEqual(shape(known));
    }
    expect(whole).toBeGreaterThan(texts.length * 0.9);
    expect(rows.every((row) => String(row['place_list']).split(',').length <= placesTold)).toBe(true);
  });

  it('lead to the same decisions about accounts and addresses', async () => {
    const logs = [join(folder, 'logs')];
    const { plan } = await detect({ logs, config, now: stretch.to });
    const judge = workflowJudge(config, table);
    const { candidates, sessions } = judge.read(await answered(false));
    const decided = judge.decide(candidates, { sessions, window: stretch, at: stretch.to });
    const acts = (requests: readonly { scope: string; id: string }[]): string[] =>
      requests.map(({ scope, id }) => `${scope} ${id}`).sort();
    const ofDuckdb = [...plan.ready, ...plan.held].map(({ request }) => request);
    const ofTrino = [...decided.ready, ...decided.held.map(({ request }) => request)];
    expect(new Set(ofDuckdb.map(({ scope }) => scope))).toEqual(new Set(['session', 'subject', 'network']));
    expect(acts(ofTrino)).toEqual(acts(ofDuckdb));
  });

  it('name every feature in the same order', () => {
    const columns = featureNames.map(columnName);
    const { text } = athenaQuery(config, table, stretch);
    const places = columns.map((column) => text.indexOf(` as ${column}`));
    expect(places.every((place) => place > 0)).toBe(true);
  });
});
