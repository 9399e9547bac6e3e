/** What CloudFront knows of a viewer, made up: nothing here is looked up. An absent field is one CloudFront does not know. */
export interface SimulatedViewer {
  readonly ip: string;
  readonly port: number;
  readonly asn?: string;
  /** ISO 3166-1 alpha-2. */
  readonly country?: string;
  readonly countryName?: string;
  /** ISO 3166-2 without the country: `CA`. */
  readonly region?: string;
  readonly regionName?: string;
  readonly city?: string;
  /** Nielsen DMA code; CloudFront sets it in the US only. */
  readonly metro?: string;
  readonly postal?: string;
  readonly lat?: string;
  readonly lon?: string;
  readonly tz?: string;
  /** `2.0`, `1.1`, `3.0` … */
  readonly http?: string;
  /** `<version>:<cipher>:<handshake>`, as in `CloudFront-Viewer-TLS`. */
  readonly tls?: string;
  readonly ja3?: string;
  readonly ja4?: string;
  readonly proto?: string;
  /** Epoch seconds that the functions read as the present, instead of the clock. */
  readonly now?: number;
  /** `error`: every KeyValueStore read fails; `error:<prefix>`: reads of keys with that prefix fail. */
  readonly kvs?: string;
}

type ViewerField = keyof SimulatedViewer;

const placeFields: readonly ViewerField[] = [
  'country',
  'countryName',
  'region',
  'regionName',
  'city',
  'metro',
  'postal',
  'lat',
  'lon',
  'tz',
];
const otherFields: readonly ViewerField[] = ['ip', 'port', 'asn', 'http', 'tls', 'ja3', 'ja4', 'proto', 'now', 'kvs'];

/** The viewer when nothing else is said: addresses and numbers of the documentation ranges (RFC 5737, RFC 5398). */
export const defaultViewer: SimulatedViewer = {
  ip: '203.0.113.9',
  port: 46532,
  asn: '64500',
  country: 'US',
  countryName: 'United States',
  region: 'CA',
  regionName: 'California',
  city: 'San Francisco',
  metro: '807',
  postal: '94110',
  lat: '37.77490',
  lon: '-122.41940',
  tz: 'America/Los_Angeles',
  http: '2.0',
  tls: 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake',
  proto: 'https',
};

export class ViewerSyntaxError extends Error {
  readonly code = 'viewer_syntax';
  constructor(message: string) {
    super(message);
    this.name = 'ViewerSyntaxError';
  }
}

/**
 * Reads `country=US; region=CA; ip=203.0.113.9` over a viewer. Naming any field of the place starts a new place, so a
 * moved viewer keeps no stale metro code; `name=` with nothing behind it makes the field unknown.
 *
 * @throws ViewerSyntaxError naming the part that cannot be read
 */
export function readViewer(text: string, base: SimulatedViewer = defaultViewer): SimulatedViewer {
  const named: [ViewerField, string][] = [];
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim() as ViewerField;
    if (equals < 0 || ![...placeFields, ...otherFields].includes(name)) {
      throw new ViewerSyntaxError(
        `x-sim-viewer: "${part.trim()}" is not one of ${[...placeFields, ...otherFields].join(', ')} followed by =value`,
      );
    }
    named.push([name, part.slice(equals + 1).trim()]);
  }
  const viewer: Record<string, string | number | undefined> = { ...base };
  if (named.some(([name]) => placeFields.includes(name))) for (const name of placeFields) delete viewer[name];
  for (const [name, value] of named) {
    if (name === 'now' || name === 'port') {
      const number = Number(value);
      if (value === '' || !Number.isFinite(number)) {
        throw new ViewerSyntaxError(`x-sim-viewer: ${name} must be a number, not "${value}"`);
      }
      viewer[name] = number;
    } else if (value !== '') viewer[name] = value;
    else if (name === 'ip') throw new ViewerSyntaxError('x-sim-viewer: ip must not be empty');
    else delete viewer[name];
  }
  return viewer as unknown as SimulatedViewer;
}

/** CloudFront's own request headers for a viewer, by lower-case name; `undefined` where CloudFront would send none. */
export function viewerHeaders(viewer: SimulatedViewer): Readonly<Record<string, string | undefined>> {
  return {
    'cloudfront-viewer-address': `${viewer.ip}:${viewer.port}`,
    'cloudfront-viewer-asn': viewer.asn,
    'cloudfront-viewer-country': viewer.country,
    'cloudfront-viewer-country-name': viewer.countryName,
    'cloudfront-viewer-country-region': viewer.region,
    'cloudfront-viewer-country-region-name': viewer.regionName,
    'cloudfront-viewer-city': viewer.city,
    'cloudfront-viewer-metro-code': viewer.metro,
    'cloudfront-viewer-postal-code': viewer.postal,
    'cloudfront-viewer-latitude': viewer.lat,
    'cloudfront-viewer-longitude': viewer.lon,
    'cloudfront-viewer-time-zone': viewer.tz,
    'cloudfront-viewer-http-version': viewer.http,
    'cloudfront-viewer-tls': viewer.tls,
    'cloudfront-viewer-ja3-fingerprint': viewer.ja3,
    'cloudfront-viewer-ja4-fingerprint': viewer.ja4,
    'cloudfront-forwarded-proto': viewer.proto,
  };
}

/** Which of CloudFront's own headers the behaviour's policies list: only these are set, and only these overwritten. */
export type ViewerHeaderPolicy = 'all' | 'none' | readonly string[];

export function policyLists(policy: ViewerHeaderPolicy, lowerCaseName: string): boolean {
  if (policy === 'all') return true;
  if (policy === 'none') return false;
  return policy.some((name) => name.toLowerCase() === lowerCaseName);
}

/** Reads `all`, `none`, or a comma list of header names; `country` is short for `CloudFront-Viewer-Country`. */
export function readViewerHeaderPolicy(text: string): ViewerHeaderPolicy {
  if (text === 'all' || text === 'none') return text;
  const known = Object.keys(viewerHeaders(defaultViewer));
  return text
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
    .map((name) => {
      const full = known.find((header) => header === name || header === `cloudfront-viewer-${name}`);
      if (full === undefined) {
        throw new ViewerSyntaxError(`"${name}" is not a header of CloudFront's; known: all, none, ${known.join(', ')}`);
      }
      return full;
    });
}
