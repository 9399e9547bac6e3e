import {
  Tagged,
  keyRecord,
  makeCat,
  makeJwt,
  revocationBucket,
  revocationPlace,
  type Claims,
} from '../../test/engine/token-maker.js';
import { viewerRequestEvent } from '../engine/index.js';
import type { EdgeRequest } from './edge-cost.js';

const key = Buffer.from('a benchmark key of 32 bytes long');
const kid = 'bench-key-1';
const now = 1_800_000_000;
const session = Buffer.from('session-16-bytes');
const tokenId = Buffer.from('token-id-16-byte');
const path = '/live/channel-1/video/1080p/segment-001234.m4s';

/** A segment request as a browser's player sends it, its token first in the path. */
function request(token: string, store: Readonly<Record<string, string>>): EdgeRequest {
  return {
    event: viewerRequestEvent({
      uri: `/${token}${path}`,
      headers: {
        accept: '*/*',
        'accept-encoding': 'gzip, deflate, br, zstd',
        'accept-language': 'en-GB,en;q=0.9',
        origin: 'https://www.example.com',
        referer: 'https://www.example.com/',
        'sec-fetch-dest': 'empty',
        'sec-fetch-mode': 'cors',
        'sec-fetch-site': 'cross-site',
        'user-agent':
          'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
        'cloudfront-viewer-country': 'GB',
        'cloudfront-viewer-country-region': 'ENG',
        'cloudfront-viewer-asn': '64500',
        'cloudfront-viewer-http-version': '2.0',
        'cloudfront-viewer-tls': 'TLSv1.3:TLS_AES_128_GCM_SHA256:sessionResumed',
        'cloudfront-viewer-latitude': '51.50853',
        'cloudfront-viewer-longitude': '-0.12574',
      },
    }),
    store,
    now: now * 1000,
  };
}

/** The key's record, and every bucket the token's revocation may be looked up in as full as 400,000 live ones make it. */
function store(record: Readonly<Record<string, unknown>>, places: readonly (readonly [string, string])[]) {
  const entries: Record<string, string> = { [`k:${kid}`]: keyRecord(key, record) };
  for (const [scope, id] of places) entries[revocationPlace(scope, id).key] = revocationBucket(50);
  return entries;
}

const catPlaces = [
  ['t', tokenId.toString('base64url')],
  ['s', session.toString('base64url')],
] as const;

const typicalClaims: Claims = {
  exp: now + 3600,
  nbf: now - 60,
  catu: new Map([[3, new Map([[1, '/live/channel-1/']])]]),
  catm: ['GET', 'HEAD'],
  catgeoiso3166: ['GB'],
  session,
};

/** The design's typical request: exp, nbf, catu path prefix, catm, country; the session looked up in the revocations. */
export const catTypical = request(makeCat({ key, kid, claims: typicalClaims }), store({}, catPlaces));

/** The same with an id of the token's own, which is looked up, too. */
export const catWithId = request(
  makeCat({ key, kid, claims: { ...typicalClaims, cti: tokenId } }),
  store({}, catPlaces),
);

/** The same policy as a JWT. */
export const jwtTypical = request(
  makeJwt({
    key,
    kid,
    claims: {
      exp: now + 3600,
      nbf: now - 60,
      catu: { path: { prefix: '/live/channel-1/' } },
      catm: ['GET', 'HEAD'],
      catgeoiso3166: ['GB'],
      sid: session.toString('base64url'),
    },
  }),
  store({}, catPlaces),
);

/** A segment that begins as a CAT does (tags 61 and 17, an array of four, a byte string) and goes on with noise. */
export const garbage = request(
  Buffer.from([
    0xd8,
    0x3d,
    0xd1,
    0x84,
    ...Array.from({ length: 146 }, (_, place) => (place * 167 + 64) & 255),
  ]).toString('base64url'),
  store({}, catPlaces),
);

/** A well-formed token under a known kid with a wrong MAC: the dearest thing a stranger can send. */
export const forged = request(
  makeCat({ key: Buffer.from('another key of thirty-two bytes!'), kid, claims: typicalClaims }),
  store({}, catPlaces),
);

/** Every claim that a CloudFront Function can decide in the affirmative, in one token. */
export const everything = request(
  makeCat({
    key,
    kid,
    claims: {
      iss: 'https://issuer.example.com',
      sub: 'account-4711',
      aud: ['https://video.example.com', 'second audience'],
      exp: now + 3600,
      nbf: now - 60,
      iat: now - 60,
      cti: tokenId,
      geohash: ['gc', 'u1'],
      catreplay: 0,
      catpor: [0, tokenId, now + 3600],
      catv: 1,
      // RFC 9164 3.1.2: prefixes of IPv6 and IPv4, trailing zero bytes cut; then an ASN.
      catnip: [
        new Tagged(54, [32, Buffer.from('20010db8', 'hex')]),
        new Tagged(52, [24, Buffer.from('cb0071', 'hex')]),
        64500,
      ],
      catu: new Map<number, Map<number, unknown>>([
        [0, new Map([[0, 'https']])],
        [1, new Map([[2, '.example.com']])],
        [
          3,
          new Map<number, unknown>([
            [1, '/live/'],
            [4, ['^/live/(channel-[0-9]+)/', 'channel-1']],
          ]),
        ],
        [5, new Map([[3, '/video/']])],
        [6, new Map([[1, 'segment-']])],
        [7, new Map([[1, 'segment-']])],
        [8, new Map([[0, '.m4s']])],
      ]),
      catm: ['GET', 'HEAD'],
      catalpn: [Buffer.from('h3'), Buffer.from('h2')],
      cath: new Map([['user-agent', new Map([[3, 'Chrome/']])]]),
      catgeoiso3166: ['GB-ENG', 'IE'],
      catif: new Map([[4, [302, { Location: ['https://www.example.com/expired'] }]]]),
      catr: new Map<number, unknown>([
        [0, 2],
        [1, 120],
        [2, 30],
      ]),
      session,
      sxp: now + 36_000,
    },
  }),
  store({ iss: ['https://issuer.example.com'], paths: ['/live'] }, [
    ...catPlaces,
    ['u', 'account-4711'],
    ['x', 'account-4711\nchannel-1'],
    ['c', 'channel-1'],
    ['p', tokenId.toString('base64url')],
  ]),
);
