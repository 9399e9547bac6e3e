import type { DetectionConfig } from './config.js';
import type { Dialect } from './dialect.js';
import { columnName, features, type PieceKind } from './features.js';
import { served } from './requests.js';

/** What tells one piece from another, for each kind of piece. */
const keysOf = {
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
} as const satisfies Readonly<Record<PieceKind, readonly string[]>>;

const kinds: readonly PieceKind[] = ['activity', 'position', 'moment'];
const allKeys: readonly string[] = [...new Set(kinds.flatMap((kind): readonly string[] => keysOf[kind]))];

interface Measure {
  readonly name: string;
  readonly kinds: readonly PieceKind[];
  /** Over requests. */
  readonly sql: string;
  /** What the measures of several networks come to; a sum where it does not say. */
  readonly together?: 'min' | 'max';
}

const ok = served;

/** Measures over the requests of one piece. Only what the edge served counts as behaviour. */
const measures: readonly Measure[] = [
  { name: 'requests', kinds: ['activity'], sql: 'count(*)' },
  { name: 'served', kinds: ['activity'], sql: `count(*) filter (where ${ok})` },
  {
    name: 'bytes',
    kinds: ['activity'],
    sql: `cast(coalesce(sum(bytes) filter (where ${ok}), 0) as bigint)`,
  },
  { name: 'media', kinds: ['activity'], sql: `count(*) filter (where ${ok} and media = 1)` },
  {
    name: 'cmcd',
    kinds: ['activity'],
    sql: `count(*) filter (where ${ok} and media = 1 and cmcd = 1)`,
  },
  {
    name: 'tool',
    kinds: ['activity'],
    sql: `count(*) filter (where ${ok} and media = 1 and tool = 1)`,
  },
  { name: 'refused_token', kinds: ['activity'], sql: 'count(*) filter (where status = 401)' },
  { name: 'refused_revoked', kinds: ['activity'], sql: 'count(*) filter (where status in (403, 410))' },
  { name: 'refused_blackout', kinds: ['activity'], sql: 'count(*) filter (where status = 451)' },
  { name: 'failed', kinds: ['activity'], sql: 'count(*) filter (where status >= 500)' },
  { name: 'contested', kinds: ['activity'], sql: `count(*) filter (where ${ok} and contested = 1)` },
  { name: 'first_at', kinds: ['activity', 'position'], sql: 'min(seen_at)', together: 'min' },
  { name: 'last_at', kinds: ['activity'], sql: 'max(seen_at)', together: 'max' },
  {
    name: 'refetched',
    kinds: ['position'],
    sql: 'greatest(count(*) - case when min(object) = max(object) then 1 else 2 end, 0)',
  },
  {
    name: 'renditions',
    kinds: ['position'],
    sql: 'case when min(rendition) = max(rendition) then 1 else 2 end',
    together: 'max',
  },
  { name: 'media_ms', kinds: ['position'], sql: 'cast(max(duration) as bigint)', together: 'max' },
  { name: 'players_low', kinds: ['moment'], sql: 'min(player)', together: 'min' },
  { name: 'players_high', kinds: ['moment'], sql: 'max(player)', together: 'max' },
  { name: 'countries_low', kinds: ['moment'], sql: 'min(country)', together: 'min' },
  { name: 'countries_high', kinds: ['moment'], sql: 'max(country)', together: 'max' },
  { name: 'contents_low', kinds: ['moment'], sql: 'min(content)', together: 'min' },
  { name: 'contents_high', kinds: ['moment'], sql: 'max(content)', together: 'max' },
  {
    name: 'playhead',
    kinds: ['moment'],
    sql: "cast(avg(case when track = 'video' then position end) as double)",
  },
];

/** A request that is media with a known place, the only kind that positions and moments are made of. */
export const placedMedia = `${ok} and media = 1 and position is not null and track <> 'text'`;

/** The positions or moments of requests already joined with their session: for an engine that makes them one by one. */
export function piecesOf(kind: 'position' | 'moment', requests: string): string {
  const group = keysOf[kind].join(', ');
  const own = requestMeasures(kind).map(({ name, sql }) => `${sql} as ${name}`);
  return `select ${group},\n  ${own.join(',\n  ')}\nfrom ${requests}\nwhere ${placedMedia}\ngroup by ${group}`;
}

/**
 * All three kinds in one pass over the requests, by grouping sets: Athena bills what it scans, and a table named three
 * times in one statement is scanned three times. `more` are further measures, for all kinds.
 */
export function piecesAtOnce(requests: string, more: readonly string[] = []): string {
  const sets = kinds.map((kind) => `(${keysOf[kind].join(', ')}, wanted_${kind})`);
  const kind =
    "case when grouping(address) = 0 then 'activity' when grouping(position) = 0 then 'position' else 'moment' end as kind";
  return [
    `select ${[kind, ...allKeys, ...measures.map((measure) => `${measure.sql} as ${measure.name}`), ...more].join(',\n  ')}`,
    `from (`,
    `  select *, 1 as wanted_activity, case when ${placedMedia} then 1 else 0 end as wanted_position,`,
    `    case when ${placedMedia} then 1 else 0 end as wanted_moment`,
    `  from ${requests}`,
    `) marked`,
    `group by grouping sets (${sets.join(', ')})`,
    `having coalesce(wanted_activity, 0) + coalesce(wanted_position, 0) + coalesce(wanted_moment, 0) = 1`,
  ].join('\n');
}

interface Gathering {
  readonly name: string;
  readonly kinds: readonly PieceKind[];
  /** Over pieces. */
  readonly sql: (dialect: Dialect) => string;
}

/** What pieces of several networks come to. */
const gatherings: readonly Gathering[] = [
  { name: 'place', kinds: ['activity'], sql: () => 'max(place)' },
  { name: 'networks', kinds: ['position', 'moment'], sql: () => 'count(*)' },
  ...measures
    .filter(({ name }) => name !== 'playhead')
    .map(({ name, kinds: those, together }) => ({
      name,
      kinds: those,
      sql: () => (together === undefined ? `cast(sum(${name}) as bigint)` : `${together}(${name})`),
    })),
  { name: 'second_at', kinds: ['position'], sql: (dialect) => dialect.secondSmallest('first_at') },
  { name: 'playhead_low', kinds: ['moment'], sql: () => 'min(playhead)' },
  { name: 'playhead_high', kinds: ['moment'], sql: () => 'max(playhead)' },
];

/**
 * Pieces of several networks put together: one row a place of activity, a position, a moment. The engines' common core.
 * With `kind`, `pieces` are of that kind alone. `more` are further aggregates.
 */
export function gathered(dialect: Dialect, pieces: string, kind?: PieceKind, more: readonly string[] = []): string {
  const group = (kind === undefined ? allKeys : keysOf[kind]).filter((key) => key !== 'place');
  const wanted = gatherings.filter((one) => kind === undefined || one.kinds.includes(kind));
  const named = kind === undefined ? 'kind' : `'${kind}' as kind`;
  return [
    `select ${[named, ...group, ...wanted.map(({ name, sql }) => `${sql(dialect)} as ${name}`), ...more].join(',\n  ')}`,
    `from ${pieces}`,
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

/**
 * The features of each session and window, from gathered pieces; with `kind`, those of one kind of piece. The engines'
 * common core. `more` are further aggregates.
 */
export function featuresOf(
  dialect: Dialect,
  config: DetectionConfig,
  gatheredPieces: string,
  more: readonly string[] = [],
  kind?: PieceKind,
): string {
  const columns = [
    ...features
      .filter((feature) => kind === undefined || feature.kind === kind)
      .map((feature) => `${feature.sql(dialect, config)} as ${columnName(feature.name)}`),
    ...more,
  ];
  return [
    `select session, window_start,`,
    `  ${columns.join(',\n  ')}`,
    `from ${gatheredPieces}`,
    `group by session, window_start`,
  ].join('\n');
}

/** The same features where each kind's gathered pieces are a relation of their own. */
export function featuresByKind(
  dialect: Dialect,
  config: DetectionConfig,
  relations: Readonly<Record<PieceKind, string>>,
): string {
  const columns = features.map(({ name, kind }) =>
    kind === 'activity' ? columnName(name) : `coalesce(${columnName(name)}, 0) as ${columnName(name)}`,
  );
  const [whole, ...others] = kinds.map(
    (kind) => `(${featuresOf(dialect, config, relations[kind], [], kind)}) ${kind}s`,
  );
  return `select session, window_start, ${columns.join(', ')}\nfrom ${whole}${others.map((one) => `\nleft join ${one} using (session, window_start)`).join('')}`;
}

/**
 * Rows in which some signal speaks at all: the others cannot reach any score, and need not leave the engine. Each test is
 * the lowest value from which the weight of the same name gives points. `segmentSeconds`: a number, or SQL that gives one.
 */
export function notable(config: DetectionConfig, segmentSeconds: number | string = config.segmentSeconds): string {
  const { weights, hardRules } = config;
  const pace = hardRules.pace > 0 ? Math.min(weights.pace.from, hardRules.pace) : weights.pace.from;
  const rule = (limit: number, column: string): string[] => (limit > 0 ? [`${column} >= ${limit}`] : []);
  const mediaSeconds = `(media_milliseconds / 1000.0 + case when media_milliseconds = 0 then timed_positions * ${segmentSeconds} else 0 end)`;
  const tests = [
    `repeated_positions > ${weights.repeatedSegments.from} * greatest(positions, 1)`,
    `distant_moments > ${weights.distantPlayheads.from} * greatest(moments, 1)`,
    `player_moments > ${weights.concurrentPlayers.from} * greatest(moments, 1)`,
    `country_moments > ${weights.countriesAtOnce.from} * greatest(moments, 1)`,
    `asns > ${weights.autonomousSystems.from}`,
    `countries > ${weights.countries.from}`,
    `renditions - positions > ${weights.renditions.from} * greatest(positions, 1)`,
    `${mediaSeconds} - ${config.bufferSeconds} >= ${pace} * greatest(last_at - first_at, ${config.momentSeconds})`,
    `${alonePoints(config, { media: 'media', hosting: 'hosting_media', tool: 'tool_media', silent: '(expected_cmcd - cmcd_media)', oneIn: 'agent_one_in' })} >= ${Math.min(config.actions.watch, config.threshold)}`,
    ...rule(hardRules.concurrentNetworks, 'most_networks'),
    ...rule(hardRules.countriesPerWindow, 'countries'),
  ];
  return `(media >= ${config.evidence.media} and (${tests.join('\n  or ')}))`;
}

/** The measures of one kind of piece. */
export function requestMeasures(kind: PieceKind): readonly { readonly name: string; readonly sql: string }[] {
  return measures.filter((measure) => measure.kinds.includes(kind));
}

/** The name of an initialisation segment, which has no place in the content. */
const initialisation = '(?:^|[^a-z])init(?:[^a-z]|$|ial|seg)';
/**
 * Where a request `r` stands in its content, as expressions. `object` tells the bytes asked for from all others. Where the
 * name has no number, the range does. What the player says of its object (CMCD `ot`) never takes a request out: whoever
 * wants to go unseen says what he likes.
 */
export function placing(
  dialect: Dialect,
  { segmentNumber }: DetectionConfig,
): Readonly<Record<'track' | 'position' | 'object' | 'rendition', string>> {
  const folder = (words: readonly string[]): string =>
    words.map((word) => dialect.contains('lower(r.rendition)', word)).join(' or ');
  const ending = (extensions: readonly string[]): string =>
    extensions.map((extension) => `r.file like '%.${extension}'`).join(' or ');
  const number = dialect.number('r.file', segmentNumber, 1);
  // How long a range plays is not known: it must not count for the pace.
  const numberless = `case when r.range_start is null then false else not ${dialect.matches('r.file', segmentNumber)} end`;
  return {
    track:
      `case when ${folder(['subtitle', 'caption'])} or ${ending(['cmft'])} then 'text' ` +
      "when r.object_type in ('a', 'a%', 'c', 'c%', 'tt') then 'audio' " +
      "when starts_with(r.object_type, 'v') or r.object_type = 'av' then 'video' " +
      `when ${folder(['audio'])} or ${ending(['m4a', 'cmfa', 'aac', 'mp3', 'ac3', 'ec3'])} or ${numberless} then 'audio' else 'video' end`,
    position:
      `case when ${dialect.contains('lower(r.file)', 'init')} and ${dialect.matches('lower(r.file)', initialisation)} then null ` +
      `else coalesce(${number}, r.range_start) end`,
    object: dialect.hashOf(['r.content', 'r.rendition', 'r.file', 'r.range_start']),
    rendition: dialect.hash('r.rendition'),
  };
}

/** What positions and moments are made of, over requests `r`. */
export function placedColumns(dialect: Dialect, config: DetectionConfig): string {
  return [
    'r.content',
    ...Object.entries(placing(dialect, config)).map(([name, sql]) => `${sql} as ${name}`),
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
