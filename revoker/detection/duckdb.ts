import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { addressTable, type AddressRange } from './addresses.js';
import type { DetectionConfig } from './config.js';
import { duckdb, literal } from './dialect.js';
import { type AccountRow, type FeatureRow, readAccountRow, readFeatureRow, sessionTexts } from './features.js';
import { mapFields, missingFields } from './fields.js';
import { createCandidates } from './ceiling.js';
import { gzipDamage } from './gzip.js';
import { bad, censusOf, createCensus, distinctTokens, createVisits, future, stateOf, usable } from './census.js';
import { accountsOf, notable } from './query.js';
import { type FieldExpressions, requestRows, segmentsOf, tokenFacts, withToken } from './requests.js';
import type { LogSource, LogSources, SkippedFile } from './sources.js';
import { createRequests, makeFeatures, requestValues } from './suspects.js';

/** How the reading went: bad input never stops a run, it is counted here. */
export interface ReadingReport {
  /** Records that were understood. */
  readonly records: number;
  /** Records with a token. */
  readonly tokened: number;
  /** Distinct tokens. */
  readonly tokens: number;
  /** Records of served requests with more tokens than one. */
  readonly several: number;
  /** Lines that are no records: too few columns, no time, no address, not text, too long. */
  readonly unreadable: number;
  /** Records dated further ahead than `clockSkewSeconds`. */
  readonly future: number;
  readonly files: number;
  readonly skipped: readonly SkippedFile[];
  /** Files of which the end is missing or damaged; what stands before that was read. */
  readonly damaged: readonly SkippedFile[];
  /** Whether any record told its autonomous system and country. */
  readonly located: boolean;
}

/** What is usual in the logs at hand, to hold a session against. */
export interface Audience {
  readonly sessions: number;
  readonly windows: number;
  /** Share of the media requests that carry CMCD. */
  readonly cmcdShare: number;
  /** Length of a segment where CMCD tells it, in seconds: the mean of the sessions' means, so that each has one voice. */
  readonly segmentSeconds: number | undefined;
  /** First and last record, seconds since 1970. */
  readonly from: number;
  readonly until: number;
}

/** One address of a session, for explanations and for blocking. */
export interface SessionPlace {
  readonly address: string;
  readonly place: string;
  readonly asn: number | undefined;
  readonly country: string | undefined;
  readonly hosting: boolean;
  readonly media: number;
  readonly served: number;
  readonly bytes: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Sessions besides those asked about that the address was served; undefined where the engine does not tell. */
  readonly others?: number;
}

/** Media requests of a session by moment and network: the timeline of a report. */
export interface TimelineCell {
  readonly at: number;
  readonly place: string;
  readonly country: string | undefined;
  readonly media: number;
  readonly repeated: number;
}

/** A log that has been read, ready to be asked. Close it when done. */
export interface DetectionDatabase {
  readonly reading: ReadingReport;
  readonly audience: Audience;
  /** Feature rows: those in which some signal speaks, or all with `every`. */
  rows(options?: { every?: boolean; sessions?: readonly string[] }): Promise<FeatureRow[]>;
  /** What accounts do that are watched from more places at once than `weights.accountPlaces.from`. */
  accounts(): Promise<AccountRow[]>;
  /** Where a session was used from, most used first. Sessions by the query's text (`s:…`). */
  places(sessions: readonly string[]): Promise<Map<string, SessionPlace[]>>;
  timeline(sessions: readonly string[]): Promise<Map<string, TimelineCell[]>>;
  /** The account of each session whose token names one. */
  subjects(sessions: readonly string[]): Promise<Map<string, string>>;
  close(): Promise<void>;
}

export interface ReadOptions {
  readonly config: DetectionConfig;
  /** The clock, seconds since 1970. */
  readonly now: number;
  readonly addresses?: readonly AddressRange[];
  /** Measure every session whole, not only those with a sign of something; for calibration. */
  readonly everySession?: boolean;
  /** Sessions measured whole whatever they do, as they are printed. */
  readonly focus?: readonly string[];
  /** Told the share of the files read, from 0 to 1. */
  readonly progress?: (share: number) => void;
}

const longestLine = 2_000_000;

/**
 * What in the engine chooses which side of a join is held in memory. It cannot know how long a text is, takes it for the
 * shorter side and holds the log: in the second reading the sides stay as they are written, the suspects on the right.
 */
const choosesSides = 'join_order,build_side_probe_side';

/**
 * DuckDB with an allocator that keeps its free pages, in one arena: its own setting gives them back at once, and the next
 * vector of long texts has them mapped anew; and Node.js runs each statement on another thread, which would look for free
 * pages in an arena of its own. It is read when the library is loaded, and never after.
 */
function loadEngine(): Promise<typeof import('@duckdb/node-api')> {
  process.env['DUCKDB_JE_MALLOC_CONF'] ??= 'dirty_decay_ms:-1,muzzy_decay_ms:-1,narenas:1';
  return import('@duckdb/node-api');
}

/**
 * Reads logs into DuckDB in process, twice: first to count what each session did, then once more those sessions that can
 * score at all (`ceiling.ts`), so that memory grows with the sessions, not with the requests. Tokens are replaced by the
 * session's number on the way in; the distinct ones, which are decoded once each, stay in memory until both readings are
 * done. Under memory pressure the engine spills blocks into a folder that only this user may read and that is removed at
 * the end; `resources.spill: false` forbids even that.
 */
export async function readLogs(logs: LogSources, options: ReadOptions): Promise<DetectionDatabase> {
  const { config } = options;
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-detect-'));
  const { DuckDBInstance } = await loadEngine();
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(config.resources.threads),
    memory_limit: config.resources.memory,
    // Blocks are used again, not given back: among the buffers of texts they would leave gaps that nothing fits.
    block_allocator_memory: config.resources.memory,
    temp_directory: config.resources.spill ? folder : '',
    preserve_insertion_order: 'false',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  const close = async (): Promise<void> => {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const files = logs.sources.reduce((sum, source) => sum + source.files.length, 0);
    let read = 0;
    const readAll = async (sources: readonly LogSource[], how: Reading): Promise<Loaded> => {
      const all: Loaded = { read: [], skipped: [] };
      for (const source of sources) {
        const loaded = await load(connection, source, options, how);
        all.read.push(...loaded.read);
        all.skipped.push(...loaded.skipped);
        read += source.files.length;
        options.progress?.(read / Math.max(1, 2 * files));
      }
      return all;
    };
    const damage = damagedFiles(logs.sources);
    await connection.run(createCensus);
    const counted = await readAll(logs.sources, count);
    const unreadable = await rejects(connection);
    await takeStock(connection, options);
    const audience = await audienceOf(connection);
    await choose(connection, options, audience);
    await connection.run(`set disabled_optimizers = '${choosesSides}'`);
    const collected = await readAll(counted.read, collect);
    await connection.run('reset disabled_optimizers');
    await connection.run('drop table wanted');
    await connection.run('drop table suspects');
    await settleRivals(connection);
    await makeFeatures(connection, config);
    const skipped = [...logs.skipped, ...counted.skipped, ...collected.skipped];
    const reading = await readingReport(connection, {
      files: files - (skipped.length - logs.skipped.length),
      skipped,
      damaged: (await damage).filter(({ file }) => !skipped.some((one) => one.file === file)),
      unreadable,
    });
    return database(connection, config, reading, audience, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** What is done with the records of a scan. */
type Reading = (scan: Scan, options: ReadOptions) => string;

interface Scan {
  readonly from: string;
  readonly fields: FieldExpressions;
}

interface Loaded {
  /** What could be read. */
  readonly read: LogSource[];
  readonly skipped: SkippedFile[];
}

/** First reading: how much each session did, from where. */
const count: Reading = ({ from, fields }, { config, now }) =>
  censusOf(requestRows(duckdb, from, fields, config), config, now);

/**
 * Second reading: the requests of the chosen sessions. Of the others nothing is looked at but their address, and their
 * token where the address is also a chosen session's.
 */
const collect: Reading = ({ from, fields }, { config, now }) => {
  const near = `(select lines.*, suspects.address_id, suspects.place_id, suspects.place_country from ${from} lines join suspects on suspects.address = ${fields.address ?? 'cast(null as varchar)'}) near`;
  const cut = `(select *, ${segmentsOf(duckdb, fields)} as path_segments from ${near}) cut`;
  const whole = `${withToken(duckdb, cut, fields, config, 'path_segments')} whole`;
  const wanted = `(select whole.*, wanted.session as chosen_session from ${whole} join wanted on wanted.text = whole.whole_token) chosen`;
  const kept = ['chosen_session', 'address_id', 'place_id', 'place_country'];
  const rows = requestRows(duckdb, wanted, fields, config, kept, 'path_segments');
  // Their token is known, and is not cut out once more.
  return `insert into requests select ${requestValues(config)} from (${rows}) r where ${stateOf(config, now, 'false')} = ${usable}`;
};

/** Reads a source; when that fails, its files one by one, so that one bad file costs no other. */
async function load(
  connection: DuckDBConnection,
  source: LogSource,
  options: ReadOptions,
  how: Reading,
): Promise<Loaded> {
  try {
    await connection.run(how(await scanOf(connection, source, how === count), options));
    return { read: [source], skipped: [] };
  } catch (error) {
    if (source.files.length === 1)
      return { read: [], skipped: [{ file: source.files[0] as string, why: reasonOf(error) }] };
    const all: Loaded = { read: [], skipped: [] };
    for (const file of source.files) {
      const loaded = await load(connection, { ...source, files: [file] }, options, how);
      all.read.push(...loaded.read);
      all.skipped.push(...loaded.skipped);
    }
    return all;
  }
}

/** The compressed files that are not whole, looked through one after another while the engine reads. Never rejects. */
async function damagedFiles(sources: readonly LogSource[]): Promise<SkippedFile[]> {
  const found: SkippedFile[] = [];
  for (const file of sources.flatMap((source) => (source.compressed ? source.files : []))) {
    const why = await gzipDamage(file);
    if (why !== undefined) found.push({ file, why });
  }
  return found;
}

/** An engine's message may quote the line it stumbled over, token included: only its first words are kept. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  if (error instanceof UnusableColumns) return error.message;
  return `cannot be read (${/^[A-Za-z ]{1,40}/.exec(text)?.[0].trim() ?? 'unknown'})`;
}

class UnusableColumns extends Error {}

/** The scan of a source's files, and each field in it as text. */
async function scanOf(connection: DuckDBConnection, source: LogSource, keepRejects: boolean): Promise<Scan> {
  const files = `[${source.files.map(literal).join(', ')}]`;
  const compression = source.compressed ? `, compression = 'gzip'` : '';
  const struct = `{${source.columns.map((column) => `${literal(column)}: 'VARCHAR'`).join(', ')}}`;
  if (source.format === 'tsv') {
    const from =
      `read_csv(${files}, delim = '\t', quote = '', escape = '', header = false, skip = ${source.headerLines}, comment = '#', ` +
      `columns = ${struct}, auto_detect = false, null_padding = true, strict_mode = false, ${rejections(keepRejects)}, ` +
      `max_line_size = ${longestLine}${compression})`;
    return { from, fields: expressions(source.columns) };
  }
  if (source.format === 'json') {
    const from =
      `read_json(${files}, format = 'newline_delimited', columns = ${struct}, ignore_errors = true, ` +
      `maximum_object_size = ${longestLine}${compression})`;
    return { from, fields: expressions(source.columns) };
  }
  const from = `read_parquet(${files}, union_by_name = true)`;
  const described = await connection.runAndReadAll(`describe select * from ${from}`);
  const columns = described.getRowObjectsJson().map((row) => String(row['column_name']));
  const missing = missingFields(columns);
  if (missing.length > 0) throw new UnusableColumns(`its columns lack ${missing.join(', ')}`);
  return { from, fields: expressions(columns, true) };
}

function expressions(columns: readonly string[], typed = false): FieldExpressions {
  const found = mapFields(columns);
  return Object.fromEntries(
    Object.entries(found).map(([field, column]) => [
      field,
      typed ? `cast(${duckdb.column(column)} as varchar)` : duckdb.column(column),
    ]),
  );
}

/** Lines that are no records are counted in the first of the two scans. */
function rejections(keep: boolean): string {
  return keep ? 'store_rejects = true, rejects_limit = 100000' : 'ignore_errors = true';
}

async function rejects(connection: DuckDBConnection): Promise<number> {
  const answer = await connection.runAndReadAll(
    `select count(*) from information_schema.tables where table_name = 'reject_errors'`,
  );
  if (Number(answer.getRows()[0]?.[0]) === 0) return 0;
  const counted = await connection.runAndReadAll('select count(distinct (scan_id, file_id, line)) from reject_errors');
  return Number(counted.getRows()[0]?.[0]);
}

/** Tokens to sessions, addresses to networks; what is usual; who watches where. */
async function takeStock(connection: DuckDBConnection, options: ReadOptions): Promise<void> {
  const { config } = options;
  await connection.run(
    `create table tokens as ${tokenFacts(duckdb, `(${distinctTokens})`, ['token', 'text', 'alone'])}`,
  );
  await connection.run(
    // Anybody can write an account, or a session, into a token that is refused, or goes beside a good one.
    'create table sessions as select (row_number() over ())::uinteger as session, session_text, ' +
      'max(subject) filter (where alone > 0) as subject, sum(alone) > 0 as genuine from tokens group by session_text',
  );
  await connection.run(
    'create table holders as select t.token, s.session from tokens t join sessions s using (session_text)',
  );
  await addressTable(connection, config, options.addresses ?? []);
  await connection.run(createVisits());
  await connection.run(
    'create table states as select state, sum(requests) as requests, sum(served - alone) as several from census group by state',
  );
  await connection.run('drop table census');
  await connection.run(
    'create table products as select agent, max_by(family, requests) as family, max_by(tool, requests) as tool from ' +
      '(select agent, family, max(tool_agent) as tool, sum(requests) as requests from visits group by agent, family) group by agent',
  );
  await connection.run(
    'create table families as select family, cast(sum(cmcd) as double) / sum(media) as cmcd_share from visits group by family having sum(media) > 0',
  );
  await connection.run(
    'create table agents as select agent, (select count(*) from visits where media > 0) / cast(count(*) as double) as one_in ' +
      'from visits where media > 0 group by agent',
  );
  await connection.run(
    // A session counts at one place: an account in many places has as many sessions.
    `create table crowded as with busy as (select subject from sessions group by subject having count(*) > ${config.weights.accountPlaces.from}), ` +
      'of_accounts as (select v.*, s.subject from visits v join sessions s using (session) semi join busy using (subject)) ' +
      accountsOf('of_accounts', config),
  );
  await connection.run(
    'create table crowd as select distinct c.subject, v.window_start, v.session from visits v join sessions s using (session) ' +
      'join crowded c on c.subject = s.subject and c.window_start = v.window_start where v.media > 0',
  );
}

/** Chooses the sessions that are read whole. */
async function choose(connection: DuckDBConnection, options: ReadOptions, audience: Audience): Promise<void> {
  const { config, everySession = false, focus = [] } = options;
  const segmentSeconds = audience.segmentSeconds ?? config.segmentSeconds;
  await connection.run(createCandidates(config, segmentSeconds, { every: everySession, focus }));
  await connection.run(
    'create table wanted as select t.text, h.session from tokens t join holders h using (token) semi join candidates using (session)',
  );
  await connection.run(
    'create table suspects as select address, address_id, place_id, case when country is not null then hash(country) >> 32 end as place_country from addresses semi join (select address_id from visits semi join candidates using (session)) seen using (address_id)',
  );
  await connection.run('create table counted_tokens as select count(*) as tokens from holders');
  await connection.run('drop table holders');
  await connection.run('drop table tokens');
  await connection.run(createRequests);
}

/** Another token of the same session, as renewals leave behind, contests nothing. */
async function settleRivals(connection: DuckDBConnection): Promise<void> {
  const { found } = await one(connection, 'select count(rival) as found from requests');
  if (Number(found) > 0) {
    const texts = '(select distinct rival as text from requests where rival is not null)';
    await connection.run(`create table rivals as ${tokenFacts(duckdb, texts, ['text'])}`);
    await connection.run(
      'update requests set contested = 0 from rivals r join sessions s using (session_text) ' +
        'where requests.rival = r.text and requests.session = s.session',
    );
    await connection.run('drop table rivals');
  }
  await connection.run('alter table requests drop column rival');
}

async function one(connection: DuckDBConnection, sql: string): Promise<Record<string, unknown>> {
  const answer = await connection.runAndReadAll(sql);
  return (answer.getRowObjectsJson()[0] ?? {}) as Record<string, unknown>;
}

async function readingReport(
  connection: DuckDBConnection,
  known: Pick<ReadingReport, 'files' | 'skipped' | 'damaged' | 'unreadable'>,
): Promise<ReadingReport> {
  const counts = await one(
    connection,
    `select sum(requests) filter (where state < ${bad}) as records, sum(requests) filter (where state = ${usable}) as tokened, ` +
      `sum(several) filter (where state = ${usable}) as several, sum(requests) filter (where state = ${bad}) as unreadable, sum(requests) filter (where state = ${future}) as future, ` +
      `(select any_value(tokens) from counted_tokens) as tokens, ` +
      `(select count(*) > 0 from addresses where asn is not null and country is not null) as located from states`,
  );
  return {
    records: Number(counts['records']),
    tokened: Number(counts['tokened']),
    tokens: Number(counts['tokens']),
    several: Number(counts['several'] ?? 0),
    unreadable: Number(counts['unreadable']) + known.unreadable,
    future: Number(counts['future']),
    files: known.files,
    skipped: known.skipped,
    damaged: known.damaged,
    located: counts['located'] === true,
  };
}

async function audienceOf(connection: DuckDBConnection): Promise<Audience> {
  const counts = await one(
    connection,
    'select (select count(*) from sessions where genuine) as sessions, count(distinct window_start) as windows, min(first_at) as first_at, ' +
      'max(last_at) as last_at, sum(cmcd) / greatest(sum(media), 1) as cmcd, ' +
      '(select avg(length) from (select sum(media_ms) / nullif(sum(told), 0) as length from visits group by session, window_start)) / 1000 as segment from visits',
  );
  const segment = counts['segment'];
  return {
    sessions: Number(counts['sessions']),
    windows: Number(counts['windows']),
    cmcdShare: Number(counts['cmcd'] ?? 0),
    segmentSeconds: segment === null || segment === undefined ? undefined : Number(segment),
    from: Number(counts['first_at'] ?? 0),
    until: Number(counts['last_at'] ?? 0),
  };
}

function database(
  connection: DuckDBConnection,
  config: DetectionConfig,
  reading: ReadingReport,
  audience: Audience,
  close: () => Promise<void>,
): DetectionDatabase {
  const named = (sessions: readonly string[]): string =>
    `(select session, session_text from sessions where session_text in (${sessions.map(literal).join(', ') || "''"}))`;
  return {
    reading,
    audience,
    close,
    async rows({ every = false, sessions } = {}) {
      const where = sessions
        ? ` where session in (select session from ${named(sessions.flatMap(sessionTexts))})`
        : every
          ? ''
          : ` where ${notable(config, audience.segmentSeconds)} or (session, window_start) in (select session, window_start from crowd)`;
      const answer = await connection.runAndReadAll(
        `with chosen as (select * from features${where}) ` +
          'select chosen.* replace (s.session_text as session) from chosen join sessions s on s.session = chosen.session ' +
          'order by window_start, s.session_text',
      );
      return answer.getRowObjectsJson().map((row) => readFeatureRow(row));
    },
    async accounts() {
      const answer = await connection.runAndReadAll(
        'select c.*, (select string_agg(s.session_text, chr(10)) from crowd w join sessions s using (session) ' +
          'where w.subject = c.subject and w.window_start = c.window_start) as session_texts from crowded c order by window_start, subject',
      );
      return answer.getRowObjectsJson().map((row) => readAccountRow(row));
    },
    async places(sessions) {
      const answer = await connection.runAndReadAll(
        `with asked as ${named(sessions)}, used as (` +
          'select n.session_text, address, place, asn, country, max(hosting) as hosting, sum(media) as media, sum(served) as served, ' +
          'sum(bytes) as bytes, min(first_at) as first_at, max(last_at) as last_at from activity a join asked n using (session) group by all), ' +
          'shared as (select address, count(distinct session) as others from visits v join addresses using (address_id) ' +
          'anti join asked using (session) where served > 0 group by address) ' +
          'select used.*, coalesce(others, 0) as others from used left join shared using (address) order by session_text, media desc, address',
      );
      const found = new Map<string, SessionPlace[]>();
      for (const row of answer.getRowObjectsJson()) {
        append(found, String(row['session_text']), {
          address: String(row['address']),
          place: String(row['place']),
          asn: row['asn'] === null ? undefined : Number(row['asn']),
          country: row['country'] === null ? undefined : String(row['country']),
          hosting: Number(row['hosting']) === 1,
          media: Number(row['media']),
          served: Number(row['served']),
          bytes: Number(row['bytes']),
          firstAt: Number(row['first_at']),
          lastAt: Number(row['last_at']),
          others: Number(row['others']),
        });
      }
      return found;
    },
    async timeline(sessions) {
      const answer = await connection.runAndReadAll(
        `with p as (select n.session_text, p.* replace (a.place as place, a.country as country) from placed p ` +
          `join ${named(sessions)} n using (session) join addresses a using (address_id)), ` +
          'counted as (select *, count(*) over (partition by session_text, content, track, position) as fetched, ' +
          'count(distinct place) over (partition by session_text, content, track, position) as through from p) ' +
          'select session_text, moment, place, any_value(country) as country, count(*) as media, ' +
          'count(*) filter (where through > 1) as repeated from counted group by session_text, moment, place order by all',
      );
      const found = new Map<string, TimelineCell[]>();
      for (const row of answer.getRowObjectsJson()) {
        append(found, String(row['session_text']), {
          at: Number(row['moment']) * config.momentSeconds,
          place: String(row['place']),
          country: row['country'] === null ? undefined : String(row['country']),
          media: Number(row['media']),
          repeated: Number(row['repeated']),
        });
      }
      return found;
    },
    async subjects(sessions) {
      const answer = await connection.runAndReadAll(
        `select s.session_text, s.subject from sessions s join ${named(sessions)} n using (session) where s.subject is not null`,
      );
      return new Map(answer.getRowsJson().map((row) => [String(row[0]), String(row[1])]));
    },
  };
}

function append<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
