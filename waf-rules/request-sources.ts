import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { WafRulesError } from './errors.js';
import { parseRequest, toBytes, type SimulatedRequest } from './simulated-request.js';

/** A request and what became of it when it was made, where the source tells. */
export interface RecordedRequest {
  readonly request: SimulatedRequest;
  /** The status the viewer got then. */
  readonly status: number | undefined;
}

/** The headers an access log records, by its field names. A cookie field of `-` may mean that cookies are not logged. */
const headerFields: Readonly<Record<string, string>> = {
  'cs(User-Agent)': 'user-agent',
  'cs-user-agent': 'user-agent',
  'cs(Referer)': 'referer',
  'cs-referer': 'referer',
  'x-host-header': 'host',
  'cs(Cookie)': 'cookie',
  'cs-cookie': 'cookie',
};

/** Undoes the log's own encoding of a value. Bad escapes stay. */
function decodeField(value: string): string {
  if (!value.includes('%')) return toBytes(value);
  return toBytes(value).replace(/%([0-9a-fA-F]{2})/g, (_escape, digits: string) =>
    String.fromCharCode(parseInt(digits, 16)),
  );
}

/**
 * Makes requests of lines of a CloudFront access log: standard logs and real-time logs, tab-separated, `#Fields` or a
 * given field order. Path and query are taken as logged, which is as the viewer sent them.
 *
 * @throws WafRulesError `unreadable_log`
 */
export function createLogReader(fields?: readonly string[]): (line: string) => RecordedRequest | undefined {
  let names = fields;
  return (line) => {
    if (line.startsWith('#')) {
      const found = /^#Fields:\s*(.+)$/.exec(line);
      if (found) names = (found[1] as string).trim().split(/[ \t]+/);
      return undefined;
    }
    if (line.trim() === '') return undefined;
    if (!names) {
      throw new WafRulesError(
        'unreadable_log',
        'The log has no "#Fields:" line before its first record. Real-time logs have none: give their field order.',
      );
    }
    const values = line.split('\t');
    const record: Record<string, string> = {};
    names.forEach((name, index) => {
      const value = values[index];
      if (value !== undefined && value !== '-') record[name] = value;
    });
    const path = record['cs-uri-stem'];
    const address = record['c-ip'];
    if (path === undefined || address === undefined) {
      throw new WafRulesError('unreadable_log', 'A record without c-ip or cs-uri-stem: are these its fields?', {
        line,
      });
    }
    const headers: [string, string][] = [];
    const known = new Set<string>();
    for (const name of names) {
      const header = headerFields[name];
      if (header === undefined) continue;
      const value = record[name];
      if (value !== undefined) headers.push([header, decodeField(value)]);
      if (value !== undefined || header !== 'cookie') known.add(header);
    }
    const stamp = record['timestamp'] ?? record['timestamp(ms)'];
    const time =
      stamp !== undefined
        ? Number(stamp) * (stamp.includes('.') || stamp.length <= 11 ? 1000 : 1)
        : Date.parse(`${record['date'] ?? ''}T${record['time'] ?? ''}Z`);
    const asn = record['asn'];
    const status = Number(record['sc-status'] ?? Number.NaN);
    // A stem may hold a query in some real-time logs; CloudFront's own separation is kept.
    return {
      request: {
        time: Number.isNaN(time) ? 0 : time,
        method: record['cs-method'] ?? 'GET',
        path: toBytes(path),
        query: toBytes(record['cs-uri-query'] ?? ''),
        headers,
        body: '',
        address,
        country: record['c-country'],
        region: undefined,
        asn: asn === undefined ? undefined : Number(asn),
        ja3: undefined,
        ja4: undefined,
        challengePassed: false,
        knownHeaders: known,
      },
      status: Number.isNaN(status) ? undefined : status,
    };
  };
}

/** Makes requests of JSON lines, one request a line. */
export function createJsonReader(): (line: string) => RecordedRequest | undefined {
  let count = 0;
  return (line) => {
    if (line.trim() === '') return undefined;
    count++;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new WafRulesError('invalid_request', `Request ${count} is not JSON: ${line.slice(0, 80)}`);
    }
    return { request: parseRequest(value, count * 1000), status: undefined };
  };
}

/** The files behind a path: itself, or everything in a folder that can be read. */
export function filesAt(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile() && !/\/\./.test(file))
    .sort();
}

/** Reads one file, gunzipped where its name ends in `.gz`; the records in the order of their time. */
export async function readRequests(
  file: string,
  options: { readonly format?: 'log' | 'json'; readonly fields?: readonly string[] } = {},
): Promise<RecordedRequest[]> {
  const raw = createReadStream(file);
  const input = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  raw.on('error', (error) => input.destroy(error));
  const json =
    options.format === undefined ? /\.jsonl?(\.gz)?$|\.ndjson(\.gz)?$/.test(file) : options.format === 'json';
  const read = json ? createJsonReader() : createLogReader(options.fields);
  const records: RecordedRequest[] = [];
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      const record = read(line);
      if (record) records.push(record);
    }
  } catch (error) {
    if (error instanceof WafRulesError) {
      throw new WafRulesError(error.code, `${file}: ${error.message}`, { ...error.details, file });
    }
    throw new WafRulesError('unreadable_log', `${file}: ${(error as Error).message}`, { file }, { cause: error });
  }
  return records.sort((a, b) => a.request.time - b.request.time);
}
