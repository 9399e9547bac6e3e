import { Float } from '../../engine/token-maker.js';
import { forms, map, onlyCat, same, table } from '../case.js';

// The viewer is in San Francisco (US-CA), at 37.7749 -122.4194: geohash 9q8y….
const elsewhere = { viewer: 'country=MX; region=CMX; lat=19.43; lon=-99.13' };
const unknown = { viewer: 'country=' };

export const places = [
  ...table('4.6.14', 'catgeoiso3166', [
    ['the viewer\u2019s country', same({ catgeoiso3166: ['US'] }), 'admitted'],
    ['one of several countries', same({ catgeoiso3166: ['CA', 'MX', 'US'] }), 'admitted'],
    ['a country in lower case', same({ catgeoiso3166: ['us'] }), 'admitted'],
    ['the viewer\u2019s region', same({ catgeoiso3166: ['US-CA'] }), 'admitted'],
    ['a region in mixed case', same({ catgeoiso3166: ['uS-cA'] }), 'admitted'],
    ['a region of digits', same({ catgeoiso3166: ['FR-75'] }), 'admitted', { viewer: 'country=FR; region=75' }],
    ['Kosovo, which CloudFront reports as XK', same({ catgeoiso3166: ['XK'] }), 'admitted', { viewer: 'country=XK' }],
    [
      'fifty countries and regions',
      same({ catgeoiso3166: [...Array.from({ length: 49 }, (_, i) => `MX-${i}`), 'US'] }),
      'admitted',
    ],
    ['another country', same({ catgeoiso3166: ['CA', 'MX'] }), 'country_mismatch'],
    ['another region of the country', same({ catgeoiso3166: ['US-NY'] }), 'country_mismatch'],
    [
      'a region of the same letters in another country',
      same({ catgeoiso3166: ['US-CMX'] }),
      'country_mismatch',
      elsewhere,
    ],
    ['the letters of a region are no country', same({ catgeoiso3166: ['CA'] }), 'country_mismatch'],
    ['a country that is not known', same({ catgeoiso3166: ['US'] }), 'country_mismatch', unknown],
    ['a region that is not known', same({ catgeoiso3166: ['US-CA'] }), 'country_mismatch', { viewer: 'country=US' }],
    [
      'not known, where the deployment lets it pass',
      same({ catgeoiso3166: ['US'] }),
      'admitted',
      { ...unknown, build: 'lenient' },
      { log: { u: [316] } },
    ],
    [
      'known and another, where the deployment lets unknown ones pass',
      same({ catgeoiso3166: ['US'] }),
      'country_mismatch',
      { ...elsewhere, build: 'lenient' },
    ],
    ['a code that is not assigned', same({ catgeoiso3166: ['ZZ'] }), 'invalid_claim'],
    ['a code that is not assigned, beside the right one', same({ catgeoiso3166: ['US', 'QQ'] }), 'invalid_claim'],
    ['UK, which is reserved, not assigned', same({ catgeoiso3166: ['UK'] }), 'invalid_claim'],
    ['three letters', same({ catgeoiso3166: ['USA'] }), 'invalid_claim'],
    ['one letter', same({ catgeoiso3166: ['U'] }), 'invalid_claim'],
    ['an empty code', same({ catgeoiso3166: [''] }), 'invalid_claim'],
    ['an empty code behind the right one', same({ catgeoiso3166: ['US', ''] }), 'invalid_claim'],
    ['a region of nothing', same({ catgeoiso3166: ['US-'] }), 'invalid_claim'],
    ['a region of four characters', same({ catgeoiso3166: ['US-CALI'] }), 'invalid_claim'],
    ['a country and region by underscore', same({ catgeoiso3166: ['US_CA'] }), 'invalid_claim'],
    ['digits for a country', same({ catgeoiso3166: ['84'] }), 'invalid_claim'],
    ['a text alone', same({ catgeoiso3166: 'US' }), 'invalid_claim'],
    ['a list of nothing', same({ catgeoiso3166: [] }), 'invalid_claim'],
    ['a number', same({ catgeoiso3166: [840] }), 'invalid_claim'],
    ['a byte string', onlyCat({ catgeoiso3166: [Buffer.from('US')] }), 'invalid_claim'],
  ]),
  ...table('4.6.15', 'catgeocoord', [
    ['a circle in the clear', same({ catgeocoord: [[37.5, -122.5, 50_000]] }), 'invalid_claim'],
    [
      'several circles in the clear',
      same({
        catgeocoord: [
          [37.5, -122.5, 1],
          [0.5, 0.5, 1],
        ],
      }),
      'invalid_claim',
    ],
    ['no list', same({ catgeocoord: 5 }), 'invalid_claim'],
    [
      'left out of the build',
      onlyCat({ catgeocoord: [[37.5, -122.5, 50_000]] }),
      'unsupported_claim',
      { build: 'leftOut' },
    ],
    [
      'left out of the build and ignored',
      same({ catgeocoord: [[37.5, -122.5, 50_000]] }),
      'admitted',
      { build: 'ignoring' },
    ],
  ]),
  ...table('4.6.16', 'geohash', [
    ['the viewer\u2019s cell of four characters', same({ geohash: '9q8y' }), 'admitted'],
    ['a cell of one character', same({ geohash: '9' }), 'admitted'],
    ['a cell in upper case', same({ geohash: '9Q8Y' }), 'admitted'],
    ['one of several cells', same({ geohash: ['u33d', '9q8y'] }), 'admitted'],
    ['the other side of the world', same({ geohash: 'r3gx' }), 'admitted', { viewer: 'lat=-33.87; lon=151.2' }],
    ['the neighbouring cell', same({ geohash: '9q8z' }), 'geo_mismatch'],
    ['several cells, none the viewer\u2019s', same({ geohash: ['u33d', 'r3gx'] }), 'geo_mismatch'],
    ['a place that is not known', same({ geohash: '9q8y' }), 'geo_mismatch', unknown],
    [
      'not known, where the deployment lets it pass',
      same({ geohash: '9q8y' }),
      'admitted',
      { ...unknown, build: 'lenient' },
    ],
    ['five characters in the clear', same({ geohash: '9q8yy' }), 'invalid_claim'],
    ['five characters beside the right cell', same({ geohash: ['9q8y', '9q8yy'] }), 'invalid_claim'],
    ['a letter that geohashes do not have', same({ geohash: '9q8a' }), 'invalid_claim'],
    ['an empty hash', same({ geohash: '' }), 'invalid_claim'],
    ['a number', same({ geohash: 9 }), 'invalid_claim'],
    ['a number in the list', same({ geohash: ['9q8y', 9] }), 'invalid_claim'],
    ['a list of nothing', same({ geohash: [] }), 'invalid_claim'],
    ['a byte string', onlyCat({ geohash: Buffer.from('9q8y') }), 'invalid_claim'],
  ]),
  ...table('4.6.17', 'catgeoalt', [
    ['an altitude in the clear', same({ catgeoalt: [16.5, 10] }), 'invalid_claim'],
    ['no list', forms({ catgeoalt: map([0, 1]) }, { catgeoalt: { altitude: 1 } }), 'invalid_claim'],
    ['an altitude of NaN (4.5)', onlyCat({ catgeoalt: [new Float(NaN, 2), 1] }), 'malformed_token'],
    ['left out of the build', onlyCat({ catgeoalt: [16.5, 10] }), 'unsupported_claim', { build: 'leftOut' }],
    ['left out of the build and ignored', same({ catgeoalt: [16.5, 10] }), 'admitted', { build: 'ignoring' }],
  ]),
];
