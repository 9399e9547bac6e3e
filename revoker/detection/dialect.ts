/**
 * What differs between the two engines that run the feature query. Everything else is SQL that both read.
 * `duckdb` runs in process on files; `trino` is the text sent to Athena (engine version 3).
 */
export interface Dialect {
  readonly name: 'duckdb' | 'trino';
  /** A name as the engine quotes it. */
  column(name: string): string;
  /** Whole quotient of two whole numbers. */
  quotient(value: string, by: number): string;
  /** A 64-bit hash of a text; equal texts, equal hashes, within one run. */
  hash(text: string): string;
  /** One hash of several values, of which the last may be NULL. */
  hashOf(values: readonly string[]): string;
  /** The n-th part, counted from 1, NULL when there is none. */
  part(text: string, separator: string, index: number): string;
  /** A text cut at each separator. */
  cut(text: string, separator: string): string;
  /** The n-th element of a list, counted from 1, or from the end when negative; NULL when there is none. */
  at(list: string, index: number): string;
  contains(text: string, needle: string): string;
  /** How long a text is: in bytes or in characters, which in a log's encoded texts is the same. */
  size(text: string): string;
  /** The first match's group, NULL when nothing matches. */
  extract(text: string, expression: string, group: number): string;
  /** Whether an expression matches anywhere in a text. */
  matches(text: string, expression: string): string;
  /** The first match's group as a whole number, NULL when nothing matches. */
  number(text: string, expression: string, group: number): string;
  /** Seconds since 1970 of a date `2026-01-31` and a time `23:59:59`, NULL when they are none. */
  epochOf(date: string, time: string): string;
  /** The second smallest of a group's values, NULL when there is one alone. */
  secondSmallest(value: string): string;
  /** Bytes of base64url text without padding, in capital hexadecimal digits; NULL when it is none. */
  hexOfBase64Url(text: string): string;
  /** The text that base64url stands for; NULL when it is none. */
  textOfBase64Url(text: string): string;
  /** Two hexadecimal digits of a text, from the n-th on, as a number. */
  byteAt(hex: string, at: string): string;
  /** UTF-8 text of hexadecimal digits; NULL when it is none. */
  textOfHex(hex: string): string;
  /** A text member of a JSON object, NULL when there is none. */
  jsonMember(json: string, name: string): string;
  /** A group's distinct values, sorted, joined by commas. */
  distinctList(value: string): string;
  /** The 128-bit address in capital hexadecimal digits, IPv4 as ::ffff:0:0/96; NULL when it is none. */
  addressHex(address: string): string;
  /** Distinct values of a text are counted by this. */
  fingerprint(text: string): string;
}

/** A text literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const duckdb: Dialect = {
  name: 'duckdb',
  column: quote,
  quotient: (value, by) => `(${value}) // ${by}`,
  hash: (text) => `hash(${text})`,
  hashOf: (values) => `hash(${values.join(', ')})`,
  part: (text, separator, index) => `nullif(split_part(${text}, ${literal(separator)}, ${index}), '')`,
  cut: (text, separator) => `string_split(${text}, ${literal(separator)})`,
  at: (list, index) => `(${list})[${index}]`,
  size: (text) => `strlen(${text})`,
  contains: (text, needle) => `contains(${text}, ${literal(needle)})`,
  extract: (text, expression, group) => `nullif(regexp_extract(${text}, ${literal(expression)}, ${group}), '')`,
  matches: (text, expression) => `regexp_matches(${text}, ${literal(expression)})`,
  number: (text, expression, group) => `try_cast(regexp_extract(${text}, ${literal(expression)}, ${group}) as bigint)`,
  epochOf: duckdbEpoch,
  secondSmallest: (value) => `(min(${value}, 2))[2]`,
  hexOfBase64Url: (text) => `hex(${bytesOfBase64Url(text)})`,
  textOfBase64Url: (text) => `try(decode(${bytesOfBase64Url(text)}))`,
  byteAt: (hex, at) => `try_cast('0x' || substr(${hex}, ${at}, 2) as integer)`,
  textOfHex: (hex) => `try(decode(from_hex(${hex})))`,
  jsonMember: (json, name) => `try(json_extract_string(${json}, ${literal(`$.${name}`)}))`,
  distinctList: (value) => `coalesce(array_to_string(list_sort(list(distinct ${value})), ','), '')`,
  addressHex: duckdbAddressHex,
  fingerprint: (text) => `sha256(${text})`,
};

/**
 * A log has few dates and times: functions straight over its columns are reckoned once for each entry of their
 * dictionaries, where there are any. What these do not read, the cast of both may.
 */
function duckdbEpoch(date: string, time: string): string {
  const day = `epoch(try_strptime(${date}, '%Y-%m-%d'))`;
  // A time alone is one of the first of January 1900.
  const second = `(epoch(try_strptime(${time}, '%H:%M:%S')) + 2208988800)`;
  const both = `floor(epoch(try_cast(${date} || ' ' || ${time} as timestamp)))`;
  return `coalesce(cast(${day} + ${second} as bigint), cast(${both} as bigint))`;
}

function bytesOfBase64Url(text: string): string {
  const standard = `replace(replace(${text}, '-', '+'), '_', '/')`;
  return `try(from_base64(rpad(${standard}, ((length(${text}) + 3) // 4 * 4)::integer, '=')))`;
}

function duckdbAddressHex(address: string): string {
  const octets = [1, 2, 3, 4].map((n) => `split_part(${address}, '.', ${n})::utinyint`).join(', ');
  const version4 = `try('00000000000000000000FFFF' || format('{:02X}{:02X}{:02X}{:02X}', ${octets}))`;
  const groups = (text: string): string => `list_filter(string_split(${text}, ':'), lambda x: x <> '')`;
  const digits = (list: string): string =>
    `array_to_string(list_transform(${list}, lambda x: lpad(upper(x), 4, '0')), '')`;
  const head = digits(groups(`split_part(${address}, '::', 1)`));
  const tail = digits(groups(`split_part(${address}, '::', 2)`));
  const version6 =
    `case when regexp_matches(${address}, '^[0-9A-Fa-f:]{2,39}$') and length(${head}) + length(${tail}) <= 32 ` +
    `then ${head} || repeat('0', 32 - length(${head}) - length(${tail})) || ${tail} end`;
  return (
    `case when regexp_matches(${address}, '^[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}$') then ${version4} ` +
    `when contains(${address}, ':') then ${version6} end`
  );
}

export const trino: Dialect = {
  name: 'trino',
  column: quote,
  quotient: (value, by) => `(${value}) / ${by}`,
  hash: (text) => `from_big_endian_64(xxhash64(to_utf8(${text})))`,
  hashOf: (values) => trino.hash(values.map((value) => `coalesce(cast(${value} as varchar), '')`).join(` || '/' || `)),
  part: (text, separator, index) => `nullif(split_part(${text}, ${literal(separator)}, ${index}), '')`,
  cut: (text, separator) => `split(${text}, ${literal(separator)})`,
  at: (list, index) => `element_at(${list}, ${index})`,
  size: (text) => `length(${text})`,
  contains: (text, needle) => `strpos(${text}, ${literal(needle)}) > 0`,
  extract: (text, expression, group) => `nullif(regexp_extract(${text}, ${literal(expression)}, ${group}), '')`,
  matches: (text, expression) => `regexp_like(${text}, ${literal(expression)})`,
  number: (text, expression, group) => `try_cast(regexp_extract(${text}, ${literal(expression)}, ${group}) as bigint)`,
  epochOf: (date, time) =>
    `cast(floor(to_unixtime(try_cast(cast(${date} as varchar) || ' ' || cast(${time} as varchar) as timestamp))) as bigint)`,
  secondSmallest: (value) => `element_at(min(${value}, 2), 2)`,
  hexOfBase64Url: (text) => `to_hex(try(from_base64url(${text})))`,
  textOfBase64Url: (text) => `try(from_utf8(from_base64url(${text})))`,
  byteAt: (hex, at) => `cast(try(from_base(nullif(substr(${hex}, ${at}, 2), ''), 16)) as integer)`,
  textOfHex: (hex) => `try(from_utf8(from_hex(${hex})))`,
  jsonMember: (json, name) => `try(json_extract_scalar(${json}, ${literal(`$.${name}`)}))`,
  distinctList: (value) => `coalesce(array_join(array_sort(array_agg(distinct ${value})), ','), '')`,
  addressHex: (address) => `to_hex(cast(try_cast(${address} as ipaddress) as varbinary))`,
  fingerprint: (text) => `lower(to_hex(sha256(to_utf8(${text}))))`,
};
