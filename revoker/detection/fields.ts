/** The fields of an access log that the detector reads, by one name each. */
export type LogField =
  | 'timestamp'
  | 'timestamp-ms'
  | 'date'
  | 'time'
  | 'address'
  | 'status'
  | 'bytes'
  | 'method'
  | 'path'
  | 'query'
  | 'agent'
  | 'cookie'
  | 'headers'
  | 'edge'
  | 'asn'
  | 'country'
  | 'range-start'
  | 'cmcd-session'
  | 'cmcd-type'
  | 'cmcd-duration';

/**
 * The names under which CloudFront's logs carry each field, after `normaliseFieldName`: standard logs v1 and v2 and
 * real-time logs agree on most of them and differ in `cs(…)` and in underscores (Parquet column names).
 */
export const fieldNames: Readonly<Record<LogField, readonly string[]>> = {
  timestamp: ['timestamp'],
  'timestamp-ms': ['timestamp-ms'],
  date: ['date'],
  time: ['time'],
  address: ['c-ip'],
  status: ['sc-status'],
  bytes: ['sc-bytes'],
  method: ['cs-method'],
  path: ['cs-uri-stem'],
  query: ['cs-uri-query'],
  agent: ['cs-user-agent'],
  cookie: ['cs-cookie'],
  headers: ['cs-headers'],
  edge: ['x-edge-location'],
  asn: ['asn'],
  country: ['c-country'],
  'range-start': ['sc-range-start'],
  'cmcd-session': ['cmcd-session-id'],
  'cmcd-type': ['cmcd-object-type'],
  'cmcd-duration': ['cmcd-object-duration'],
};

/** Lower case, every run of other characters one hyphen: `cs(User-Agent)`, `cs_user_agent` and `cs-user-agent` are one. */
export function normaliseFieldName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Which column, as the log spells it, carries each field. */
export function mapFields(columns: readonly string[]): Partial<Record<LogField, string>> {
  const found: Partial<Record<LogField, string>> = {};
  const byName = new Map(columns.map((column) => [normaliseFieldName(column), column]));
  for (const [field, names] of Object.entries(fieldNames) as [LogField, readonly string[]][]) {
    const name = names.find((candidate) => byName.has(candidate));
    if (name !== undefined) found[field] = byName.get(name) as string;
  }
  return found;
}

/** What a log must carry for a run to make sense of it. */
export function missingFields(columns: readonly string[]): LogField[] {
  const found = mapFields(columns);
  const missing: LogField[] = (['address', 'status', 'path'] as const).filter((field) => found[field] === undefined);
  const timed = found.timestamp ?? found['timestamp-ms'] ?? (found.date === undefined ? undefined : found.time);
  return timed === undefined ? [...missing, 'timestamp'] : missing;
}

/** The fields of standard logs v1, in their order: what a file without a header line is read with. */
export const standardFields: readonly string[] = (
  'date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query ' +
  'cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ' +
  'ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte ' +
  'x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end'
).split(' ');

/** The real-time fields that the infrastructure of this project asks for, in the order CloudFront writes them. */
export const realTimeFields: readonly string[] = (
  'timestamp c-ip sc-status sc-bytes cs-method cs-host cs-uri-stem x-edge-location x-edge-request-id cs-user-agent cs-uri-query ' +
  'cs-cookie c-country asn cmcd-object-duration cmcd-object-type cmcd-session-id'
).split(' ');
