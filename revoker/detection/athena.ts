import type { DetectionConfig } from './config.js';
import { type Dialect, literal, trino } from './dialect.js';
import type { LogField } from './fields.js';
import { fieldNames } from './fields.js';
import { placeExpression } from './addresses.js';
import { columnName, featureNames } from './features.js';
import { expected, featuresOf, gathered, notable, piecesAtOnce, placedColumns, settled } from './query.js';
import { type FieldExpressions, requestColumns, requestRows, served as servedRequest, tokenFacts } from './requests.js';

/** A table of access logs in the lake. */
export interface LogTable {
  readonly database: string;
  readonly table: string;
  /** The table's columns for the fields; default: CloudFront's names with underscores (`cs_uri_stem`). */
  readonly columns?: Partial<Record<LogField, string>>;
  /**
   * How the table is partitioned by time: columns in falling size, each with how a moment of it is written. Default:
   * `year`, `month`, `day`, `hour` in UTC, as CloudFront's standard logs v2 lay them out.
   */
  readonly partitions?: readonly PartitionColumn[];
}

export interface PartitionColumn {
  readonly column: string;
  readonly unit: 'year' | 'month' | 'day' | 'hour' | 'date' | 'datehour';
}

/** A stretch of time, seconds since 1970; `to` is not in it. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

const defaultPartitions: readonly PartitionColumn[] = [
  { column: 'year', unit: 'year' },
  { column: 'month', unit: 'month' },
  { column: 'day', unit: 'day' },
  { column: 'hour', unit: 'hour' },
];

/**
 * A query as Athena takes it: its text, and the values of the question marks in it as SQL literals, in their order
 * (`QueryString` and `ExecutionParameters` of StartQueryExecution). The text has the configuration in it; what one window or
 * an operator gives is a value, so one text serves all windows of as many partitions.
 */
export interface AthenaQuery {
  readonly text: string;
  readonly parameters: readonly string[];
}

/** Characters of a value that StartQueryExecution takes. */
const longestParameter = 1024;

/** Puts a value in a text that is being made; what it answers stands for the value. */
type Values = (sql: string) => string;

/** Collects values by marks, which no SQL holds, and numbers them once the text is whole. */
function collectValues(): { readonly value: Values; readonly settle: (text: string) => AthenaQuery } {
  const values: string[] = [];
  return {
    value: (sql) => `\0${values.push(sql) - 1}\0`,
    settle(text) {
      const parameters: string[] = [];
      const settled = text.replace(/\0(\d+)\0/g, (_mark, index) => {
        parameters.push(values[Number(index)] as string);
        return '?';
      });
      return { text: settled, parameters };
    },
  };
}

/** A log may be delivered this long after the request, into a later partition than its own time names, in hours. */
const lateHours = 1;

/** A query that would read too much, or a name that is none. */
export class AthenaQueryError extends Error {
  readonly code = 'athena_query';
}

function name(text: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(text))
    throw new AthenaQueryError(`${JSON.stringify(text)} is no name of a database, table or column`);
  return trino.column(text);
}

function hoursOf({ from, to }: Stretch): number[] {
  const hour = 3600;
  const hours: number[] = [];
  for (let at = Math.floor(from / hour); at <= Math.floor((to - 1) / hour) + lateHours; at++) hours.push(at * hour);
  return hours;
}

/** A query over a longer stretch would scan a lake by mistake. */
const longestStretch = 48 * 3600;

/** The partitions that hold a stretch, as a condition on partition columns alone, so that nothing else is scanned. */
export function partitionCondition(
  stretch: Stretch,
  partitions: readonly PartitionColumn[] = defaultPartitions,
  value: Values = (sql) => sql,
): string {
  if (!(stretch.to > stretch.from)) throw new AthenaQueryError('the stretch of time is empty');
  if (stretch.to - stretch.from > longestStretch)
    throw new AthenaQueryError(`a stretch of more than ${longestStretch / 3600} hours in one query: ask in parts`);
  const moments = hoursOf(stretch).map((at) => {
    const iso = new Date(at * 1000).toISOString();
    const text: Record<PartitionColumn['unit'], string> = {
      year: iso.slice(0, 4),
      month: iso.slice(5, 7),
      day: iso.slice(8, 10),
      hour: iso.slice(11, 13),
      date: iso.slice(0, 10),
      datehour: `${iso.slice(0, 10).replaceAll('-', '/')}/${iso.slice(11, 13)}`,
    };
    return partitions.map(({ unit }) => text[unit]);
  });
  const distinct = [...new Map(moments.map((texts) => [texts.join('/'), texts])).values()];
  const alternatives = distinct.map((texts) =>
    texts
      .map((text, i) => `${name((partitions[i] as PartitionColumn).column)} = ${value(literal(text))}`)
      .join(' and '),
  );
  return `(${alternatives.map((alternative) => `(${alternative})`).join('\n  or ')})`;
}

function columnsOf(table: LogTable): FieldExpressions {
  const columns: Record<string, string> = {};
  for (const field of Object.keys(fieldNames) as LogField[]) {
    const given = table.columns?.[field];
    if (table.columns !== undefined && given === undefined) continue;
    const column = given ?? (fieldNames[field][0] as string).replaceAll('-', '_');
    columns[field] = `cast(l.${name(column)} as varchar)`;
  }
  return columns;
}

/** The columns that CloudFront's standard logs v2 have, where the table does not say otherwise. */
export const standardTable: Pick<Required<LogTable>, 'columns'> = {
  columns: {
    date: 'date',
    time: 'time',
    address: 'c_ip',
    status: 'sc_status',
    bytes: 'sc_bytes',
    method: 'cs_method',
    path: 'cs_uri_stem',
    query: 'cs_uri_query',
    agent: 'cs_user_agent',
    cookie: 'cs_cookie',
    edge: 'x_edge_location',
    asn: 'asn',
    country: 'c_country',
    'range-start': 'sc_range_start',
  },
};

/**
 * Every request of a stretch with its session, network and place in the content: the Athena side of what DuckDB makes of
 * files in several steps. `dialect` is Trino's; tests pass one in which single functions are replaced.
 */
function athenaRequests(
  config: DetectionConfig,
  table: LogTable,
  stretch: Stretch,
  dialect: Dialect,
  value: Values,
): string {
  const rows = requestRows(
    dialect,
    `${name(table.database)}.${name(table.table)} l\nwhere ${partitionCondition(stretch, table.partitions, value)}`,
    columnsOf({ ...standardTable, ...table }),
    config,
  );
  const lines = `select ${requestColumns.join(', ')}, rival_text, token_text as text from (${rows}) lines where token_text is not null and readable and not public_path`;
  const owned = tokenFacts(dialect, `(${lines}) tokened`, [...requestColumns, 'rival_text']);
  const kept = [...requestColumns, 'rival_text', 'own_session', 'own_subject'];
  const both = tokenFacts(
    dialect,
    `(select ${requestColumns.join(', ')}, rival_text, rival_text as text, session_text as own_session, subject as own_subject from (${owned}) owned) rivals`,
    kept,
  );
  const hosting =
    config.hostingAsns.length > 0 ? `case when r.asn in (${config.hostingAsns.join(', ')}) then 1 else 0 end` : '0';
  return (
    `select r.own_session as session, r.own_subject as subject, ${dialect.quotient('r.seen_at', config.windowSeconds)} * ${config.windowSeconds} as window_start,\n` +
    `  ${placeExpression(`(${dialect.addressHex('r.address')})`, 'r.asn', config)} as place, r.address, r.asn, r.country, ${hosting} as hosting,\n` +
    `  r.agent, r.family, r.edge, r.bytes, r.tool, r.cmcd, ${placedColumns(dialect, config)},\n` +
    `  case when r.rival_text is not null and r.session_text <> r.own_session then 1 else 0 end as contested\n` +
    `from (${both}) r\n` +
    `where r.seen_at >= ${value(String(stretch.from))} and r.seen_at < ${value(String(stretch.to))} and r.status is not null and r.address is not null`
  );
}

function checked({ from, to }: Stretch): Stretch {
  if (!Number.isInteger(from) || !Number.isInteger(to))
    throw new AthenaQueryError('a stretch of time is given in whole seconds since 1970');
  return { from, to };
}

/** Most places of a session and window that leave the query; the rest is told as a sum. */
export const placesTold = 40;

const served = "kind = 'activity' and served > 0";
const timed = "kind = 'position' and media_ms > 0";
const whereabouts = { place: 'places', asn: 'asns', country: 'countries', edge: 'edges' } as const;
const whereaboutNames = Object.keys(whereabouts) as (keyof typeof whereabouts)[];

/** Beside the features: the account, where most of the session's media went, and the addresses that took it. */
const beside: readonly string[] = [
  'max(subject) as subject',
  ...whereaboutNames.map((name) => `max_by(${name}, media) filter (where ${served}) as main_${name}`),
  `min(first_at) filter (where ${served}) as served_from`,
  `max(last_at) filter (where ${served}) as served_until`,
  `coalesce(sum(media_ms) filter (where ${timed}), 0) as told_ms`,
  `count(*) filter (where ${timed}) as told_positions`,
  `array_join(slice(array_agg(address || ' ' || coalesce(cast(asn as varchar), '-') || ' ' || cast(hosting as varchar) || ' ' || ` +
    `cast(media as varchar) order by media desc, address) filter (where kind = 'activity' and media > 0), 1, ${placesTold}), ',') as place_list`,
];

/**
 * What `accountsOf` tells of accounts, by window functions over the features, so that the lake is scanned once: the sessions
 * of an account that played at once, and their distinct whereabouts, which are ranked and the highest rank taken.
 */
function accountColumns(config: DetectionConfig): { marked: string; ranked: string; told: string } {
  const account = 'partition by subject, case when subject is null then session end, window_start';
  const whose = (name: string): string => `case when counts = 1 then main_${name} end`;
  const over = (sql: string): string => `${sql} over (${account})`;
  const first = over('min(case when counts = 1 then served_from end)');
  const last = over('max(case when counts = 1 then served_until end)');
  return {
    marked: `case when subject is not null and ${settled(config, 'media', 'served_from', 'served_until')} then 1 else 0 end as counts`,
    ranked: whereaboutNames
      .map((name) => `dense_rank() over (${account} order by ${whose(name)} nulls last) as rank_${name}`)
      .join(', '),
    told: [
      `${over('sum(counts)')} as account_sessions`,
      ...whereaboutNames.map((name) => {
        const rank = `max(case when ${whose(name)} is not null then rank_${name} end)`;
        return `coalesce(${over(rank)}, 0) as account_${whereabouts[name]}`;
      }),
      `${over('sum(case when counts = 1 then served_until - served_from else 0 end)')} / ` +
        `cast(greatest(${last} - ${first}, 1) as double) as account_concurrency`,
    ].join(', '),
  };
}

/**
 * The query for Athena (engine version 3): one scan of the partitions that hold the stretch, one row for each session and
 * window in which some signal speaks, or whose account is watched from many places. Beside the features a row has the
 * session's account (`subject`), the addresses that took most of its media (`place_list`), what the account's sessions did at
 * the same time (`account_…`), and the sessions of the whole stretch (`audience_sessions`) with their share of CMCD and the
 * mean length of a segment.
 *
 * @throws {AthenaQueryError} for a stretch that is empty or longer than two days, or a name that is none.
 */
export function athenaQuery(
  config: DetectionConfig,
  table: LogTable,
  stretch: Stretch,
  options: { dialect?: Dialect; every?: boolean } = {},
): AthenaQuery {
  const dialect = options.dialect ?? trino;
  const { value, settle } = collectValues();
  const account = accountColumns(config);
  // An account on the allow list is left alone in any case, and may be everybody's.
  const allowed = config.allow.subjects
    .map(literal)
    .map((sql) => (sql.length <= longestParameter ? value(sql) : sql))
    .join(', ');
  const crowded =
    `account_places > ${config.weights.accountPlaces.from} and media > 0` +
    (allowed === '' ? '' : ` and subject not in (${allowed})`);
  const columns = [
    'session',
    'window_start',
    ...featureNames.map(columnName),
    'subject',
    'place_list',
    'account_sessions',
    ...Object.values(whereabouts).map((name) => `account_${name}`),
    'account_concurrency',
    'first_row',
    'audience_sessions',
    'audience_cmcd',
    'audience_media',
    'audience_segment',
  ];
  const text = [
    `with requests as (\n${athenaRequests(config, table, checked(stretch), dialect, value)}\n),`,
    `pieces as (\n${piecesAtOnce('requests', [`max(case when ${servedRequest} and contested = 0 then subject end) as subject`])}\n),`,
    `gathered as (\n${gathered(dialect, 'pieces', undefined, ['max(subject) as subject'])}\n),`,
    `expected as (\n${expected('gathered')}\n),`,
    `features as (\n${featuresOf(dialect, config, 'expected', beside)}\n),`,
    `marked as (select *, ${account.marked} from features),`,
    `ranked as (select *, ${account.ranked} from marked),`,
    `accounts as (select *, ${account.told} from ranked),`,
    `audience as (`,
    `select *, sum(case when first_row = 1 then 1 else 0 end) over () as audience_sessions,`,
    `  sum(cmcd_media) over () as audience_cmcd, sum(media) over () as audience_media,`,
    `  avg(cast(told_ms as double) / nullif(told_positions, 0)) over () / 1000 as audience_segment`,
    `from (select *, row_number() over (partition by session order by window_start) as first_row from accounts) numbered`,
    `)`,
    `select ${columns.join(', ')} from audience${options.every ? '' : ` where ${notable(config, `coalesce(audience_segment, ${config.segmentSeconds}e0)`)}\n  or ${crowded}`}`,
    `order by window_start, session`,
  ].join('\n');
  return settle(text);
}
