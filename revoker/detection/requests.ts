import type { DetectionConfig, LogPlacement } from './config.js';
import type { Dialect } from './dialect.js';
import { literal } from './dialect.js';
import type { LogField } from './fields.js';

/** How a log's fields read as SQL text expressions; a field that the log lacks is absent. */
export type FieldExpressions = Partial<Record<LogField, string>>;

/** The columns of a request, in the order of `requestColumns`. The token itself is not among those that are kept. */
export interface RequestExpressions {
  /** Seconds since 1970. */
  readonly at: string;
  readonly address: string;
  readonly asn: string;
  /** Two capital letters. */
  readonly country: string;
  readonly status: string;
  readonly bytes: string;
  readonly readable: string;
  readonly token: string;
  readonly publicPath: string;
  readonly agent: string;
  /** A hash of the browser and platform, without the version. */
  readonly family: string;
  readonly tool: string;
  /** A hash of the CMCD session id. */
  readonly player: string;
  readonly cmcd: string;
  readonly edge: string;
  readonly content: string;
  readonly rendition: string;
  readonly file: string;
  readonly objectType: string;
  readonly duration: string;
  readonly rangeStart: string;
  readonly media: string;
}

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

function pathPrefix(placement: LogPlacement & { kind: 'path' }): string {
  return (placement.prefix ?? (placement.mode === 'marker' ? '/~t' : '/live')).replace(/\/+$/, '');
}

function isPath(placement: LogPlacement): placement is LogPlacement & { kind: 'path' } {
  return placement.kind === 'path';
}

/** The requests of a log, one expression a column, with no token outside `token`. */
export function requestExpressions(
  dialect: Dialect,
  fields: FieldExpressions,
  config: DetectionConfig,
): RequestExpressions {
  const path = fields.path ?? 'cast(null as varchar)';
  const present = (field: LogField): string | undefined => {
    const expression = fields[field];
    return expression === undefined ? undefined : `nullif(${expression}, '-')`;
  };
  const query = fields.query === undefined ? undefined : `replace(${fields.query}, '%25', '%')`;
  const cmcd = (key: string): string | undefined =>
    query === undefined ? undefined : `split_part(${query}, ${literal(`${key}%3D`)}, 2)`;
  const agent = fields.agent ?? `''`;
  const file = partOfLast(dialect, path, config);
  const token = tokenExpression(dialect, fields, config);
  const extension = `lower(${dialect.partFromEnd(file, '.', 1)})`;
  return {
    at: coalesce(
      [
        fields.timestamp && `cast(floor(try_cast(${fields.timestamp} as double)) as bigint)`,
        fields['timestamp-ms'] && dialect.quotient(`try_cast(${fields['timestamp-ms']} as bigint)`, 1000),
        fields.date && fields.time && dialect.epochOf(fields.date, fields.time),
      ],
      'bigint',
    ),
    address: fields.address ?? 'cast(null as varchar)',
    asn: fields.asn === undefined ? 'cast(null as bigint)' : `try_cast(${fields.asn} as bigint)`,
    country: fields.country === undefined ? 'cast(null as varchar)' : `nullif(nullif(${fields.country}, '-'), '')`,
    status: `try_cast(${fields.status ?? 'null'} as integer)`,
    bytes: `coalesce(try_cast(${fields.bytes ?? 'null'} as bigint), 0)`,
    readable: fields.method === undefined ? 'true' : `${fields.method} in ('GET', 'HEAD')`,
    token,
    publicPath: publicPath(path, config.publicPaths),
    agent: dialect.hash(agent),
    family: dialect.hash(`split_part(${agent}, '/', 2)`),
    tool: `lower(split_part(${agent}, '/', 1)) in (${config.tools.map((tool) => literal(tool.toLowerCase())).join(', ')})`,
    player: hashOrNull(
      dialect,
      coalesce(
        [present('cmcd-session'), query && `nullif(split_part(split_part(${query}, 'sid%3D%22', 2), '%22', 1), '')`],
        'varchar',
      ),
    ),
    cmcd: disjunction([
      present('cmcd-session') && `${present('cmcd-session')} is not null`,
      present('cmcd-type') && `${present('cmcd-type')} is not null`,
      query && dialect.contains(query, 'CMCD='),
      fields.headers && dialect.contains(`lower(${fields.headers})`, 'cmcd-'),
    ]),
    edge: fields.edge === undefined ? dialect.hash(`''`) : dialect.hash(`substr(${fields.edge}, 1, 3)`),
    content: contentExpression(dialect, path, file, config),
    rendition: renditionExpression(dialect, path, config),
    file,
    objectType: coalesce([present('cmcd-type'), cmcd('ot') && `nullif(substr(${cmcd('ot')}, 1, 2), '')`], 'varchar'),
    duration: coalesce(
      [
        present('cmcd-duration') && `try_cast(${present('cmcd-duration')} as integer)`,
        query && `try_cast(split_part(split_part(split_part(${query}, '%2Cd%3D', 2), '%', 1), '&', 1) as integer)`,
      ],
      'integer',
    ),
    rangeStart:
      fields['range-start'] === undefined ? 'cast(null as bigint)' : `try_cast(${fields['range-start']} as bigint)`,
    media: `coalesce(${extension} in (${mediaExtensions.map(literal).join(', ')}), false)`,
  };
}

/** A hash of NULL would count as one more player. */
function hashOrNull(dialect: Dialect, text: string): string {
  return `case when ${text} is not null then ${dialect.hash(text)} end`;
}

function coalesce(candidates: readonly (string | undefined | '')[], type: string): string {
  const found = candidates.filter((candidate): candidate is string => Boolean(candidate));
  if (found.length === 0) return `cast(null as ${type})`;
  return found.length === 1 ? (found[0] as string) : `coalesce(${found.join(', ')})`;
}

function disjunction(candidates: readonly (string | undefined | '')[]): string {
  const found = candidates.filter((candidate): candidate is string => Boolean(candidate));
  return found.length === 0 ? 'false' : `coalesce(${found.join(' or ')}, false)`;
}

function publicPath(path: string, paths: readonly string[]): string {
  if (paths.length === 0) return 'false';
  const tests = paths.map((prefix) => {
    const bare = prefix.replace(/\/+$/, '');
    return `(${path} = ${literal(bare)} or starts_with(${path}, ${literal(`${bare}/`)}))`;
  });
  return `(${tests.join(' or ')})`;
}

/** The last path segment without its path parameters, which may be a token. */
function partOfLast(dialect: Dialect, path: string, config: DetectionConfig): string {
  const last = dialect.partFromEnd(path, '/', 1);
  return config.placements.some((placement) => placement.kind === 'path-parameter')
    ? `split_part(${last}, ';', 1)`
    : last;
}

function pathToken(dialect: Dialect, path: string, placement: LogPlacement & { kind: 'path' }): string {
  const segment = dialect.part(path, '/', tokenSegment(placement));
  const long = `length(${segment}) >= ${shortestToken}`;
  if (placement.mode === 'first') return `case when ${long} then ${segment} end`;
  return `case when starts_with(${path}, ${literal(`${pathPrefix(placement)}/`)}) and ${long} then ${segment} end`;
}

function tokenExpression(dialect: Dialect, fields: FieldExpressions, config: DetectionConfig): string {
  const found: string[] = [];
  for (const placement of config.placements) {
    const name = isPath(placement) ? '' : (placement.name ?? 'CAT');
    if (isPath(placement)) {
      if (fields.path !== undefined) found.push(pathToken(dialect, fields.path, placement));
    } else if (placement.kind === 'query') {
      if (fields.query !== undefined) {
        found.push(dialect.part(dialect.part(`('&' || ${fields.query})`, `&${name}=`, 2), '&', 1));
      }
    } else if (placement.kind === 'path-parameter') {
      if (fields.path !== undefined) {
        found.push(dialect.extract(fields.path, `;${escapeExpression(name)}=(${tokenCharacters})`, 1));
      }
    } else if (placement.kind === 'cookie') {
      if (fields.cookie !== undefined) {
        found.push(
          `case when ${fields.cookie} <> '-' then ` +
            dialect.extract(fields.cookie, `(^|[; ]|%20|%3B)${escapeExpression(name)}(=|%3D)(${tokenCharacters})`, 3) +
            ' end',
        );
      }
    } else if (fields.headers !== undefined) {
      found.push(
        dialect.extract(
          fields.headers,
          `(?i)(common-access-token|authorization)(:|%3A)(%20| )*(Bearer(%20| )+)?(${tokenCharacters})`,
          6,
        ),
      );
    }
  }
  const token = coalesce(found, 'varchar');
  return `case when length(${token}) >= ${shortestToken} then ${token} end`;
}

function escapeExpression(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * What is played: the first path segment behind the token or the prefix. A long segment is taken for a token in a place
 * that the configuration does not name, and not kept.
 */
function contentExpression(dialect: Dialect, path: string, file: string, config: DetectionConfig): string {
  const placement = config.placements.find(isPath);
  const plain = dialect.part(path, '/', 3);
  let content = plain;
  if (placement !== undefined) {
    const segment = tokenSegment(placement);
    const behind = dialect.part(path, '/', segment + (placement.mode === 'prefix' ? 1 : 2));
    const without = placement.mode === 'prefix' ? dialect.part(path, '/', segment) : plain;
    const tokened = pathToken(dialect, path, placement);
    content = `case when ${tokened} is not null then ${behind} else ${without} end`;
  }
  return `case when length(${content}) < ${shortestToken} and ${content} <> ${file} then ${content} else '' end`;
}

function renditionExpression(dialect: Dialect, path: string, config: DetectionConfig): string {
  const folder = dialect.partFromEnd(path, '/', 2);
  const stripped = config.placements.some((placement) => placement.kind === 'path-parameter')
    ? `split_part(${folder}, ';', 1)`
    : folder;
  return `case when length(${folder}) < ${shortestToken} then ${stripped} else '' end`;
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

/**
 * What tokens say of themselves: `session_text` and `subject`, from a relation with a column `text`, whose other columns
 * (`keep`) stay.
 *
 * `session_text` is `s:` and our session handle (hexadecimal of 16 bytes, or a JWT's `sid`), else `t:` and the token's id
 * (`cti` in hexadecimal, or `jti`), else `h:` and a SHA-256 of the token. A CAT's handle is read from the token's end:
 * behind the session claim (-65537, `3A00010000` and a 16-byte string) stand at most the session's end (-65538) and the
 * signature, since deterministic encoding sorts those two labels last; no text inside another claim is taken for it.
 * The subject (label 2) is found by walking the structure: tags, protected and unprotected header, payload, issuer.
 */
export function tokenFacts(dialect: Dialect, relation: string, keep: readonly string[]): string {
  const columns = [...keep, 'text'];
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
  const end =
    '(?:3A00010001(?:1A[0-9A-F]{8}|1B[0-9A-F]{16}))?(?:5820[0-9A-F]{64}|5840[0-9A-F]{128}|590[0-9A-F][0-9A-F]{2}[0-9A-F]+)$';
  from = stage(from, {
    cat_subject: `case when substr(hex, subject_at, 2) = '02' then ${dialect.textOfHex(
      `substr(hex, subject_at + 2 + ${subject.header}, ${subject.body})`,
    )} end`,
    cat_handle: dialect.extract('hex', `3A0001000050([0-9A-F]{32})${end}`, 1),
    cat_id: dialect.extract('hex', '0[456]1A[0-9A-F]{8}07(4[4-9A-F][0-9A-F]+|50[0-9A-F]{32})', 1),
  });
  const member = (name: string): string => `nullif(${dialect.jsonMember('json', name)}, '')`;
  const tokenId =
    `case when starts_with(cat_id, '50') then substr(cat_id, 3, 32) ` +
    `else substr(cat_id, 3, 2 * (strpos('0123456789ABCDEF', substr(cat_id, 2, 1)) - 1)) end`;
  const session =
    `coalesce('s:' || cat_handle, 't:' || nullif(${tokenId}, ''), 's:' || ${member('sid')}, 't:' || ${member('jti')}, ` +
    `'h:' || ${dialect.fingerprint('text')})`;
  return `select ${[...keep, `${session} as session_text`, `coalesce(cat_subject, ${member('sub')}) as subject`].join(', ')} from ${from}`;
}
