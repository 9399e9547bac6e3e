import { formatAddress, mergeRanges, parseRange, toCidrs, type AddressRange } from './addresses.js';
import { WafRulesError } from './errors.js';

/**
 * Apple's iCloud Private Relay leaves through Akamai, Cloudflare and Fastly. Akamai uses AS36183 for it and nothing
 * else (Sattler and others, "Towards a Tectonic Traffic Shift?", IMC 2022: a third party's finding), so that network is
 * excepted by number. The relays in the two other CDNs share networks with other services: except them by the ranges
 * Apple publishes, read by {@link parseRelayRanges}.
 */
export const privateRelayAsns: readonly number[] = [36183];

/**
 * Route 53 health checks, service `ROUTE53_HEALTHCHECKS` of AWS's ip-ranges.json as third parties recorded it. Refresh
 * with {@link parseAwsRanges}.
 */
export const awsHealthCheckRanges: readonly string[] = [
  '15.177.0.0/18',
  '54.183.255.128/26',
  '54.228.16.0/26',
  '54.232.40.64/26',
  '54.241.32.64/26',
  '54.243.31.192/26',
  '54.244.52.192/26',
  '54.245.168.0/26',
  '54.248.220.0/26',
  '54.250.253.192/26',
  '54.251.31.128/26',
  '54.252.79.128/26',
  '54.252.254.192/26',
  '54.255.254.192/26',
  '107.23.255.0/26',
  '176.34.159.192/26',
  '177.71.207.128/26',
];

/** The services of ip-ranges.json that fetch media through a distribution. */
export const awsMediaServices: readonly string[] = ['MEDIA_PACKAGE_V2', 'IVS_LOW_LATENCY', 'IVS_REALTIME'];

/** The services of ip-ranges.json that probe it. */
export const awsProbeServices: readonly string[] = ['ROUTE53_HEALTHCHECKS'];

/**
 * Reads Apple's list of relay ranges (`egress-ip-ranges.csv`: range, country, region, city) and merges neighbours, so
 * that some 280,000 lines become the few thousand ranges an IP set can hold.
 *
 * @throws WafRulesError `invalid_address` with the line at fault
 * @example parseRelayRanges(readFileSync('egress-ip-ranges.csv', 'utf8'))
 */
export function parseRelayRanges(csv: string): string[] {
  const ranges: AddressRange[] = [];
  for (const line of csv.split('\n')) {
    const range = (line.split(',')[0] ?? '').trim();
    if (range !== '' && !range.startsWith('#')) ranges.push(parseRange(range));
  }
  return mergeRanges(ranges).flatMap(toCidrs);
}

/**
 * Reads the ranges of some services out of AWS's ip-ranges.json.
 *
 * @throws WafRulesError `invalid_configuration` when the text is not that file
 * @example parseAwsRanges(text, awsMediaServices)
 */
export function parseAwsRanges(json: string, services: readonly string[]): string[] {
  const wanted = new Set(services);
  const document = JSON.parse(json) as {
    prefixes?: { ip_prefix?: string; service?: string }[];
    ipv6_prefixes?: { ipv6_prefix?: string; service?: string }[];
  };
  if (!Array.isArray(document.prefixes)) {
    throw new WafRulesError('invalid_configuration', 'Not an ip-ranges.json: it has no list "prefixes".');
  }
  const found = [
    ...document.prefixes.filter((each) => wanted.has(each.service ?? '')).map((each) => each.ip_prefix ?? ''),
    ...(document.ipv6_prefixes ?? [])
      .filter((each) => wanted.has(each.service ?? ''))
      .map((each) => each.ipv6_prefix ?? ''),
  ];
  return mergeRanges(found.map(parseRange)).flatMap(toCidrs);
}

/** Reads a list of ranges, one a line, `#` for remarks. */
export function parseRangeList(text: string): AddressRange[] {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line !== '')
    .map(parseRange);
}

/** The ranges as text, for messages. */
export const describeRange = (range: AddressRange): string => {
  const blocks = toCidrs(range);
  return blocks.length === 1
    ? (blocks[0] as string)
    : `${formatAddress(range.family, range.first)} to ${formatAddress(range.family, range.last)}`;
};
