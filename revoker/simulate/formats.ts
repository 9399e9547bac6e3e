import { cmcdHeaders } from './cmcd.js';
import type { LogRow } from './rows.js';

/** A column: its name in the log, and its value for a row as CloudFront writes it. */
interface Field {
  readonly name: string;
  /** A text where it is the same in all rows. */
  readonly value: string | ((row: Readonly<LogRow>) => string | number);
}

const dates = new Map<number, string>();

function date(time: number): string {
  const day = Math.floor(time / 86_400_000);
  let text = dates.get(day);
  if (text === undefined) {
    if (dates.size > 64) dates.clear();
    text = new Date(time).toISOString().slice(0, 10);
    dates.set(day, text);
  }
  return text;
}

const twoDigits = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, '0'));

function clock(time: number): string {
  const seconds = Math.floor(time / 1000) % 86_400;
  return `${twoDigits[Math.floor(seconds / 3600)]}:${twoDigits[Math.floor(seconds / 60) % 60]}:${twoDigits[seconds % 60]}`;
}

const thousandths = (seconds: number): string => {
  const whole = Math.round(seconds * 1000);
  return `${Math.floor(whole / 1000)}.${String(whole % 1000).padStart(3, '0')}`;
};

const orDash = (text: string): string => (text === '' ? '-' : text);
const ok = (row: Readonly<LogRow>): boolean => row.status >= 200 && row.status < 300;
/** A viewer that hung up is `000` in the log. */
const status = (row: Readonly<LogRow>): string => (row.status === 0 ? '000' : String(row.status));
const detailed = (row: Readonly<LogRow>): string =>
  row.status === 0 ? 'ClientCommError' : row.status >= 500 ? 'OriginError' : row.resultType;
const version = (row: Readonly<LogRow>): string => (row.address.includes(':') ? 'IPv6' : 'IPv4');

/** The 33 fields of a standard log, version 1, in its order. */
const standardFields: readonly Field[] = [
  { name: 'date', value: (row) => date(row.time) },
  { name: 'time', value: (row) => clock(row.time) },
  { name: 'x-edge-location', value: (row) => row.edge },
  { name: 'sc-bytes', value: (row) => row.bytes },
  { name: 'c-ip', value: (row) => row.address },
  { name: 'cs-method', value: (row) => row.method },
  { name: 'cs(Host)', value: 'd111111abcdef8.cloudfront.net' },
  { name: 'cs-uri-stem', value: (row) => row.path },
  { name: 'sc-status', value: status },
  { name: 'cs(Referer)', value: (row) => row.referer },
  { name: 'cs(User-Agent)', value: (row) => row.userAgent },
  { name: 'cs-uri-query', value: (row) => orDash(row.query) },
  { name: 'cs(Cookie)', value: (row) => row.cookie },
  { name: 'x-edge-result-type', value: (row) => row.resultType },
  { name: 'x-edge-request-id', value: (row) => row.requestId },
  { name: 'x-host-header', value: (row) => row.host },
  { name: 'cs-protocol', value: 'https' },
  { name: 'cs-bytes', value: (row) => row.requestBytes },
  { name: 'time-taken', value: (row) => thousandths(row.timeTaken) },
  { name: 'x-forwarded-for', value: '-' },
  { name: 'ssl-protocol', value: 'TLSv1.3' },
  { name: 'ssl-cipher', value: 'TLS_AES_128_GCM_SHA256' },
  { name: 'x-edge-response-result-type', value: (row) => row.resultType },
  { name: 'cs-protocol-version', value: (row) => row.protocol },
  { name: 'fle-status', value: '-' },
  { name: 'fle-encrypted-fields', value: '-' },
  { name: 'c-port', value: (row) => row.port },
  { name: 'time-to-first-byte', value: (row) => thousandths(row.firstByte) },
  { name: 'x-edge-detailed-result-type', value: detailed },
  { name: 'sc-content-type', value: (row) => row.contentType },
  { name: 'sc-content-len', value: (row) => (ok(row) ? row.bytes - 420 : '-') },
  { name: 'sc-range-start', value: '-' },
  { name: 'sc-range-end', value: '-' },
];

/** What version 2 of the standard log adds when it is asked for. */
const addedFields: readonly Field[] = [
  { name: 'timestamp(ms)', value: (row) => row.time },
  { name: 'asn', value: (row) => row.asn },
  { name: 'c-country', value: (row) => row.country },
];

const encodeField = (text: string): string => encodeURIComponent(text);

function requestHeaders(row: Readonly<LogRow>): [string, string][] {
  const headers: [string, string][] = [
    ['Host', row.host],
    ['User-Agent', decodeURI(row.userAgent)],
    ['Accept', row.accept],
    ['Accept-Encoding', 'gzip'],
  ];
  if (row.cmcd && row.cmcdInHeaders) headers.push(...cmcdHeaders(row.cmcd));
  if (row.referer !== '-') headers.push(['Referer', row.referer]);
  if (row.cookie !== '-') headers.push(['Cookie', row.cookie]);
  return headers;
}

/** CloudFront cuts `cs-headers` at 800 bytes. */
const headerLimit = 800;

const cmcdMedia = (row: Readonly<LogRow>): boolean => row.cmcd !== undefined && row.cmcd.objectType !== 'm';
const flag = (value: boolean | undefined): string => (value ? 'true' : '-');

/** A choice of a real-time log's fields, in the order in which CloudFront always writes them. */
const realtimeFields: readonly Field[] = [
  { name: 'timestamp', value: (row) => thousandths(row.time / 1000) },
  { name: 'c-ip', value: (row) => row.address },
  { name: 'time-to-first-byte', value: (row) => thousandths(row.firstByte) },
  { name: 'sc-status', value: status },
  { name: 'sc-bytes', value: (row) => row.bytes },
  { name: 'cs-method', value: (row) => row.method },
  { name: 'cs-protocol', value: 'https' },
  { name: 'cs-host', value: (row) => row.host },
  { name: 'cs-uri-stem', value: (row) => row.path },
  { name: 'cs-bytes', value: (row) => row.requestBytes },
  { name: 'x-edge-location', value: (row) => row.edge },
  { name: 'x-edge-request-id', value: (row) => row.requestId },
  { name: 'time-taken', value: (row) => thousandths(row.timeTaken) },
  { name: 'cs-protocol-version', value: (row) => row.protocol },
  { name: 'c-ip-version', value: version },
  { name: 'cs-user-agent', value: (row) => row.userAgent },
  { name: 'cs-referer', value: (row) => row.referer },
  { name: 'cs-cookie', value: (row) => row.cookie },
  { name: 'cs-uri-query', value: (row) => orDash(row.query) },
  { name: 'x-edge-response-result-type', value: (row) => row.resultType },
  { name: 'ssl-protocol', value: 'TLSv1.3' },
  { name: 'x-edge-result-type', value: (row) => row.resultType },
  { name: 'sc-content-type', value: (row) => row.contentType },
  { name: 'sc-content-len', value: (row) => (ok(row) ? row.bytes - 420 : '-') },
  { name: 'c-port', value: (row) => row.port },
  { name: 'x-edge-detailed-result-type', value: detailed },
  { name: 'c-country', value: (row) => row.country },
  {
    name: 'cs-headers',
    value: (row) =>
      encodeField(
        requestHeaders(row)
          .map(([name, value]) => `${name}:${value}`)
          .join('\n'),
      ).slice(0, headerLimit),
  },
  {
    name: 'cs-header-names',
    value: (row) =>
      encodeField(
        requestHeaders(row)
          .map(([name]) => name)
          .join('\n'),
      ),
  },
  { name: 'asn', value: (row) => row.asn },
  { name: 'cmcd-encoded-bitrate', value: (row) => (cmcdMedia(row) ? (row.cmcd?.bitrate ?? '-') : '-') },
  { name: 'cmcd-buffer-length', value: (row) => (cmcdMedia(row) ? (row.cmcd?.bufferLength ?? '-') : '-') },
  { name: 'cmcd-buffer-starvation', value: (row) => flag(row.cmcd?.starved) },
  { name: 'cmcd-content-id', value: (row) => row.cmcd?.contentId ?? '-' },
  { name: 'cmcd-object-duration', value: (row) => (cmcdMedia(row) ? (row.cmcd?.duration ?? '-') : '-') },
  { name: 'cmcd-measured-throughput', value: (row) => (cmcdMedia(row) ? (row.cmcd?.throughput ?? '-') : '-') },
  { name: 'cmcd-object-type', value: (row) => row.cmcd?.objectType ?? '-' },
  { name: 'cmcd-playback-rate', value: (row) => row.cmcd?.playbackRate ?? '-' },
  { name: 'cmcd-streaming-format', value: (row) => row.cmcd?.streamingFormat ?? '-' },
  { name: 'cmcd-session-id', value: (row) => row.cmcd?.sessionId ?? '-' },
  { name: 'cmcd-stream-type', value: (row) => row.cmcd?.streamType ?? '-' },
  { name: 'cmcd-startup', value: (row) => flag(row.cmcd?.startup) },
  { name: 'cmcd-top-bitrate', value: (row) => (cmcdMedia(row) ? (row.cmcd?.topBitrate ?? '-') : '-') },
  { name: 'cmcd-version', value: (row) => (row.cmcd ? row.cmcd.version : '-') },
];

/**
 * `standard`: standard log, version 1, TSV with its two header lines. `w3c`: standard log version 2 as such text, with the
 * fields that it can add: autonomous system, country, milliseconds. `realtime`: the records of a real-time log, TSV
 * without a header (its order is configuration: `fieldNames`). `json`: standard log version 2 as JSON lines.
 * `parquet`: standard log version 2 as Parquet, names in snake case and text columns, as AWS writes them.
 */
export type LogFormat = 'standard' | 'w3c' | 'realtime' | 'json' | 'parquet';

const fieldsOf: Readonly<Record<LogFormat, readonly Field[]>> = {
  standard: standardFields,
  w3c: [...standardFields, ...addedFields],
  realtime: realtimeFields,
  json: [...standardFields, ...addedFields],
  parquet: [...standardFields, ...addedFields],
};

/** `cs(User-Agent)` → `cs_user_agent`, `timestamp(ms)` → `timestamp_ms`. */
const columnName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/_$/, '');

/** Names of the format's fields in order; for Parquet its column names. */
export function fieldNames(format: LogFormat): string[] {
  return fieldsOf[format].map(({ name }) => (format === 'parquet' ? columnName(name) : name));
}

/** What stands before the first row. */
export function preamble(format: LogFormat): string {
  return format === 'standard' || format === 'w3c' ? `#Version: 1.0\n#Fields: ${fieldNames(format).join(' ')}\n` : '';
}

/** One row as a line, line end included. For `parquet`: the tab-separated line that becomes a row. */
export function formatter(format: LogFormat): (row: Readonly<LogRow>) => string {
  const fields = fieldsOf[format];
  if (format === 'json') {
    const names = fieldNames(format);
    return (row) => {
      const values = fields.map(({ value }, i) => [names[i], typeof value === 'string' ? value : String(value(row))]);
      return `${JSON.stringify(Object.fromEntries(values))}\n`;
    };
  }
  // Values that never change are joined with the tabs once, not per row.
  const changing: { before: string; value: (row: Readonly<LogRow>) => string | number }[] = [];
  let before = '';
  fields.forEach(({ value }, i) => {
    if (i > 0) before += '\t';
    if (typeof value === 'string') {
      before += value;
    } else {
      changing.push({ before, value });
      before = '';
    }
  });
  const end = `${before}\n`;
  return (row) => {
    let line = '';
    for (const { before, value } of changing) line += before + value(row);
    return line + end;
  };
}
