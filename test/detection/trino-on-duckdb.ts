import { DuckDBInstance, type DuckDBPreparedStatement } from '@duckdb/node-api';
import type { AthenaQuery } from '../../revoker/detection/athena.js';
import { type Dialect, duckdb, trino } from '../../revoker/detection/dialect.js';

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
  'create macro regexp_like(x, e) as regexp_matches(x, e)',
  'create macro to_unixtime(x) as epoch(x)',
  'create macro array_sort(l) as list_sort(l)',
  'create macro array_join(l, s) as array_to_string(l, s)',
  'create macro slice(l, s, n) as l[s:s + n - 1]',
];

/**
 * What cannot be had by name: an address type, integer division, and a sample-free second minimum. These three are the
 * expressions in which the texts differ beyond function names.
 */
export const trinoForDuckdb: Dialect = {
  ...trino,
  addressHex: duckdb.addressHex,
  quotient: duckdb.quotient,
  fingerprint: duckdb.fingerprint,
};

/** A lake of one hour's logs, which takes the text for Athena. */
export interface Lake {
  /** Rows as Athena answers them: text by column. */
  ask(query: AthenaQuery): Promise<Record<string, string | null>[]>;
  close(): void;
}

/** Gives a parameter its value as Athena reads it: text in single quotes, else a whole number. */
function bind(statement: DuckDBPreparedStatement, at: number, value: string): void {
  const text = /^'((?:[^']|'')*)'$/.exec(value)?.[1];
  if (text !== undefined) statement.bindVarchar(at, text.replaceAll("''", "'"));
  else statement.bindBigInt(at, BigInt(value));
}

/** Opens Parquet files of a simulated evening as the table `logs.cloudfront`, under the partition of its hour. */
export async function openLake(folder: string): Promise<Lake> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run('create schema logs');
  for (const macro of trinoOnDuckdb) await connection.run(macro);
  const parts = "'2026' as year, '06' as month, '14' as day, '18' as hour";
  await connection.run(`create table logs.cloudfront as select *, ${parts} from read_parquet('${folder}/*.parquet')`);
  return {
    async ask({ text, parameters }) {
      const statement = await connection.prepare(text);
      if (statement.parameterCount !== parameters.length)
        throw new Error(`${statement.parameterCount} parameters and ${parameters.length} values`);
      parameters.forEach((value, i) => bind(statement, i + 1, value));
      const answer = await statement.runAndReadAll();
      return answer
        .getRowObjectsJson()
        .map((row) =>
          Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)])),
        );
    },
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
