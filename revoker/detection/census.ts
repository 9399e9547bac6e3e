import type { DetectionConfig } from './config.js';
import { duckdb } from './dialect.js';
import { asnOf, served, toolOf } from './requests.js';

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

/** What a request counts as, in one number: requests that count alike are grouped, which is cheaper than a condition for each count. */
const mark = { served: 1, media: 2, cmcd: 4, refused: 8, alone: 16 } as const;
const marks =
  `(case when ${served} then ${mark.served} when status in (401, 403, 410, 451) then ${mark.refused} else 0 end ` +
  `+ ${mark.media} * media + ${mark.cmcd} * cmcd + case when rival_text is null then ${mark.alone} else 0 end)::utinyint`;
const servedMedia = mark.served + mark.media;

/** What is reckoned over the requests of one token, window, address, user agent and mark. */
const sums = {
  requests: 'count(*)',
  first_at: 'min(seen_at)',
  last_at: 'max(seen_at)',
  told_ms: 'coalesce(sum(duration), 0)',
  told: 'count(nullif(duration, 0))',
  rendition_low: 'min(hash(rendition))',
  rendition_high: 'max(hash(rendition))',
} as const;

interface Count {
  readonly name: string;
  readonly type: string;
  /** Over the sums of requests that are marked alike. */
  readonly sql: string;
  /** Over counts of the same session. */
  readonly together: 'sum' | 'min' | 'max';
}

const whenMarked = (bits: number, sum: keyof typeof sums, otherwise: string): string =>
  `case when (marks & ${bits}) = ${bits} then ${sum} else ${otherwise} end`;
const count = (name: string, bits: number, sum: keyof typeof sums = 'requests'): Count => ({
  name,
  type: 'bigint',
  sql: bits === 0 ? sum : whenMarked(bits, sum, '0'),
  together: 'sum',
});

const counts: readonly Count[] = [
  count('requests', 0),
  count('served', mark.served),
  count('alone', mark.served + mark.alone),
  count('media', servedMedia),
  count('cmcd', servedMedia + mark.cmcd),
  count('refused', mark.refused),
  { name: 'first_at', type: 'bigint', sql: 'first_at', together: 'min' },
  { name: 'last_at', type: 'bigint', sql: 'last_at', together: 'max' },
  count('media_ms', servedMedia, 'told_ms'),
  count('told', servedMedia, 'told'),
  {
    name: 'rendition_low',
    type: 'ubigint',
    sql: whenMarked(servedMedia, 'rendition_low', 'null'),
    together: 'min',
  },
  {
    name: 'rendition_high',
    type: 'ubigint',
    sql: whenMarked(servedMedia, 'rendition_high', 'null'),
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
  /** The column of the requests that tells it. */
  readonly of: string;
  /** Over that column's value of some request of the group. */
  readonly sql: (of: string, config: DetectionConfig) => string;
}

/** What is the same in all requests of a group, or nearly so. */
const attributes: readonly Attribute[] = [
  { name: 'family', type: 'ubigint', of: 'family', sql: (of) => of },
  { name: 'tool', type: 'utinyint', of: 'product', sql: (of, config) => toolOf(duckdb, of, config) },
  { name: 'asn', type: 'bigint', of: 'asn_text', sql: asnOf },
  { name: 'country', type: 'varchar', of: 'country', sql: (of) => of },
];

/**
 * The table of the first pass. A token is known by its hash, since comparing whole texts takes a tenth of the pass. Its text
 * is that of a request which was served with no other token, where one was: nobody can have a token served alone that was
 * made up to share the hash of another. The table holds tokens, so it is dropped as soon as they are decoded.
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
    `${whenUsable(marks)} as marks`,
  ];
  const grouped = [
    ...group,
    `any_value(${whenUsable('token_text')}) as text`,
    ...attributes.map(({ of }) => `any_value(${of}) as ${of}`),
    ...Object.entries(sums).map(([name, sql]) => `${sql} as ${name}`),
  ];
  const columns = [
    'state',
    'token',
    'text',
    ...keys.map(([name]) => name),
    ...attributes.map(({ of, name, sql }) => `${sql(of, config)} as ${name}`),
    ...counts.map(({ name, sql }) => `${sql} as ${name}`),
  ];
  return (
    `insert into census select ${columns.join(', ')} from (select ${grouped.join(', ')} from ` +
    `(select *, ${stateOf(config, now)} as state from (${rows}) lines) stated ` +
    `group by ${group.map((_key, i) => i + 1).join(', ')}) summed`
  );
}

/** The tokens of the census: the text of each hash, and how many requests were served with it `alone`. */
export const distinctTokens =
  'select token, max_by(text, case when alone > 0 then 2 when served > 0 then 1 else 0 end) as text, cast(sum(alone) as bigint) as alone ' +
  `from census where state = ${usable} group by token`;

/**
 * The census by session, from tables `census`, `holders` (token, session) and `addresses`. Holds no token. What an address
 * or a user agent says of all its requests is joined to the groups, not grouped by.
 */
export function createVisits(): string {
  const group = 'h.session, c.window_start, a.address_id, c.agent, c.edge';
  const columns = counts.map(({ name, type, together }) => `cast(${together}(c.${name}) as ${type}) as ${name}`);
  return (
    `create table visits as select v.*, a.place_id as place, a.asn, a.country, a.hosting from (` +
    `select ${group}, any_value(c.family) as family, max(c.tool) as tool_agent, cast(sum(c.media * c.tool) as bigint) as tool, ${columns.join(', ')} ` +
    `from census c join holders h using (token) join addresses a using (address) group by ${group}) v join addresses a using (address_id)`
  );
}
