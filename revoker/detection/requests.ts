import type { cmcdValues } from './cmcd.js';
import { cmcdInHeaders } from './cmcd.js';
import type { DetectionConfig, LogPlacement } from './config.js';
import type { Dialect } from './dialect.js';
import { literal } from './dialect.js';
import { longestName } from './features.js';
import type { LogField } from './fields.js';

/** How a log's fields read as SQL text expressions; a field that the log lacks is absent. */
export type FieldExpressions = Partial<Record<LogField, string>>;

/**
 * What the edge checked and served. It answers plain HTTP (301) and logs who hangs up (000) without asking the functions, so
 * such a request may carry any token; and no other status brings media.
 */
export const served = 'status in (200, 206, 304)';

/** Milliseconds of a segment that are believed. The player tells them, and may tell anything. */
const longestSegment = 30_000;

/** A shorter text than this is no token: the shortest signed one is far longer. */
const shortestToken = 40;
const mediaExtensions = [
  'm4s',
  'ts',
  'mp4',
  'm4v',
  'm4a',
  'cmfv',
  'cmfa',
  'cmft',
  'aac',
  'm2ts',
  'webm',
  'mp3',
  'ac3',
  'ec3',
];
const tokenCharacters = '[A-Za-z0-9_.-]+';

/** Which path segment (as `split_part` counts, the part before the first slash being 1) holds the token. */
function tokenSegment(placement: LogPlacement & { kind: 'path' }): number {
  if (placement.mode === 'first') return 2;
  return pathPrefix(placement).split('/').length + 1;
}

/** What stands in front of a token in the path, without a slash at the end. */
export function pathPrefix({ mode, marker, prefix }: LogPlacement & { kind: 'path' }): string {
  const given = mode === 'marker' ? (marker ?? prefix ?? '/~t') : (prefix ?? '/live');
  return given.replace(/\/+$/, '');
}

function isPath(placement: LogPlacement): placement is LogPlacement & { kind: 'path' } {
  return placement.kind === 'path';
}

/** The columns of a request as `requestRows` names them. `token_text` is the token itself, and is not kept. */
export const requestColumns = [
  'seen_at',
  'address',
  'asn',
  'country',
  'status',
  'bytes',
  'agent',
  'family',
  'tool',
  'player',
  'cmcd',
  'edge',
  'content',
  'rendition',
  'file',
  'object_type',
  'duration',
  'range_start',
  'media',
] as const;

/**
 * The requests of a log: `requestColumns`, and `token_text`, `readable` (a GET or HEAD), `public_path`; `product` and
 * `asn_text`, of which `tool` and `asn` are made, for whoever makes them once a group. In steps, so that
 * each text is cut once: the path first, then what stands in it. Columns of the relation named in `kept` come along;
 * `segments` is the path as the relation has cut it already.
 */
export function requestRows(
  dialect: Dialect,
  relation: string,
  fields: FieldExpressions,
  config: DetectionConfig,
  kept: readonly string[] = [],
  segments?: string,
): string {
  const text = (field: LogField): string => fields[field] ?? 'cast(null as varchar)';
  const present = (field: LogField): string => `nullif(${text(field)}, '-')`;
  // Some log pipelines encode what the player had encoded already.
  const query = `case when ${dialect.contains(text('query'), '%2522')} then replace(${text('query')}, '%25', '%') else ${text('query')} end`;
  const cut = (key: string): string => `split_part(q, ${literal(key)}, 2)`;
  const whenCmcd = (sql: string): string => `case when in_query then ${sql} end`;
  const hasQuery = fields.query !== undefined;
  const first = [
    ...kept,
    `${segments ?? segmentsOf(dialect, fields)} as segments`,
    `${text('path')} as path`,
    `(${dialect.contains(text('path'), '%')} or ${dialect.contains(text('path'), ';')}) as odd_path`,
    `${hasQuery ? `case when ${dialect.contains(text('query'), 'CMCD=')} then ${query} end` : 'cast(null as varchar)'} as q`,
    `${hasQuery ? dialect.contains(text('query'), 'CMCD=') : 'false'} as in_query`,
    `${text('query')} as query_text`,
    `${text('cookie')} as cookie_text`,
    `${text('headers')} as headers_text`,
    `${coalesce(
      [
        fields.date && fields.time && dialect.epochOf(fields.date, fields.time),
        fields.timestamp && `cast(floor(try_cast(${fields.timestamp} as double)) as bigint)`,
        fields['timestamp-ms'] && dialect.quotient(`try_cast(${fields['timestamp-ms']} as bigint)`, 1000),
      ],
      'bigint',
    )} as seen_at`,
    `${text('address')} as address`,
    `case when ${dialect.size(text('country'))} = 2 then upper(${text('country')}) end as country`,
    `try_cast(${text('status')} as integer) as status`,
    `coalesce(try_cast(${text('bytes')} as bigint), 0) as bytes`,
    `${hashOrNone(dialect, text('agent'))} as agent`,
    `${familyOf(dialect, text('agent'))} as family`,
    `split_part(${text('agent')}, '/', 1) as product`,
    `nullif(${text('asn')}, '-') as asn_text`,
    `${present('cmcd-session')} as told_player`,
    `${present('cmcd-type')} as told_type`,
    `${present('cmcd-duration')} as told_duration`,
    `${hashOrNone(dialect, `substr(${text('edge')}, 1, 3)`)} as edge`,
    `try_cast(${text('range-start')} as bigint) as range_start`,
    `${fields.method === undefined ? 'true' : `${fields.method} in ('GET', 'HEAD')`} as readable`,
    `${publicPath(text('path'), config.publicPaths)} as public_path`,
  ];
  const tokens = tokenCandidates(dialect, fields, config, {
    segment: (n) => dialect.at('segments', n),
    path: 'path',
    query: 'query_text',
    cookie: 'cookie_text',
    headers: 'headers_text',
  });
  const texts = tokens.found.map((_sql, i) => `text_${i + 1}`);
  const candidates = tokens.found.map((_sql, i) => `candidate_${i + 1}`);
  const further = tokens.further.map((_sql, i) => `further_${i + 1}`);
  // No text is cut twice: what a step makes, the next one names.
  const second = [
    '*',
    ...tokens.found.map((sql, i) => `${sql} as ${texts[i] as string}`),
    ...tokens.further.map((sql, i) => `${sql} as ${further[i] as string}`),
    `${plainName(dialect, dialect.at('segments', -1))} as file`,
    `${plainName(dialect, dialect.at('segments', -2))} as folder`,
    `${plainName(dialect, contentExpression(dialect, config))} as played`,
    `coalesce(${[`told_player`, whenCmcd(`nullif(split_part(${cut('sid%3D%22')}, '%22', 1), '')`), ...inHeaders(dialect, fields, 'sid')].join(', ')}) as player_text`,
    `coalesce(${[`told_type`, whenCmcd(`nullif(substr(${cut('ot%3D')}, 1, 2), '')`), ...inHeaders(dialect, fields, 'ot')].join(', ')}) as type_text`,
    // Encoded once, or twice by some pipelines.
    `coalesce(${[
      dialect.number('told_duration', '^([0-9]{1,7})', 1),
      whenCmcd(dialect.number('query_text', '(?:2C|CMCD=)d%(?:25)?3D([0-9]{1,7})', 1)),
      ...inHeaders(dialect, fields, 'd').map((sql) => `try_cast(${sql} as bigint)`),
    ].join(', ')}) as duration`,
    `in_query or told_player is not null or told_type is not null${
      fields.headers === undefined ? '' : ` or coalesce(${dialect.contains('lower(headers_text)', 'cmcd-')}, false)`
    } as has_cmcd`,
  ];
  const third = [
    ...kept,
    'seen_at',
    'address',
    'asn_text',
    `${asnOf('asn_text')} as asn`,
    'country',
    'status',
    'bytes',
    'agent',
    'family',
    'product',
    `${toolOf(dialect, 'product', config)} as tool`,
    'edge',
    'range_start',
    'file',
    "nullif(type_text, '') as object_type",
    `case when duration <= ${longestSegment} then duration end as duration`,
    `case when player_text <> '' then ${dialect.hash('player_text')} end as player`,
    'case when has_cmcd then 1 else 0 end as cmcd',
    `case when ${dialect.size('played')} < ${shortestToken} and played <> file then played else '' end as content`,
    `case when ${dialect.size('folder')} < ${shortestToken} then folder else '' end as rendition`,
    `case when ${mediaExtensions.map((extension) => `file like '%.${extension}'`).join(' or ')} then 1 else 0 end as media`,
    `${coalesce(candidates, 'varchar')} as token_text`,
    `${rivalOf(candidates, further)} as rival_text`,
    'readable',
    'public_path',
  ];
  const looked = ['*', ...texts.map((text, i) => `${plausible(dialect, text)} as ${candidates[i] as string}`)];
  return (
    `select ${third.join(', ')}\nfrom (select ${looked.join(', ')}\nfrom (select ${second.join(', ')}\n` +
    `from (select ${first.join(', ')}\nfrom ${relation}) cut_once) named_once) looked_at`
  );
}

/** A key's value in the CMCD headers, where the log has headers. */
function inHeaders(dialect: Dialect, fields: FieldExpressions, key: keyof typeof cmcdValues): string[] {
  if (fields.headers === undefined) return [];
  const found = dialect.extract('headers_text', cmcdInHeaders(key), 1);
  return [`case when ${dialect.contains('lower(headers_text)', 'cmcd-')} then ${found} end`];
}

/**
 * A text's hash, an empty one's where there is none. Functions go straight over a field: an engine that has a column as a
 * dictionary then reckons each entry once, which a COALESCE within would undo.
 */
function hashOrNone(dialect: Dialect, text: string): string {
  return `coalesce(${dialect.hash(text)}, ${dialect.hash("''")})`;
}

/** The browser or device of a user agent: what stands in its first product's comment, however the versions differ. */
function familyOf(dialect: Dialect, agent: string): string {
  return hashOrNone(dialect, `split_part(${agent}, '/', 2)`);
}

/** An autonomous system's number, from `asn_text` of `requestRows`. */
export function asnOf(text: string): string {
  return `try_cast(${text} as bigint)`;
}

/** 1 for a user agent that downloads and does not play, else 0: by its first `product`, whatever the case. */
export function toolOf(dialect: Dialect, product: string, config: DetectionConfig): string {
  if (config.tools.length === 0) return '0';
  const names = config.tools.map(escapeExpression).join('|');
  return `case when ${dialect.matches(product, `(?i)^(?:${names})$`)} then 1 else 0 end`;
}

/** A request's path, cut at its slashes. */
export function segmentsOf(dialect: Dialect, fields: FieldExpressions): string {
  return dialect.cut(fields.path ?? 'cast(null as varchar)', '/');
}

/** A relation of a log's fields and its path's `segments` with the request's token as `whole_token`; NULL where it has none. */
export function withToken(
  dialect: Dialect,
  relation: string,
  fields: FieldExpressions,
  config: DetectionConfig,
  segments: string,
): string {
  const text = (field: LogField): string => fields[field] ?? 'cast(null as varchar)';
  const { found } = tokenCandidates(dialect, fields, config, {
    segment: (n) => dialect.at(segments, n),
    path: text('path'),
    query: text('query'),
    cookie: text('cookie'),
    headers: text('headers'),
  });
  const texts = found.map((sql, i) => `${sql} as token_${i + 1}`);
  const token = coalesce(
    found.map((_sql, i) => plausible(dialect, `token_${i + 1}`)),
    'varchar',
  );
  return `(select *, ${token} as whole_token from (select ${['*', ...texts].join(', ')} from ${relation}) texts)`;
}

/** A candidate that differs from those before it. The edge admits a request by any token; a log does not tell by which. */
function rivalOf(candidates: readonly string[], further: readonly string[]): string {
  const rivals = candidates
    .slice(1)
    .map(
      (candidate, i) =>
        `case when ${candidate} <> ${coalesce(candidates.slice(0, i + 1), 'varchar')} then ${candidate} end`,
    );
  return coalesce([...rivals, ...further], 'varchar');
}

/**
 * A name in a path as an origin reads it: without parameters, and without escapes, of which the edge lets harmless ones
 * pass. Some log pipelines encode the percent sign once more. `odd_path` tells where there is any of this.
 */
function plainName(dialect: Dialect, name: string): string {
  const bare = `split_part(${name}, ';', 1)`;
  const decoded = `coalesce(try(url_decode(replace(${bare}, '%25', '%'))), ${bare})`;
  return `case when odd_path then ${decoded} else ${name} end`;
}

function coalesce(candidates: readonly (string | undefined | '')[], type: string): string {
  const found = candidates.filter((candidate): candidate is string => Boolean(candidate));
  if (found.length === 0) return `cast(null as ${type})`;
  return found.length === 1 ? (found[0] as string) : `coalesce(${found.join(', ')})`;
}

function publicPath(path: string, paths: readonly string[]): string {
  if (paths.length === 0) return 'false';
  const tests = paths.map((prefix) => {
    const bare = prefix.replace(/\/+$/, '');
    return `(${path} = ${literal(bare)} or starts_with(${path}, ${literal(`${bare}/`)}))`;
  });
  return `(${tests.join(' or ')})`;
}

/** The texts that a token may stand in. */
interface TokenPlaces {
  /** A segment of the path, counted as `tokenSegment` counts. */
  readonly segment: (index: number) => string;
  readonly path: string;
  readonly query: string;
  readonly cookie: string;
  readonly headers: string;
}

/** How a token begins, in any place: a JSON object, or a COSE message with or without tags, in base64url. */
const tokenHeads = ['ey', '0Y', '0o', '0I', '2D', 'hE', 'g0'];

/** What may be a token: long enough, and beginning like one. Padding, which the edge takes off, is no part of it. */
function plausible(dialect: Dialect, sql: string): string {
  const padded = `(${sql} like '%=' or ${sql} like '%3D' or ${sql} like '%3d')`;
  const bare = `case when ${padded} then regexp_replace(${sql}, '(=|%(25)?3[dD])+$', '') else ${sql} end`;
  return `case when ${dialect.size(sql)} >= ${shortestToken} and substr(${sql}, 1, 2) in (${tokenHeads.map(literal).join(', ')}) then ${bare} end`;
}

/** Stands for tokens that are not read: nobody's session. */
const unread = "'*'";

/** Where a request's token may be. */
interface TokenCandidates {
  /** Texts that may be `plausible`, in the order of the placements. */
  readonly found: string[];
  /** `unread` where a place holds more than is looked at. */
  readonly further: string[];
}

function tokenCandidates(
  dialect: Dialect,
  fields: FieldExpressions,
  config: DetectionConfig,
  places: TokenPlaces,
): TokenCandidates {
  const found: string[] = [];
  const further: string[] = [];
  for (const placement of config.placements) {
    if (isPath(placement)) {
      if (fields.path === undefined) continue;
      const segment = places.segment(tokenSegment(placement));
      const inFront = `starts_with(${places.path}, ${literal(`${pathPrefix(placement)}/`)})`;
      found.push(placement.mode === 'first' ? segment : `case when ${inFront} then ${segment} end`);
      continue;
    }
    const name = placement.name ?? 'CAT';
    const inText = escapeExpression(name);
    if (placement.kind === 'query' && fields.query !== undefined) {
      const there = dialect.contains(places.query, `${name}=`);
      const behind = (n: number): string => dialect.part(`('&' || ${places.query})`, `&${name}=`, n);
      const value = (n: number): string => dialect.part(behind(n), '&', 1);
      found.push(`case when ${there} then ${value(2)} end`, `case when ${there} then ${value(3)} end`);
      further.push(`case when ${there} then case when ${behind(4)} is not null then ${unread} end end`);
    } else if (placement.kind === 'path-parameter' && fields.path !== undefined) {
      const value = dialect.extract(places.path, `;${inText}=(${tokenCharacters})`, 1);
      const several = dialect.matches(places.path, `;${inText}=.*;${inText}=`);
      const there = dialect.contains(places.path, `;${name}=`);
      found.push(`case when ${there} then ${value} end`);
      further.push(`case when ${there} and ${several} then ${unread} end`);
    } else if (placement.kind === 'cookie' && fields.cookie !== undefined) {
      const start = `(^|[; ]|%20|%3B)${inText}(=|%3D)`;
      const value = dialect.extract(places.cookie, `${start}(${tokenCharacters})`, 3);
      const several = dialect.matches(places.cookie, `${start}.*([; ]|%20|%3B)${inText}(=|%3D)`);
      found.push(`case when ${places.cookie} <> '-' then ${value} end`);
      further.push(`case when ${places.cookie} <> '-' and ${several} then ${unread} end`);
    } else if (placement.kind === 'header' && fields.headers !== undefined) {
      const header = `(?i)(common-access-token|authorization)(:|%3A)(%20| )*(Bearer(%20| )+)?(${tokenCharacters})`;
      const value = dialect.extract(places.headers, header, 6);
      found.push(`case when ${places.headers} <> '-' then ${value} end`);
    }
  }
  return { found, further };
}

function escapeExpression(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * What is played: the first path segment behind the token or the prefix. A long segment is taken for a token in a place
 * that the configuration does not name, and not kept.
 */
function contentExpression(dialect: Dialect, config: DetectionConfig): string {
  const placement = config.placements.find(isPath);
  const plain = dialect.at('segments', 3);
  if (placement === undefined) return plain;
  const segment = tokenSegment(placement);
  const behind = dialect.at('segments', segment + (placement.mode === 'prefix' ? 1 : 2));
  const without = placement.mode === 'prefix' ? dialect.at('segments', segment) : plain;
  return `case when ${dialect.size(dialect.at('segments', segment))} >= ${shortestToken} then ${behind} else ${without} end`;
}

/** A string's length in bytes and its header's, in hexadecimal digits, where CBOR's major type begins at `base`. */
function stringLength(dialect: Dialect, hex: string, at: string, base: number): { header: string; body: string } {
  const first = dialect.byteAt(hex, at);
  return {
    header: `case when ${first} between ${base} and ${base + 23} then 2 when ${first} = ${base + 24} then 4 when ${first} = ${base + 25} then 6 end`,
    body:
      `2 * case when ${first} between ${base} and ${base + 23} then ${first} - ${base} ` +
      `when ${first} = ${base + 24} then ${dialect.byteAt(hex, `${at} + 2`)} ` +
      `when ${first} = ${base + 25} then 256 * ${dialect.byteAt(hex, `${at} + 2`)} + ${dialect.byteAt(hex, `${at} + 4`)} end`,
  };
}

/** What a CAT ends with: the header of its signature, and how many digits follow. HMAC, ECDSA and RSA of three lengths. */
export const signatureEnds = [
  ['5820', 64],
  ['5840', 128],
  ['590100', 512],
  ['590180', 768],
  ['590200', 1024],
] as const;
/** The session claim as the last but one, or two, of the claims: -65537 and 16 bytes, then -65538 and a time. */
export const lastClaims = '3A0001000050([0-9A-F]{32})(?:3A00010001(?:1A[0-9A-F]{8}|1B[0-9A-F]{16}))?';
const lastClaimsDigits = 12 + 32 + 10 + 18;

/** The session handle of a CAT in `hex`: right before a signature that ends with the token. */
function handleOf(dialect: Dialect): string {
  const size = dialect.size('hex');
  const handles = signatureEnds.map(([header, digits]) => {
    const behind = header.length + digits;
    const from = `greatest(${size} - ${behind + lastClaimsDigits - 1}, 1)`;
    const tail = `substr(hex, ${from}, least(${lastClaimsDigits}, ${size} - ${behind}))`;
    return (
      `case when ${size} > ${behind} and substr(hex, ${size} - ${behind - 1}, ${header.length}) = '${header}' ` +
      `then ${dialect.extract(tail, `${lastClaims}$`, 1)} end`
    );
  });
  return coalesce(handles, 'varchar');
}

/**
 * What tokens say of themselves: `session_text` and `subject`, from a relation with a column `text`, whose other columns
 * (`keep`) stay.
 *
 * `session_text` is `s:` and our session handle (hexadecimal of 16 bytes), else `t:` and the `cti` in hexadecimal; of a JWT
 * `n:` and its `sid`, else `i:` and its `jti`; else `h:` and a SHA-256 of the token. Longer names than `longestName` are none. A CAT's handle is read from the token's end:
 * behind the session claim (-65537, `3A00010000` and a 16-byte string) stand at most the session's end (-65538) and the
 * signature, since deterministic encoding sorts those two labels last; no text inside another claim is taken for it.
 * The subject (label 2) is found by walking the structure: tags, protected and unprotected header, payload, issuer.
 */
export function tokenFacts(dialect: Dialect, relation: string, keep: readonly string[]): string {
  const columns = [...new Set([...keep, 'text'])];
  const stage = (from: string, added: Readonly<Record<string, string>>): string => {
    const select = Object.entries(added).map(([name, sql]) => `${sql} as ${name}`);
    const text = `(select ${[...columns, ...select].join(', ')} from ${from})`;
    columns.push(...Object.keys(added));
    return `${text} step${columns.length}`;
  };
  const jwt = dialect.contains('text', '.');
  let from = stage(relation, {
    hex: `case when not (${jwt}) then ${dialect.hexOfBase64Url('text')} end`,
    json: `case when ${jwt} then ${dialect.textOfBase64Url(dialect.part('text', '.', 2))} end`,
  });
  from = stage(from, {
    protected_at:
      "case when starts_with(hex, 'D83DD1') or starts_with(hex, 'D83DD2') then 9 when starts_with(hex, 'D1') or starts_with(hex, 'D2') then 5 end",
  });
  const header = stringLength(dialect, 'hex', 'protected_at', 0x40);
  from = stage(from, { unprotected_at: `protected_at + ${header.header} + ${header.body}` });
  // The unprotected header is empty or holds the kid (label 4) alone in every token that this project makes.
  const kid = stringLength(dialect, 'hex', 'unprotected_at + 4', 0x40);
  from = stage(from, {
    payload_at: `case when substr(hex, unprotected_at, 2) = 'A0' then unprotected_at + 2 when substr(hex, unprotected_at, 4) = 'A104' then unprotected_at + 4 + ${kid.header} + ${kid.body} end`,
  });
  const payload = stringLength(dialect, 'hex', 'payload_at', 0x40);
  from = stage(from, {
    claims_at: `payload_at + ${payload.header}`,
  });
  from = stage(from, {
    issuer_at:
      "claims_at + case when substr(hex, claims_at, 2) = 'B8' then 4 when substr(hex, claims_at, 1) in ('A', 'B') then 2 end",
  });
  const issuer = stringLength(dialect, 'hex', 'issuer_at + 2', 0x60);
  from = stage(from, {
    subject_at: `case when substr(hex, issuer_at, 2) = '01' then issuer_at + 2 + ${issuer.header} + ${issuer.body} else issuer_at end`,
  });
  const subject = stringLength(dialect, 'hex', 'subject_at + 2', 0x60);
  from = stage(from, {
    cat_subject: `case when substr(hex, subject_at, 2) = '02' then ${dialect.textOfHex(
      `substr(hex, subject_at + 2 + ${subject.header}, ${subject.body})`,
    )} end`,
    cat_handle: handleOf(dialect),
  });
  // Only a token without a handle goes by its id.
  from = stage(from, {
    cat_id: `case when cat_handle is null then ${dialect.extract('hex', '0[456]1A[0-9A-F]{8}07(4[4-9A-F][0-9A-F]+|50[0-9A-F]{32})', 1)} end`,
  });
  const short = (sql: string): string => `case when length(${sql}) between 1 and ${longestName} then ${sql} end`;
  const member = (name: string): string => short(dialect.jsonMember('json', name));
  const tokenId =
    `case when starts_with(cat_id, '50') then substr(cat_id, 3, 32) ` +
    `else substr(cat_id, 3, 2 * (strpos('0123456789ABCDEF', substr(cat_id, 2, 1)) - 1)) end`;
  const session =
    `coalesce('s:' || cat_handle, 't:' || nullif(${tokenId}, ''), 'n:' || ${member('sid')}, 'i:' || ${member('jti')}, ` +
    `'h:' || ${dialect.fingerprint('text')})`;
  return `select ${[...keep, `${session} as session_text`, `coalesce(${short('cat_subject')}, ${member('sub')}) as subject`].join(', ')} from ${from}`;
}
