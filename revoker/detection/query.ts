import type { DetectionConfig } from './config.js';
import type { Dialect } from './dialect.js';
import { columnName, features } from './features.js';

/**
 * The columns of a piece: what the requests of a session come down to before features are made of them. There are three
 * kinds, told apart by `kind`: `activity` (who asked, from where), `position` (a place in a content, by network) and
 * `moment` (a few seconds, by network). A column that a kind has no use for is NULL.
 */
const keys = [
  'session',
  'window_start',
  'place',
  'address',
  'asn',
  'country',
  'hosting',
  'agent',
  'family',
  'player',
  'edge',
  'content',
  'track',
  'position',
  'moment',
] as const;
type Key = (typeof keys)[number];
type Kind = 'activity' | 'position' | 'moment';

const keysOf: Readonly<Record<Kind, readonly Key[]>> = {
  activity: [
    'session',
    'window_start',
    'place',
    'address',
    'asn',
    'country',
    'hosting',
    'agent',
    'family',
    'player',
    'edge',
  ],
  position: ['session', 'window_start', 'place', 'content', 'track', 'position'],
  moment: ['session', 'window_start', 'place', 'moment'],
};

const keyTypes: Readonly<Partial<Record<Key, string>>> = {
  place: 'varchar',
  address: 'varchar',
  asn: 'bigint',
  country: 'varchar',
  hosting: 'integer',
  content: 'varchar',
  track: 'varchar',
  position: 'bigint',
  moment: 'bigint',
};

interface Measure {
  readonly name: string;
  readonly kinds: readonly Kind[];
  /** Over requests. */
  readonly sql: string;
  readonly type: string;
}

const ok = 'status < 400';

/** Measures over the requests of one piece. `status < 400` is what the edge let through. */
const measures: readonly Measure[] = [
  { name: 'requests', kinds: ['activity'], type: 'bigint', sql: 'count(*)' },
  { name: 'served', kinds: ['activity'], type: 'bigint', sql: `count(*) filter (where ${ok})` },
  {
    name: 'bytes',
    kinds: ['activity'],
    type: 'bigint',
    sql: `cast(coalesce(sum(bytes) filter (where ${ok}), 0) as bigint)`,
  },
  { name: 'media', kinds: ['activity'], type: 'bigint', sql: `count(*) filter (where ${ok} and media = 1)` },
  {
    name: 'cmcd',
    kinds: ['activity'],
    type: 'bigint',
    sql: `count(*) filter (where ${ok} and media = 1 and cmcd = 1)`,
  },
  {
    name: 'tool',
    kinds: ['activity'],
    type: 'bigint',
    sql: `count(*) filter (where ${ok} and media = 1 and tool = 1)`,
  },
  { name: 'refused_token', kinds: ['activity'], type: 'bigint', sql: 'count(*) filter (where status = 401)' },
  { name: 'refused_revoked', kinds: ['activity'], type: 'bigint', sql: 'count(*) filter (where status in (403, 410))' },
  { name: 'refused_blackout', kinds: ['activity'], type: 'bigint', sql: 'count(*) filter (where status = 451)' },
  { name: 'failed', kinds: ['activity'], type: 'bigint', sql: 'count(*) filter (where status >= 500)' },
  { name: 'first_at', kinds: ['activity', 'position'], type: 'bigint', sql: 'min(seen_at)' },
  { name: 'last_at', kinds: ['activity', 'position'], type: 'bigint', sql: 'max(seen_at)' },
  {
    name: 'refetched',
    kinds: ['position'],
    type: 'bigint',
    sql: 'greatest(count(*) - case when min(object) = max(object) then 1 else 2 end, 0)',
  },
  {
    name: 'renditions',
    kinds: ['position'],
    type: 'bigint',
    sql: 'case when min(rendition) = max(rendition) then 1 else 2 end',
  },
  { name: 'media_ms', kinds: ['position'], type: 'bigint', sql: 'cast(max(duration) as bigint)' },
  { name: 'players_low', kinds: ['moment'], type: 'hash', sql: 'min(player)' },
  { name: 'players_high', kinds: ['moment'], type: 'hash', sql: 'max(player)' },
  { name: 'countries_low', kinds: ['moment'], type: 'varchar', sql: 'min(country)' },
  { name: 'countries_high', kinds: ['moment'], type: 'varchar', sql: 'max(country)' },
  { name: 'contents_low', kinds: ['moment'], type: 'varchar', sql: 'min(content)' },
  { name: 'contents_high', kinds: ['moment'], type: 'varchar', sql: 'max(content)' },
  {
    name: 'playhead',
    kinds: ['moment'],
    type: 'double',
    sql: "cast(avg(case when track = 'video' then position end) as double)",
  },
];

/** A request that is media with a known place, the only kind that positions and moments are made of. */
export const placedMedia = `${ok} and media = 1 and position is not null and track <> 'text'`;

const hashType: Readonly<Record<Dialect['name'], string>> = { duckdb: 'ubigint', trino: 'bigint' };

/** The pieces of one kind, from requests already joined with their session. DuckDB makes the kinds one after another. */
export function piecesOf(dialect: Dialect, kind: Kind, requests: string): string {
  const group = keysOf[kind];
  const columns = [
    `${literalKind(kind)} as kind`,
    ...keys.map((key) => (group.includes(key) ? key : `${nothing(dialect, keyTypes[key] ?? 'hash')} as ${key}`)),
    ...measures.map((measure) =>
      measure.kinds.includes(kind)
        ? `${measure.sql} as ${measure.name}`
        : `${nothing(dialect, measure.type)} as ${measure.name}`,
    ),
  ];
  const where = kind === 'activity' ? '' : `\nwhere ${placedMedia}`;
  return `select ${columns.join(',\n  ')}\nfrom ${requests}${where}\ngroup by ${group.join(', ')}`;
}

function literalKind(kind: Kind): string {
  return `'${kind}'`;
}

function nothing(dialect: Dialect, type: string): string {
  return `cast(null as ${type === 'hash' ? hashType[dialect.name] : type})`;
}

/**
 * All three kinds in one pass over the requests, by grouping sets: Athena bills what it scans, and a table named three
 * times in one statement is scanned three times. `more` are further measures, for all kinds.
 */
export function piecesAtOnce(requests: string, more: readonly string[] = []): string {
  const sets = (['activity', 'position', 'moment'] as const).map(
    (kind) => `(${keysOf[kind].join(', ')}, wanted_${kind})`,
  );
  const kind =
    "case when grouping(address) = 0 then 'activity' when grouping(position) = 0 then 'position' else 'moment' end as kind";
  return [
    `select ${[kind, ...keys, ...measures.map((measure) => `${measure.sql} as ${measure.name}`), ...more].join(',\n  ')}`,
    `from (`,
    `  select *, 1 as wanted_activity, case when ${placedMedia} then 1 else 0 end as wanted_position,`,
    `    case when ${placedMedia} then 1 else 0 end as wanted_moment`,
    `  from ${requests}`,
    `) marked`,
    `group by grouping sets (${sets.join(', ')})`,
    `having coalesce(wanted_activity, 0) + coalesce(wanted_position, 0) + coalesce(wanted_moment, 0) = 1`,
  ].join('\n');
}

/**
 * Pieces of several networks put together: one row a place of activity, a position, a moment. The engines' common core.
 * With `kind`, only the pieces of that kind, grouped by the keys that it has: an engine that holds the kinds apart need
 * not group by columns that are all NULL. `more` are further aggregates.
 */
export function gathered(dialect: Dialect, pieces: string, kind?: Kind, more: readonly string[] = []): string {
  const all = keys.filter((key) => key !== 'place');
  const group = kind === undefined ? all : all.filter((key) => keysOf[kind].includes(key));
  const sums = [
    'requests',
    'served',
    'bytes',
    'media',
    'cmcd',
    'tool',
    'refused_token',
    'refused_revoked',
    'refused_blackout',
    'failed',
    'refetched',
  ];
  /** What the kind has no use for is NULL without being looked at. */
  const put = (
    measure: string,
    sql: string,
    name: string = measure,
    where: readonly Kind[] | undefined = undefined,
  ) => {
    const known = measures.find((one) => one.name === measure) as Measure;
    const asked = kind === undefined || (where ?? known.kinds).includes(kind);
    return `${asked ? sql : nothing(dialect, known.type)} as ${name}`;
  };
  return [
    `select ${kind === undefined ? 'kind' : `${literalKind(kind)} as kind`},`,
    `  ${all.map((key) => (group.includes(key) ? key : `${nothing(dialect, keyTypes[key] ?? 'hash')} as ${key}`)).join(', ')},`,
    `  ${kind === undefined || kind === 'activity' ? 'max(place)' : nothing(dialect, 'varchar')} as place, count(*) as networks,`,
    `  ${sums.map((name) => put(name, `cast(sum(${name}) as bigint)`)).join(', ')},`,
    `  ${put('first_at', 'min(first_at)')}, ${put('last_at', 'max(last_at)')},`,
    `  ${put('first_at', dialect.secondSmallest('first_at'), 'second_at', ['position'])},`,
    `  ${put('renditions', 'max(renditions)')}, ${put('media_ms', 'max(media_ms)')},`,
    `  ${put('players_low', 'min(players_low)')}, ${put('players_high', 'max(players_high)')},`,
    `  ${put('countries_low', 'min(countries_low)')}, ${put('countries_high', 'max(countries_high)')},`,
    `  ${put('contents_low', 'min(contents_low)')}, ${put('contents_high', 'max(contents_high)')},`,
    `  ${[put('playhead', 'min(playhead)', 'playhead_low'), put('playhead', 'max(playhead)', 'playhead_high'), ...more].join(', ')}`,
    `from ${pieces}${kind === undefined ? '' : ` where kind = ${literalKind(kind)}`}`,
    `group by ${[...(kind === undefined ? ['kind'] : []), ...group].join(', ')}`,
  ].join('\n');
}

/** The points that the signals of one playback alone can make: hosting, tool, missing CMCD and rare user agent. */
export function alonePoints(
  { weights }: DetectionConfig,
  columns: {
    readonly media: string;
    readonly hosting: string;
    readonly tool: string;
    readonly silent: string;
    readonly oneIn: string;
  },
): string {
  const ramp = (weight: { points: number; from: number; to: number }, value: string): string =>
    `${weight.points} * least(1e0, greatest(0e0, (${value} - ${weight.from}) / ${weight.to - weight.from}))`;
  const share = (part: string): string => `cast(${part} as double) / greatest(${columns.media}, 1)`;
  return (
    `(${ramp(weights.hosting, share(columns.hosting))} + ${ramp(weights.tool, share(columns.tool))} + ` +
    `${ramp(weights.missingCmcd, share(columns.silent))} + ${ramp(weights.rareAgent, columns.oneIn)})`
  );
}

/**
 * Gathered pieces with what their user agents lead one to expect: `expected_cmcd`, from the share of media requests with
 * CMCD of everybody on the same browser and platform, and `one_in`, how rare the exact user agent is. Where the pieces are
 * a part of the audience, `audience` names tables of the whole: (family, cmcd_share) and (agent, one_in); without it the
 * pieces are the audience.
 */
export function expected(
  gatheredPieces: string,
  audience?: { readonly families: string; readonly agents: string },
): string {
  if (audience !== undefined) {
    return (
      `select g.*, case when g.kind = 'activity' then g.media * coalesce(f.cmcd_share, 0e0) end as expected_cmcd, ` +
      `case when g.kind = 'activity' and g.media > 0 then e.one_in end as one_in from ${gatheredPieces} g ` +
      `left join ${audience.families} f on f.family = g.family left join ${audience.agents} e on e.agent = g.agent`
    );
  }
  const family = (column: string): string => `sum(${column}) over (partition by kind, family)`;
  const played = 'sum(case when media > 0 then 1 else 0 end)';
  return (
    `select *, case when kind = 'activity' and ${family('media')} > 0 ` +
    `then media * cast(${family('cmcd')} as double) / ${family('media')} when kind = 'activity' then 0e0 end as expected_cmcd, ` +
    `case when kind = 'activity' and media > 0 then ${played} over (partition by kind) / ` +
    `cast(${played} over (partition by kind, agent) as double) end as one_in from ${gatheredPieces}`
  );
}

/** The features of each session and window, from gathered pieces. The engines' common core. `more` are further aggregates. */
export function featuresOf(
  dialect: Dialect,
  config: DetectionConfig,
  gatheredPieces: string,
  more: readonly string[] = [],
): string {
  const columns = [
    ...features.map((feature) => `${feature.sql(dialect, config)} as ${columnName(feature.name)}`),
    ...more,
  ];
  return [
    `select session, window_start,`,
    `  ${columns.join(',\n  ')}`,
    `from ${gatheredPieces}`,
    `group by session, window_start`,
  ].join('\n');
}

/**
 * Rows in which some signal speaks at all: the others cannot reach any score, and need not leave the engine. Each test is
 * the lowest value from which the weight of the same name gives points. `segmentSeconds`: a number, or SQL that gives one.
 */
export function notable(config: DetectionConfig, segmentSeconds: number | string = config.segmentSeconds): string {
  const { weights } = config;
  const mediaSeconds = `(media_milliseconds / 1000.0 + case when media_milliseconds = 0 then timed_positions * ${segmentSeconds} else 0 end)`;
  const tests = [
    `repeated_positions > ${weights.repeatedSegments.from} * greatest(positions, 1)`,
    `distant_moments > ${weights.distantPlayheads.from} * greatest(moments, 1)`,
    `player_moments > ${weights.concurrentPlayers.from} * greatest(moments, 1)`,
    `country_moments > ${weights.countriesAtOnce.from} * greatest(moments, 1)`,
    `asns > ${weights.autonomousSystems.from}`,
    `countries > ${weights.countries.from}`,
    `renditions - positions > ${weights.renditions.from} * greatest(positions, 1)`,
    `${mediaSeconds} - ${config.bufferSeconds} > ${weights.pace.from} * greatest(last_at - first_at, ${config.momentSeconds})`,
    `${alonePoints(config, { media: 'media', hosting: 'hosting_media', tool: 'tool_media', silent: '(expected_cmcd - cmcd_media)', oneIn: 'agent_one_in' })} >= ${config.actions.watch}`,
  ];
  return `(media >= ${config.evidence.media} and (${tests.join('\n  or ')}))`;
}

/** The measures of one kind of piece, for an engine that makes pieces in a way of its own. */
export function requestMeasures(kind: Kind): readonly { readonly name: string; readonly sql: string }[] {
  return measures.filter((measure) => measure.kinds.includes(kind));
}

/** The columns of an activity piece whose keys are given by name and whose measures are columns of the same name. */
export function activityColumns(dialect: Dialect, given: Readonly<Partial<Record<Key, string>>>): string {
  return [
    "'activity' as kind",
    ...keys.map((key) => `${given[key] ?? nothing(dialect, keyTypes[key] ?? 'hash')} as ${key}`),
    ...measures.map((measure) =>
      measure.kinds.includes('activity') ? measure.name : `${nothing(dialect, measure.type)} as ${measure.name}`,
    ),
  ].join(', ');
}

/** A segment's number: the last digits of its name before the extension. Initialisation segments have none. */
const positionExpression = '([0-9]+)[^0-9.]*[.][A-Za-z0-9]+$';
/** What positions and moments are made of, over requests `r`. */
export function placedColumns(dialect: Dialect, config: DetectionConfig): string {
  const folder = (words: readonly string[]): string =>
    words.map((word) => `strpos(lower(r.rendition), '${word}') > 0`).join(' or ');
  const ending = (extensions: readonly string[]): string =>
    extensions.map((extension) => `r.file like '%.${extension}'`).join(' or ');
  const track =
    "case when r.object_type in ('a', 'a%') then 'audio' when r.object_type in ('c', 'c%', 'tt') then 'text' " +
    "when starts_with(r.object_type, 'v') or r.object_type = 'av' then 'video' " +
    `when ${folder(['audio'])} or ${ending(['m4a', 'cmfa', 'aac', 'mp3', 'ac3', 'ec3'])} then 'audio' ` +
    `when ${folder(['subtitle', 'caption'])} or ${ending(['cmft'])} then 'text' else 'video' end`;
  const position =
    `case when strpos(lower(r.file), 'init') > 0 or starts_with(r.object_type, 'i') then null ` +
    `else ${dialect.number('r.file', positionExpression, 1)} end`;
  const object = dialect.hashOf(['r.content', 'r.rendition', 'r.file', 'r.range_start']);
  return [
    'r.content',
    `${track} as track`,
    `${position} as position`,
    `${object} as object`,
    `${dialect.hash('r.rendition')} as rendition`,
    'r.player',
    'r.duration',
    'r.seen_at',
    `${dialect.quotient('r.seen_at', config.momentSeconds)} as moment`,
    'r.status',
    'r.media',
  ].join(', ');
}

/** A session counts for its account in a window when it played this long, in seconds. */
const settledSeconds = 60;

/** Whether a session counts for its account, from its media and its first and last request in a window. */
export function settled(config: DetectionConfig, media: string, first: string, last: string): string {
  const seconds = Math.min(settledSeconds, config.windowSeconds / 2);
  return `${media} >= ${Math.ceil(config.evidence.media / 2)} and ${last} - ${first} >= ${seconds}`;
}

/**
 * What the sessions of one account do at the same time, from activity pieces that carry a `subject`: each session is put
 * where most of its media went. `concurrency` is how many played at once on average.
 */
export function accountsOf(pieces: string, config: DetectionConfig): string {
  return [
    'select subject, window_start, count(*) as sessions, count(distinct place) as places, count(distinct asn) as asns,',
    '  count(distinct country) as countries, count(distinct edge) as edges,',
    '  sum(last_at - first_at) / cast(greatest(max(last_at) - min(first_at), 1) as double) as concurrency',
    'from (',
    '  select subject, session, window_start, max_by(place, media) as place, max_by(asn, media) as asn, max_by(country, media) as country,',
    '    max_by(edge, media) as edge, sum(media) as media, min(first_at) as first_at, max(last_at) as last_at',
    `  from ${pieces} where subject is not null and served > 0 group by subject, session, window_start`,
    `) settled where ${settled(config, 'media', 'first_at', 'last_at')}`,
    `group by subject, window_start having count(distinct place) > ${config.weights.accountPlaces.from}`,
  ].join('\n');
}
