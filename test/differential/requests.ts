import type { RequestParts } from '../../scripts/engine/index.js';
import type { Random } from './random.js';

/** What a random request is, before tokens are put into it; claims are made to hold for it, or not. */
export interface Facts {
  readonly method: string;
  /** As sent. */
  readonly path: string;
  readonly host: string;
  readonly query: readonly string[];
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly ip: string;
}

const pieces = [
  '/echo',
  '/ch1',
  '/seg.ts',
  '/',
  '/..',
  '/.',
  '/%2e%2e',
  '%2F',
  '%5c',
  '\\',
  '%00',
  '%zz',
  '%',
  '%e2%82%ac',
  '%c0%af',
  '%41',
  '%7e',
  ';a=1',
  '/.hidden',
  '/a.tar.gz',
  '\u00e9',
  '#',
  ' ',
  '//',
  ':',
  '%252f',
  '.',
  '/..;',
  '%ed%a0%80',
  '%u002e',
];
const soundPaths = [
  '/echo/ch1/seg.ts',
  '/echo/ch1/seg.ts',
  '/echo/a/x.ts',
  '/echo/%61/x.ts',
  '/echo/ch2/index.m3u8',
  '/echo/dark/index.m3u8',
  '/echo/dark/seg.ts',
  '/echo/framed/a.ts',
  '/echo/ch1/a.tar.gz',
  '/echo/%41;b=1/.hidden',
  '/',
  '/public/logo.png',
  '/echo/old/a.ts',
  '/echo/ch1/caf%c3%a9',
  '/echo/ch%31/a',
  '/other/x',
  '/start/echo/ch1/seg.ts',
];

const places = [
  { country: 'US', region: 'CA', metro: '807', postal: '94110', latitude: '37.77490', longitude: '-122.41940' },
  { country: 'US', region: 'NY', metro: '501', postal: '10001', latitude: '40.7', longitude: '-74.0' },
  { country: 'DE', region: 'BE', postal: '10115', latitude: '52.52', longitude: '13.405' },
  { country: 'MX', region: 'CA', latitude: '0', longitude: '0' },
  { country: 'US' },
  {},
] as const;

/** The first four characters of each place's geohash. */
export const cells = ['9q8y', 'dr5r', 'u33d', 's000'] as const;

const agents = ['OldTV/1.2', 'OldTV/2', 'Mozilla/5.0', 'x OldTV/1.2'];

export function randomFacts(random: Random): Facts {
  const place: Partial<Record<'country' | 'region' | 'metro' | 'postal' | 'latitude' | 'longitude', string>> =
    random.pick(places);
  const headers: Record<string, string | readonly string[]> = {};
  const set = (name: string, value: string | undefined, chance = 1): void => {
    if (value !== undefined && random.chance(chance)) headers[name] = value;
  };
  set('cloudfront-viewer-country', place.country);
  set('cloudfront-viewer-country-region', place.region);
  set('cloudfront-viewer-metro-code', place.metro);
  set('cloudfront-viewer-postal-code', place.postal);
  set('cloudfront-viewer-latitude', place.latitude);
  set('cloudfront-viewer-longitude', place.longitude);
  set('cloudfront-viewer-asn', random.pick(['64500', '64500', '64501', 'x', '']), 0.8);
  set('cloudfront-viewer-http-version', random.pick(['2.0', '1.1', '3.0', '1.0', '9']), 0.9);
  set('cloudfront-viewer-tls', 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake', 0.9);
  set('cloudfront-forwarded-proto', random.pick(['https', 'https', 'http', '']), 0.7);
  set('cloudfront-viewer-cert-sha256', random.pick(['cafe', 'beef']), 0.3);
  set('user-agent', random.pick(agents), 0.6);
  set('origin', random.pick(['https://player.example', 'https://evil.example', 'null', '']), 0.3);
  set('referer', random.pick(['https://player.example/watch', 'https://player.example@evil.example/', 'x']), 0.2);
  set('x-app', random.pick(['tv', 'TV', '']), 0.3);
  if (random.chance(0.05)) headers['x-app'] = ['tv', 'phone'];
  set('constructor', 'x', 0.02);
  set('dpop', 'eyJ.eyJ.AA', 0.05);
  set('range', 'bytes=0-1', 0.05);
  set('x-portcullis-handover', `header cta-common-access-token ${'x'.repeat(20)} ${'A'.repeat(43)}`, 0.03);
  set('x-portcullis-start', 'x', 0.02);
  return {
    method: random.pick([
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'GET',
      'HEAD',
      'HEAD',
      'POST',
      'POST',
      'OPTIONS',
      'get',
      'DELETE',
    ]),
    path: random.chance(0.93)
      ? random.pick(soundPaths)
      : `/${Array.from({ length: random.below(6) }, () => random.pick(pieces))
          .join('')
          .replace(/^\//, '')}`,
    host: random.pick([
      'video.example.com',
      'video.example.com',
      'VIDEO.example.com:443',
      'a:8443',
      '',
      ':',
      '203.0.113.1',
    ]),
    query: random.chance(0.7)
      ? []
      : random.some(
          ['a=1', 'CAT=', 'CAT', '', 'b=%41', 'c=%', 'd', 'CAT=x', 'cat=y', 'e=1=2', '%43AT=z'],
          1 + random.below(3),
        ),
    headers,
    ip: random.pick([
      '203.0.113.9',
      '203.0.113.9',
      '198.51.100.7',
      '2001:db8::1',
      '2001:DB8:0:12:0:0:0:1',
      '::',
      '::ffff:203.0.113.9',
      'fe80::1%eth0',
      '',
    ]),
  };
}

/** A token as it is put into a request. */
export type Placed = readonly [
  place:
    | 'path'
    | 'marker'
    | 'prefix'
    | 'parameter'
    | 'query'
    | 'cookie'
    | 'header'
    | 'other-header'
    | 'string'
    | 'authorization'
    | 'dpop',
  token: string,
];

/** The request with its tokens. */
export function withTokens(facts: Facts, placed: readonly Placed[]): RequestParts {
  let uri = facts.path;
  const query = [...facts.query];
  const cookies: [string, string][] = [];
  const headers: Record<string, string | readonly string[]> = { host: facts.host, ...facts.headers };
  const add = (name: string, line: string): void => {
    headers[name] = [...[headers[name] ?? []].flat(), line];
  };
  for (const [place, token] of placed) {
    if (place === 'path') uri = `/${token}${uri}`;
    else if (place === 'marker') uri = `/~t/${token}${uri}`;
    else if (place === 'prefix') uri = uri.replace(/^(\/echo)?/, (before) => `${before}/${token}`);
    else if (place === 'parameter')
      uri = uri.replace(/(.)(\/[^/]*)?$/, (_, before: string, rest = '') => `${before};CAT=${token}${rest}`);
    else if (place === 'query') query.push(`CAT=${token}`);
    else if (place === 'cookie') cookies.push(['CAT', token]);
    else if (place === 'authorization') add('authorization', `Bearer ${token}`);
    else if (place === 'dpop') add('authorization', `dpop  ${token}`);
    else if (place === 'other-header') add('common-access-token', token);
    else add('cta-common-access-token', place === 'string' ? `"${token}"; v=1` : token);
  }
  return {
    method: facts.method,
    uri: uri.split('?')[0] ?? '/',
    query: query.join('&'),
    headers,
    cookies,
    ip: facts.ip,
  };
}
