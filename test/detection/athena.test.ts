import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { TrinoSQL } from 'dt-sql-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { athenaAccountQuery, athenaQuery, partitionCondition } from '../../revoker/detection/athena.js';
import { parseDetectionConfig } from '../../revoker/detection/config.js';
import { type Dialect, duckdb, trino } from '../../revoker/detection/dialect.js';
import { readLogs } from '../../revoker/detection/duckdb.js';
import { columnName, featureNames, readFeatureRow } from '../../revoker/detection/features.js';
import { findLogs } from '../../revoker/detection/sources.js';
import { simulate, writeSimulation } from '../../revoker/simulate/index.js';

const config = parseDetectionConfig();
const table = { database: 'logs', table: 'cloudfront' };
const stretch = { from: 1_781_461_800, to: 1_781_461_800 + 900 };

/** Trino's functions under their names, made of DuckDB's, so that the text for Athena runs on DuckDB. */
const trinoOnDuckdb = [
  'create macro to_utf8(x) as x',
  'create macro xxhash64(x) as x',
  'create macro from_big_endian_64(x) as (hash(x) // 2)::bigint',
  "create macro from_base64url(x) as from_base64(rpad(replace(replace(x, '-', '+'), '_', '/'), ((length(x) + 3) // 4 * 4)::integer, '='))",
  'create macro to_hex(x) as hex(x)',
  'create macro from_utf8(x) as decode(x)',
  "create macro from_base(x, b) as cast('0x' || x as bigint)",
  'create macro json_extract_scalar(x, p) as json_extract_string(x, p)',
  'create macro element_at(l, i) as l[i]',
  'create macro to_unixtime(x) as epoch(x)',
  'create macro array_sort(l) as list_sort(l)',
  'create macro array_join(l, s) as array_to_string(l, s)',
];

/**
 * What cannot be had by name: an address type, integer division, and a sample-free second minimum. These three are the
 * expressions in which the texts differ beyond function names.
 */
const trinoForDuckdb: Dialect = {
  ...trino,
  addressHex: duckdb.addressHex,
  quotient: duckdb.quotient,
  fingerprint: duckdb.fingerprint,
};

describe('the text for Athena', () => {
  it.each([
    ['features', athenaQuery(config, table, stretch)],
    ['accounts', athenaAccountQuery(config, table, stretch)],
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
  ])('is Trino SQL: %s', (_name, text) => {
    expect(new TrinoSQL().validate(text)).toEqual([]);
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
  let instance: DuckDBInstance;
  let connection: DuckDBConnection;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portcullis-athena-'));
    await writeSimulation(simulate({ seed: 11, viewers: 150, minutes: 6, abuserShare: 0.04 }), {
      format: 'parquet',
      folder: join(folder, 'logs'),
    });
    instance = await DuckDBInstance.create(':memory:');
    connection = await instance.connect();
    await connection.run('create schema logs');
    for (const macro of trinoOnDuckdb) await connection.run(macro);
    const parts = "'2026' as year, '06' as month, '14' as day, '18' as hour";
    await connection.run(
      `create table logs.cloudfront as select *, ${parts} from read_parquet('${join(folder, 'logs')}/*.parquet')`,
    );
  });

  afterAll(async () => {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true, force: true });
  });

  it('come to the same features, row by row', async () => {
    const open = parseDetectionConfig({ hostingAsns: config.hostingAsns });
    const text = athenaQuery(open, table, stretch, { dialect: trinoForDuckdb, every: true });
    const answer = await connection.runAndReadAll(text);
    const ofTrino = answer.getRowObjectsJson().map((row) => readFeatureRow(row));
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

  it('name every feature in the same order', () => {
    const columns = featureNames.map(columnName);
    const text = athenaQuery(config, table, stretch);
    const places = columns.map((column) => text.indexOf(` as ${column}`));
    expect(places.every((place) => place > 0)).toBe(true);
  });
});
