import type { DuckDBConnection } from '@duckdb/node-api';
import { windowStart } from './census.js';
import type { DetectionConfig } from './config.js';
import { duckdb } from './dialect.js';
import { served } from './requests.js';
import { expected, featuresByKind, gathered, piecesOf, placing, requestMeasures } from './query.js';

/*
 * DuckDB's second pass: the requests of the sessions that can score, and the features that are made of them.
 */

/** Half a hash is enough to tell apart the few objects of one position. */
function half(hash: string): string {
  return `(${hash}) >> 32`;
}

/** A column's name, type and value, which may rest on where the request stands in its content. */
type Column = readonly [string, string, string | ((placed: ReturnType<typeof placing>) => string)];

/** The requests of the chosen sessions, over `r`. What is only held against its like is kept as a hash, never as text. */
const requestTable: readonly Column[] = [
  ['session', 'uinteger', 'r.chosen_session'],
  ['seen_at', 'bigint', 'r.seen_at'],
  ['address_id', 'uinteger', 'r.address_id'],
  ['place', 'ubigint', 'r.place_id'],
  ['country', 'uinteger', 'r.place_country'],
  ['status', 'usmallint', 'try_cast(r.status as usmallint)'],
  ['bytes', 'bigint', 'r.bytes'],
  ['agent', 'ubigint', 'r.agent'],
  ['player', 'ubigint', 'r.player'],
  ['cmcd', 'utinyint', 'r.cmcd'],
  ['contested', 'utinyint', 'case when r.rival_text is null then 0 else 1 end'],
  ['edge', 'ubigint', 'r.edge'],
  ['media', 'utinyint', 'r.media'],
  ['duration', 'integer', 'r.duration'],
  ['content', 'ubigint', duckdb.hash('r.content')],
  ['track', 'varchar', ({ track }) => track],
  ['position', 'bigint', ({ position }) => position],
  ['object', 'uinteger', ({ object }) => half(object)],
  ['rendition', 'uinteger', ({ rendition }) => half(rendition)],
  // A token: dropped as soon as it is known whose it is.
  ['rival', 'varchar', 'r.rival_text'],
];

/** The table of the second reading. */
export const createRequests = `create table requests (${requestTable.map(([name, type]) => `${name} ${type}`).join(', ')})`;

/** Its values, over requests `r` that know their session and what there is to know of their address. */
export function requestValues(config: DetectionConfig): string {
  const placed = placing(duckdb, config);
  return requestTable.map(([name, , sql]) => `${typeof sql === 'string' ? sql : sql(placed)} as ${name}`).join(', ');
}

/** A request of a chosen session is nearly a piece of its own, of a hundred bytes and more: so many are grouped at once. */
const requestsAtOnce = 500_000;

/** The chosen sessions' requests to features, a part of the sessions at a time. */
export async function makeFeatures(connection: DuckDBConnection, config: DetectionConfig): Promise<void> {
  await connection.run(activityPieces(config));
  await connection.run(
    `create view placed as select *, ${windowStart(config)} as window_start, ${duckdb.quotient('seen_at', config.momentSeconds)} as moment ` +
      `from requests where ${served} and media = 1 and position is not null`,
  );
  const counted = await connection.runAndReadAll('select count(*) from requests');
  const parts = Math.max(1, Math.ceil(Number(counted.getRows()[0]?.[0]) / requestsAtOnce));
  for (let part = 0; part < parts; part++) {
    const of = (table: string): string => `(select * from ${table} where session % ${parts} = ${part})`;
    const pieces = (kind: 'position' | 'moment'): string =>
      `(${gathered(duckdb, `(${piecesOf(kind, of('placed'))})`, kind)})`;
    await connection.run(
      `${part === 0 ? 'create table features as' : 'insert into features'} ` +
        `with who as (${gathered(duckdb, of('activity'), 'activity')}), ` +
        `expected as (${expected('who', { families: 'families', agents: 'agents' })}) ` +
        featuresByKind(duckdb, config, {
          activity: 'expected',
          position: pieces('position'),
          moment: pieces('moment'),
        }),
    );
  }
}

/** Who asked from where: counted by address and user agent first, so that requests are never joined. */
function activityPieces(config: DetectionConfig): string {
  // What the user agent says of all its requests is looked up, not counted.
  const measured = requestMeasures('activity').filter(({ name }) => name !== 'tool');
  return (
    `create table activity as select p.*, a.place, a.address, a.asn, a.country, a.hosting from ` +
    `(select c.*, c.media * u.tool as tool, u.family from (select session, ${windowStart(config)} as window_start, address_id, agent, player, edge, ` +
    `${measured.map((measure) => `${measure.sql} as ${measure.name}`).join(', ')} from requests ` +
    `group by session, window_start, address_id, agent, player, edge) c join products u using (agent)) p join addresses a using (address_id)`
  );
}
