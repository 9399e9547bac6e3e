import type { DetectionConfig } from './config.js';
import type { Dialect } from './dialect.js';

/**
 * What the requests of a session come down to before features are made of them: who asked from where (`activity`), a place
 * in a content by network (`position`), a few seconds by network (`moment`).
 */
export type PieceKind = 'activity' | 'position' | 'moment';

/** One feature of a session in a window: what the query counts, by one definition for both engines. */
export interface Feature {
  readonly name: FeatureName;
  readonly meaning: string;
  readonly unit: string;
  /** The pieces that it is made of (see `query.ts`). */
  readonly kind: PieceKind;
  /** The aggregate over the pieces of a session's window. */
  readonly sql: (dialect: Dialect, config: DetectionConfig) => string;
}

export const featureNames = [
  'requests',
  'served',
  'bytes',
  'media',
  'cmcdMedia',
  'expectedCmcd',
  'agentOneIn',
  'toolMedia',
  'hostingMedia',
  'refusedToken',
  'refusedRevoked',
  'refusedBlackout',
  'failed',
  'contested',
  'firstAt',
  'lastAt',
  'addresses',
  'networks',
  'asns',
  'countries',
  'agents',
  'players',
  'edges',
  'countryList',
  'asnList',
  'positions',
  'repeatedPositions',
  'copies',
  'refetched',
  'renditions',
  'mediaMilliseconds',
  'timedPositions',
  'contents',
  'moments',
  'sharedMoments',
  'mostNetworks',
  'distantMoments',
  'playerMoments',
  'countryMoments',
] as const;

export type FeatureName = (typeof featureNames)[number];

const activity = "kind = 'activity'";
const served = `${activity} and served > 0`;
const position = "kind = 'position'";
const moment = "kind = 'moment'";
const total = (column: string, where: string): string => `coalesce(sum(${column}) filter (where ${where}), 0)`;
const counted = (where: string): string => `count(*) filter (where ${where})`;
const distinct = (column: string): string => `count(distinct ${column}) filter (where ${served})`;

/**
 * Every feature, in the order of the query's columns. Only requests that the edge served count as behaviour: anybody can
 * write a token with somebody else's session in it, but nobody can have it served.
 */
export const features: readonly Feature[] = [
  {
    name: 'requests',
    kind: 'activity',
    unit: 'requests',
    meaning: 'All requests with a token of the session',
    sql: () => total('requests', activity),
  },
  {
    name: 'served',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Requests answered with content',
    sql: () => total('served', activity),
  },
  {
    name: 'bytes',
    kind: 'activity',
    unit: 'bytes',
    meaning: 'Bytes sent in answers with content',
    sql: () => total('bytes', activity),
  },
  {
    name: 'media',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Media segments served',
    sql: () => total('media', activity),
  },
  {
    name: 'cmcdMedia',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Media segments whose request carried CMCD',
    sql: () => total('cmcd', activity),
  },
  {
    name: 'expectedCmcd',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Media segments that would carry CMCD if the session did as others with its user agents do',
    sql: () => total('expected_cmcd', activity),
  },
  {
    name: 'agentOneIn',
    kind: 'activity',
    unit: 'players',
    meaning: 'One in how many players has the rarest user agent of the session',
    sql: () => `coalesce(max(one_in) filter (where ${activity}), 0)`,
  },
  {
    name: 'toolMedia',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Media segments served to a downloading tool',
    sql: () => total('tool', activity),
  },
  {
    name: 'hostingMedia',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Media segments served to hosting networks',
    sql: (_dialect, config) =>
      total(
        'media',
        `${activity} and (hosting = 1${config.hostingAsns.length > 0 ? ` or asn in (${config.hostingAsns.join(', ')})` : ''})`,
      ),
  },
  {
    name: 'refusedToken',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Refused with 401',
    sql: () => total('refused_token', activity),
  },
  {
    name: 'refusedRevoked',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Refused with 403 or 410',
    sql: () => total('refused_revoked', activity),
  },
  {
    name: 'refusedBlackout',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Refused with 451',
    sql: () => total('refused_blackout', activity),
  },
  {
    name: 'failed',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Answered with 5xx',
    sql: () => total('failed', activity),
  },
  {
    name: 'contested',
    kind: 'activity',
    unit: 'requests',
    meaning: 'Requests answered with content that carried a token of another session, too',
    sql: () => total('contested', activity),
  },
  {
    name: 'firstAt',
    kind: 'activity',
    unit: 'epoch seconds',
    meaning: 'First request',
    sql: () => `min(first_at) filter (where ${activity})`,
  },
  {
    name: 'lastAt',
    kind: 'activity',
    unit: 'epoch seconds',
    meaning: 'Last request',
    sql: () => `max(last_at) filter (where ${activity})`,
  },
  {
    name: 'addresses',
    kind: 'activity',
    unit: 'addresses',
    meaning: 'Distinct addresses',
    sql: () => distinct('address'),
  },
  {
    name: 'networks',
    kind: 'activity',
    unit: 'networks',
    meaning: 'Distinct networks: /24, /56, a relay as one',
    sql: () => distinct('place'),
  },
  {
    name: 'asns',
    kind: 'activity',
    unit: 'autonomous systems',
    meaning: 'Distinct autonomous systems',
    sql: () => distinct('asn'),
  },
  {
    name: 'countries',
    kind: 'activity',
    unit: 'countries',
    meaning: 'Distinct countries',
    sql: () => distinct('country'),
  },
  {
    name: 'agents',
    kind: 'activity',
    unit: 'user agents',
    meaning: 'Distinct user agents',
    sql: () => distinct('agent'),
  },
  {
    name: 'players',
    kind: 'activity',
    unit: 'players',
    meaning: 'Distinct CMCD session ids',
    sql: () => distinct('player'),
  },
  {
    name: 'edges',
    kind: 'activity',
    unit: 'edge cities',
    meaning: 'Distinct edge locations, by city',
    sql: () => distinct('edge'),
  },
  {
    name: 'countryList',
    kind: 'activity',
    unit: 'text',
    meaning: 'The countries',
    sql: (dialect) => dialect.distinctList(`case when ${served} then country end`),
  },
  {
    name: 'asnList',
    kind: 'activity',
    unit: 'text',
    meaning: 'The autonomous systems',
    sql: (dialect) => dialect.distinctList(`case when ${served} then cast(asn as varchar) end`),
  },
  {
    name: 'positions',
    kind: 'position',
    unit: 'positions',
    meaning: 'Places in a content that were fetched',
    sql: () => counted(position),
  },
  {
    name: 'repeatedPositions',
    kind: 'position',
    unit: 'positions',
    meaning: 'Places fetched through several networks within togetherSeconds',
    sql: (_dialect, config) => counted(`${position} and second_at - first_at <= ${config.togetherSeconds}`),
  },
  {
    name: 'copies',
    kind: 'position',
    unit: 'fetches',
    meaning: 'Networks that fetched each place, summed',
    sql: () => total('networks', position),
  },
  {
    name: 'refetched',
    kind: 'position',
    unit: 'fetches',
    meaning: 'Further fetches of a place through one network',
    sql: () => total('refetched', position),
  },
  {
    name: 'renditions',
    kind: 'position',
    unit: 'renditions',
    meaning: 'One for each place, two where one network fetched it in several renditions, summed',
    sql: () => total('renditions', position),
  },
  {
    name: 'mediaMilliseconds',
    kind: 'position',
    unit: 'ms',
    meaning: 'Media in the video places whose length CMCD tells',
    sql: () => total('media_ms', `${position} and track = 'video'`),
  },
  {
    name: 'timedPositions',
    kind: 'position',
    unit: 'positions',
    meaning: 'Video places',
    sql: () => counted(`${position} and track = 'video'`),
  },
  {
    name: 'contents',
    kind: 'position',
    unit: 'contents',
    meaning: 'Distinct contents',
    sql: () => `count(distinct content) filter (where ${position})`,
  },
  { name: 'moments', kind: 'moment', unit: 'moments', meaning: 'Moments with media', sql: () => counted(moment) },
  {
    name: 'sharedMoments',
    kind: 'moment',
    unit: 'moments',
    meaning: 'Moments with several networks',
    sql: () => counted(`${moment} and networks > 1`),
  },
  {
    name: 'mostNetworks',
    kind: 'moment',
    unit: 'networks',
    meaning: 'Most networks in a moment',
    sql: () => `coalesce(max(networks) filter (where ${moment}), 0)`,
  },
  {
    name: 'distantMoments',
    kind: 'moment',
    unit: 'moments',
    meaning: 'Moments in which networks played far apart, or different contents',
    sql: (_dialect, config) =>
      counted(
        `${moment} and networks > 1 and (contents_low <> contents_high or playhead_high - playhead_low > ${config.playheadPositions})`,
      ),
  },
  {
    name: 'playerMoments',
    kind: 'moment',
    unit: 'moments',
    meaning: 'Moments with several networks and several CMCD session ids',
    sql: () => counted(`${moment} and networks > 1 and players_low <> players_high`),
  },
  {
    name: 'countryMoments',
    kind: 'moment',
    unit: 'moments',
    meaning: 'Moments with several countries',
    sql: () => counted(`${moment} and networks > 1 and countries_low <> countries_high`),
  },
];

/** The numbers of one session in one window. */
export type FeatureValues = Readonly<Record<Exclude<FeatureName, 'countryList' | 'asnList'>, number>> & {
  readonly countryList: readonly string[];
  readonly asnList: readonly number[];
};

/** One row of the feature query. */
export interface FeatureRow extends FeatureValues {
  /** The session as `portcullis revoke session` takes it, or the token id or token hash where a token has none. */
  readonly session: string;
  readonly sessionKind: SessionKind;
  /** The query's own text of the session, by which `places` and `timeline` are asked. */
  readonly sessionText: string;
  /** Start of the window, seconds since 1970. */
  readonly windowStart: number;
}

/** What the session's text is: our handle, a token's id, or a hash of the token. */
export type SessionKind = 'session' | 'token' | 'hash';

/**
 * How the query's session texts begin: bytes of a CAT in hexadecimal digits (`s`, `t`), names in a JWT as they stand there
 * (`n`, `i`), a hash. A name may look like digits, and is none.
 */
const kinds: Readonly<Record<string, { readonly kind: SessionKind; readonly bytes: boolean }>> = {
  s: { kind: 'session', bytes: true },
  t: { kind: 'token', bytes: true },
  n: { kind: 'session', bytes: false },
  i: { kind: 'token', bytes: false },
  h: { kind: 'hash', bytes: false },
};

/**
 * Most characters of a JWT's `sid`, `jti` or `sub` that is taken for one. Anybody can write a longer one into a token of his
 * own making, and it would outgrow what ledger and store hold; such a token goes by the next name it has, or its hash.
 */
export const longestName = 200;

/** Reads the query's session text (`s:0123…`) into the form that a revocation takes. */
export function readSession(text: string): { session: string; sessionKind: SessionKind } {
  const { kind, bytes } = kinds[text.slice(0, 1)] ?? { kind: 'hash', bytes: false };
  const id = text.slice(2);
  return { session: bytes ? Buffer.from(id, 'hex').toString('base64url') : id, sessionKind: kind };
}

/** The texts by which the query may know a session that is given as it is printed. */
export function sessionTexts(session: string): string[] {
  const bytes = Buffer.from(session, 'base64url');
  const hex = bytes.toString('base64url') === session ? bytes.toString('hex').toUpperCase() : undefined;
  const found = [`n:${session}`, `i:${session}`, `h:${session}`];
  return hex === undefined ? found : [...found, `s:${hex}`, `t:${hex}`];
}

/** Makes a feature row of a query's answer: an object by column name, as DuckDB or Athena gives it. */
export function readFeatureRow(row: Readonly<Record<string, unknown>>): FeatureRow {
  const values: Record<string, unknown> = {};
  for (const name of featureNames) {
    const value = row[columnName(name)];
    if (name === 'countryList') values[name] = list(value);
    else if (name === 'asnList') values[name] = list(value).map(Number);
    else values[name] = value === null || value === undefined || value === '' ? 0 : Number(value);
  }
  return {
    ...readSession(String(row['session'])),
    sessionText: String(row['session']),
    windowStart: Number(row['window_start']),
    ...values,
  } as unknown as FeatureRow;
}

function list(value: unknown): string[] {
  return typeof value === 'string' && value !== '' ? value.split(',') : [];
}

/** A feature's column in the query: `repeatedPositions` is `repeated_positions`. */
export function columnName(name: FeatureName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What the sessions of one account did at the same time in one window. */
export interface AccountRow {
  readonly subject: string;
  readonly windowStart: number;
  /** The account's sessions with media in the window. */
  readonly sessions: readonly string[];
  readonly places: number;
  readonly asns: number;
  readonly countries: number;
  readonly edges: number;
  /** Sessions playing at once, on average. */
  readonly concurrency: number;
}

/** Makes an account row of the account query's answer. */
export function readAccountRow(row: Readonly<Record<string, unknown>>): AccountRow {
  return {
    subject: String(row['subject']),
    windowStart: Number(row['window_start']),
    sessions: String(row['session_texts'] ?? '')
      .split('\n')
      .filter((text) => text !== '')
      .map((text) => readSession(text).session)
      .sort(),
    places: Number(row['places']),
    asns: Number(row['asns']),
    countries: Number(row['countries']),
    edges: Number(row['edges']),
    concurrency: Number(row['concurrency']),
  };
}
