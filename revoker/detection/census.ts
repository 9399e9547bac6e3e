import type { DetectionConfig } from './config.js';
import { duckdb } from './dialect.js';
import { asnOf, toolOf } from './requests.js';

/*
 * DuckDB's first pass over the logs. It counts what every session did: who asked, from where, how much; no segment is told
 * from another. From these counts follows the highest score that a session can reach (`ceiling.ts`); only those that can
 * reach one that matters are read again.
 */

/** States of a record. */
export const usable = 0;
const untokened = 1;
export const bad = 2;
export const future = 3;

/** Which state a row of `requestRows` is in; `tokenless` tells whether it has no token. */
export function stateOf(config: DetectionConfig, now: number, tokenless = 'token_text is null'): string {
  return (
    `case when seen_at is null or status is null or address is null or address in ('', '-') then ${bad} ` +
    `when seen_at > ${now + config.clockSkewSeconds} then ${future} ` +
    `when ${tokenless} or not readable or public_path then ${untokened} else ${usable} end`
  );
}

interface Count {
  readonly name: string;
  readonly type: string;
  /** Over the requests of one token, window, address and user agent. */
  readonly sql: string;
  /** Over counts of the same session. */
  readonly together: 'sum' | 'min' | 'max';
}

const media = 'status < 400 and media = 1';
const served = 'case when status < 400 then 1 else 0 end';
const count = (name: string, where: string): Count => ({
  name,
  type: 'bigint',
  sql: `count(*) filter (where ${where})`,
  together: 'sum',
});

const counts: readonly Count[] = [
  { name: 'requests', type: 'bigint', sql: 'count(*)', together: 'sum' },
  count('served', 'status < 400'),
  count('media', media),
  count('cmcd', `${media} and cmcd = 1`),
  count('refused', 'status in (401, 403, 410, 451)'),
  { name: 'first_at', type: 'bigint', sql: 'min(seen_at)', together: 'min' },
  { name: 'last_at', type: 'bigint', sql: 'max(seen_at)', together: 'max' },
  {
    name: 'media_ms',
    type: 'bigint',
    sql: `cast(coalesce(sum(duration) filter (where ${media}), 0) as bigint)`,
    together: 'sum',
  },
  count('told', `${media} and duration > 0`),
  {
    name: 'rendition_low',
    type: 'ubigint',
    sql: `min(hash(rendition)) filter (where ${media})`,
    together: 'min',
  },
  {
    name: 'rendition_high',
    type: 'ubigint',
    sql: `max(hash(rendition)) filter (where ${media})`,
    together: 'max',
  },
];

const keys = [
  ['window_start', 'bigint'],
  ['address', 'varchar'],
  ['agent', 'ubigint'],
  ['edge', 'ubigint'],
] as const;
type CensusKey = (typeof keys)[number][0];

interface Attribute {
  readonly name: string;
  readonly type: string;
  /** Over the requests of a group. */
  readonly sql: (config: DetectionConfig) => string;
}

/** What is the same in all requests of a group, or nearly so. */
const attributes: readonly Attribute[] = [
  { name: 'family', type: 'ubigint', sql: () => 'any_value(family)' },
  { name: 'tool', type: 'utinyint', sql: (config) => toolOf(duckdb, 'any_value(product)', config) },
  { name: 'asn', type: 'bigint', sql: () => asnOf('any_value(asn_text)') },
  { name: 'country', type: 'varchar', sql: () => 'any_value(country)' },
];

/**
 * The table of the first pass. A token is known by its hash, since comparing whole texts takes a tenth of the pass. Its text
 * is that of a request which was served, where one was: nobody can have a token served that was made up to share the hash
 * of another. The table holds tokens, so it is dropped as soon as they are decoded.
 */
export const createCensus = `create table census (state utinyint, token ubigint, text varchar, ${[...keys, ...[...attributes, ...counts].map(({ name, type }) => [name, type])].map(([name, type]) => `${name} ${type}`).join(', ')})`;

export function windowStart(config: DetectionConfig): string {
  return `seen_at // ${config.windowSeconds} * ${config.windowSeconds}`;
}

/** Counts the requests of `requestRows`. Records that are of no use come down to a row for each state. */
export function censusOf(rows: string, config: DetectionConfig, now: number): string {
  const expressions: Record<CensusKey, string> = {
    window_start: windowStart(config),
    address: 'address',
    agent: 'agent',
    edge: 'edge',
  };
  const whenUsable = (sql: string): string => `case when state = ${usable} then ${sql} end`;
  const group = [
    'state',
    `${whenUsable('hash(token_text)')} as token`,
    ...keys.map(([name]) => `${whenUsable(expressions[name])} as ${name}`),
  ];
  const columns = [
    ...group.slice(0, 2),
    `max_by(${whenUsable('token_text')}, ${served}) as text`,
    ...group.slice(2),
    ...attributes.map(({ name, sql }) => `${sql(config)} as ${name}`),
    ...counts.map(({ name, sql }) => `${sql} as ${name}`),
  ];
  return (
    `insert into census select ${columns.join(', ')} from (select *, ${stateOf(config, now)} as state ` +
    `from (${rows}) lines) stated group by ${[1, 2, ...keys.map((_key, i) => i + 4)].join(', ')}`
  );
}

/** The tokens of the census: the text of each hash. */
export const distinctTokens = `select token, max_by(text, served) as text from census where state = ${usable} group by token`;

/**
 * The census by session, from tables `census`, `holders` (token, session) and `addresses`. Holds no token. What an address
 * or a user agent says of all its requests is joined to the groups, not grouped by.
 */
export function createVisits(): string {
  const group = 'h.session, c.window_start, a.address_id, c.agent, c.edge';
  const sums = counts.map(({ name, type, together }) => `cast(${together}(c.${name}) as ${type}) as ${name}`);
  return (
    `create table visits as select v.*, a.place_id as place, a.asn, a.country, a.hosting from (` +
    `select ${group}, any_value(c.family) as family, max(c.tool) as tool_agent, cast(sum(c.media * c.tool) as bigint) as tool, ${sums.join(', ')} ` +
    `from census c join holders h using (token) join addresses a using (address) group by ${group}) v join addresses a using (address_id)`
  );
}
