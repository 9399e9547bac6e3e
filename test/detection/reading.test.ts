import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { addressToHex, parseAddressCsv, placeName, rangeOfNetwork } from '../../revoker/detection/addresses.js';
import { parseDetectionConfig } from '../../revoker/detection/config.js';
import { duckdb, literal } from '../../revoker/detection/dialect.js';
import { readSession } from '../../revoker/detection/features.js';
import { mapFields, realTimeFields, standardFields } from '../../revoker/detection/fields.js';
import { requestRows, signatureEnds, tokenFacts } from '../../revoker/detection/requests.js';
import { sparkline } from '../../revoker/detection/sparkline.js';
import { sessionOfToken } from '../../revoker/detection/token-session.js';

/** A CAT by hand: claims in hexadecimal, a MAC of 32 bytes. */
function cat(claims: string, kid = '4b6d61696e2d323032363031', mac = 'ab'.repeat(32)): string {
  const length = claims.length / 2;
  const payload =
    length < 24
      ? (0x40 + length).toString(16)
      : length < 256
        ? `58${length.toString(16).padStart(2, '0')}`
        : `59${length.toString(16).padStart(4, '0')}`;
  return Buffer.from(`d18443a10105a104${kid}${payload}${claims}5820${mac}`, 'hex').toString('base64url');
}

const jwt = (claims: object): string =>
  `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${'x'.repeat(43)}`;
const text = (value: string): string => (0x60 + value.length).toString(16) + Buffer.from(value).toString('hex');
const handle = '00112233445566778899aabbccddeeff';
const otherHandle = 'ffeeddccbbaa99887766554433221100';
const asSession = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');
const times = '041a65432100061a65432100';
const cti = '0750000102030405060708090a0b0c0d0e0f';

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, unknown>[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

describe('whose a token is', () => {
  const cases: [string, string, { session: string; sessionKind: string }, string | null][] = [
    [
      'a CAT with a session',
      cat(`a5${`01${text('issuer')}`}${`02${text('alice')}`}${times}3a0001000050${handle}`),
      { session: asSession(handle), sessionKind: 'session' },
      'alice',
    ],
    [
      "a CAT with a session and the session's end",
      cat(`a601${text('issuer')}02${text('bob')}${times}3a0001000050${handle}3a000100011a65432100`),
      { session: asSession(handle), sessionKind: 'session' },
      'bob',
    ],
    [
      'a CAT without issuer',
      cat(`a402${text('carol')}${times}3a0001000050${handle}`),
      { session: asSession(handle), sessionKind: 'session' },
      'carol',
    ],
    [
      'a CAT with a token id alone',
      cat(`a4${times}${cti}`),
      { session: asSession('000102030405060708090a0b0c0d0e0f'), sessionKind: 'token' },
      null,
    ],
    [
      'a CAT with a short token id',
      cat(`a4${times}0748aabbccddeeff0011`),
      { session: asSession('aabbccddeeff0011'), sessionKind: 'token' },
      null,
    ],
    [
      'a JWT with a session',
      jwt({ sid: asSession(handle), sub: 'dave' }),
      { session: asSession(handle), sessionKind: 'session' },
      'dave',
    ],
    ['a JWT with a token id alone', jwt({ jti: 'id-7' }), { session: 'id-7', sessionKind: 'token' }, null],
    ['a JWT whose id looks like bytes', jwt({ jti: '20260614' }), { session: '20260614', sessionKind: 'token' }, null],
    [
      'a JWT whose session looks like bytes',
      jwt({ sid: 'AB'.repeat(16) }),
      { session: 'AB'.repeat(16), sessionKind: 'session' },
      null,
    ],
    [
      'a JWT with a session and an account too long for a name',
      jwt({ sid: 's'.repeat(201), jti: 'é'.repeat(200), sub: 'a'.repeat(201) }),
      { session: 'é'.repeat(200), sessionKind: 'token' },
      null,
    ],
  ];

  it.each(cases)('%s', async (_name, token, expected, subject) => {
    const [row] = await query(tokenFacts(duckdb, `(select ${literal(token)} as text) given`, []));
    expect(readSession(String(row?.['session_text']))).toEqual(expected);
    expect(row?.['subject'] ?? null).toBe(subject);
    expect(sessionOfToken(token)).toMatchObject(expected);
  });

  it("is not what a subject's name says: a name that spells the session claim frames nobody", async () => {
    const spelled = `3a0001000050${otherHandle}`;
    const name = `78${(spelled.length / 2).toString(16).padStart(2, '0')}${spelled}`;
    const token = cat(`a502${name}${times}3a0001000050${handle}`);
    const [row] = await query(tokenFacts(duckdb, `(select ${literal(token)} as text) given`, []));
    expect(readSession(String(row?.['session_text'])).session).toBe(asSession(handle));
    expect(sessionOfToken(token).session).toBe(asSession(handle));
  });

  it('is not what a subject spells that ends like a signature of no known length', async () => {
    const spelled = `3a0001000050${otherHandle}590100`;
    const name = `78${(spelled.length / 2).toString(16).padStart(2, '0')}${spelled}`;
    const token = cat(`a502${name}${times}3a0001000050${handle}`);
    const [row] = await query(tokenFacts(duckdb, `(select ${literal(token)} as text) given`, []));
    expect(readSession(String(row?.['session_text'])).session).toBe(asSession(handle));
    expect(sessionOfToken(token).session).toBe(asSession(handle));
  });

  it.each(signatureEnds)(
    'is read in front of a signature of every length: %s and %i digits',
    async (header, digits) => {
      const whole = Buffer.from(cat(`a402${text('carol')}${times}3a0001000050${handle}`), 'base64url').toString('hex');
      const token = Buffer.from(`${whole.slice(0, -68)}${header}${'ab'.repeat(digits / 2)}`, 'hex').toString(
        'base64url',
      );
      const [row] = await query(tokenFacts(duckdb, `(select ${literal(token)} as text) given`, []));
      expect(readSession(String(row?.['session_text'])).session).toBe(asSession(handle));
      expect(sessionOfToken(token).session).toBe(asSession(handle));
    },
  );

  it.each(['not-a-token-but-long-enough-to-be-taken-for-one-0000', '....', 'a.b.c', 'é'.repeat(50)])(
    'goes by a hash where nothing else is to be had: %s',
    async (token) => {
      const [row] = await query(tokenFacts(duckdb, `(select ${literal(token)} as text) given`, []));
      expect(String(row?.['session_text'])).toMatch(/^h:[0-9a-f]{64}$/);
      expect(sessionOfToken(token)).toEqual({ ...readSession(String(row?.['session_text'])), subject: undefined });
    },
  );
});

describe('where a token stands', () => {
  const token = `eyJ${'T'.repeat(57)}`;
  it.each([
    [
      'behind a prefix',
      [{ kind: 'path', mode: 'prefix', prefix: '/live' }],
      `/live/${token}/ch1/v5/seg_7.m4s`,
      '-',
      '-',
    ],
    [
      'behind a marker',
      [{ kind: 'path', mode: 'marker', prefix: '/~t' }],
      `/~t/${token}/live/ch1/v5/seg_7.m4s`,
      '-',
      '-',
    ],
    ['in the query, padded', [{ kind: 'query' }], '/live/ch1/v5/seg_7.m4s', `CAT=${token}%3D`, '-'],
    ['in the query, padded and encoded again', [{ kind: 'query' }], '/live/ch1/v5/seg_7.m4s', `CAT=${token}%253d`, '-'],
    [
      'behind a prefix, padded',
      [{ kind: 'path', mode: 'prefix', prefix: '/live' }],
      `/live/${token}==/ch1/v5/seg_7.m4s`,
      '-',
      '-',
    ],
    [
      'behind a marker of its own',
      [{ kind: 'path', mode: 'marker', marker: '/x' }],
      `/x/${token}/live/ch1/v5/seg_7.m4s`,
      '-',
      '-',
    ],
    ['first', [{ kind: 'path', mode: 'first' }], `/${token}/live/ch1/v5/seg_7.m4s`, '-', '-'],
    ['in the query', [{ kind: 'query' }], '/live/ch1/v5/seg_7.m4s', `a=1&CAT=${token}&b=2`, '-'],
    [
      'in a query parameter of another name',
      [{ kind: 'query', name: 'token' }],
      '/live/ch1/v5/seg_7.m4s',
      `token=${token}`,
      '-',
    ],
    ['in a path parameter', [{ kind: 'path-parameter' }], `/live/ch1/v5/seg_7.m4s;CAT=${token}`, '-', '-'],
    ['in a cookie', [{ kind: 'cookie' }], '/live/ch1/v5/seg_7.m4s', '-', `a=b;%20CAT=${token};%20c=d`],
  ])('%s', async (_where, placements, path, given, cookie) => {
    const config = parseDetectionConfig({ placements });
    const fields = { path: 'p', query: 'q', cookie: 'c', status: 's' };
    const relation = `(select ${literal(path)} as p, ${literal(given)} as q, ${literal(cookie)} as c, '200' as s) line`;
    const [row] = await query(
      `select token_text, content, rendition, file, media from (${requestRows(duckdb, relation, fields, config)})`,
    );
    expect(row).toEqual({ token_text: token, content: 'ch1', rendition: 'v5', file: 'seg_7.m4s', media: 1 });
  });
});

describe('what a request says of its player', () => {
  const fields = { path: 'p', query: 'q', agent: 'a', headers: 'h', status: 's' };
  const config = parseDetectionConfig();
  async function told(given: { query?: string; agent?: string; headers?: string }): Promise<Record<string, unknown>> {
    const { query: q = '-', agent = 'Mozilla/5.0', headers = '-' } = given;
    const line = `(select '/live/x/ch1/v5/seg_7.m4s' as p, ${literal(q)} as q, ${literal(agent)} as a, ${literal(headers)} as h, '200' as s) line`;
    const [row] = await query(
      `select player, hash('4f2c-9') as same, object_type, duration, cmcd, tool from (${requestRows(duckdb, line, fields, config)})`,
    );
    return { ...row, player: row?.['player'] === row?.['same'] };
  }

  const headers =
    'Host:video.example.tv\nCMCD-Object:br=3200,d=4004,ot=v\nCMCD-Session:cid="final",sid="4f2c-9",v=2\nCookie:sid="other"';
  it.each([
    ['in the query', { query: 'CMCD=br%3D3200%2Cd%3D4004%2Cot%3Dv%2Csid%3D%224f2c-9%22' }],
    ['in the query, the duration first', { query: 'CMCD=d%3D4004%2Cot%3Dv%2Csid%3D%224f2c-9%22' }],
    [
      'in the query, encoded twice',
      { query: 'CMCD=br%253D3200%252Cd%253D4004%252Cot%253Dv%252Csid%253D%25224f2c-9%2522' },
    ],
    ['in headers', { headers }],
    ['in headers that the log has encoded', { headers: encodeURIComponent(headers) }],
    ['in headers of HTTP/2, in small letters', { headers: headers.replaceAll('CMCD-', 'cmcd-') }],
  ])('CMCD %s', async (_where, given) => {
    const row = await told(given);
    expect({ ...row, object_type: String(row['object_type']).slice(0, 1) }).toMatchObject({
      player: true,
      object_type: 'v',
      duration: '4004',
      cmcd: 1,
    });
  });

  it('is not looked for in other headers', async () => {
    const row = await told({ headers: 'CMCD-Status:bs\nCookie:a=1, sid="4f2c-9", d=4004' });
    expect(row).toMatchObject({ player: false, object_type: null, duration: null, cmcd: 1 });
    expect(await told({ headers: encodeURIComponent('CMCD-Status:bs\nCookie:a=1, sid="4f2c-9"') })).toMatchObject({
      player: false,
    });
  });

  it.each([
    ['curl/8.9.1', 1],
    ['Curl/8.9.1', 1],
    ['N_m3u8DL-RE/0.3', 1],
    ['wget', 1],
    ['curling-app/2.0', 0],
    ['Mozilla/5.0%20(like%20curl/8)', 0],
    ['n.m3u8dl-re/1', 0],
    ['', 0],
  ])('is a downloading tool by its first product alone: %s', async (agent, tool) => {
    expect(await told({ agent })).toMatchObject({ tool });
  });
});

describe('addresses', () => {
  const addresses = [
    '203.0.113.9',
    '0.0.0.0',
    '255.255.255.255',
    '2001:db8::1',
    '::',
    '::ffff',
    '2001:0db8:0000:0100:0000:0000:0000:0001',
    'fe80::1:2:3:4',
  ];
  it('are written alike by SQL and by code', async () => {
    const rows = await query(
      `select a, ${duckdb.addressHex('a')} as hex from (values ${addresses.map((address) => `(${literal(address)})`).join(', ')}) t(a)`,
    );
    expect(rows.map((row) => [row['a'], row['hex']])).toEqual(
      addresses.map((address) => [address, addressToHex(address)]),
    );
  });

  it.each(['256.1.1.1', '1.2.3', 'host', '', '-', '1:2:3:4:5:6:7:8:9'])(
    'that are none are none: %s',
    async (address) => {
      const [row] = await query(`select ${duckdb.addressHex('a')} as hex from (select ${literal(address)} as a)`);
      expect(row?.['hex'] ?? undefined).toBe(addressToHex(address));
      expect(addressToHex(address)).toBeUndefined();
    },
  );

  it('belong to networks with names', () => {
    expect(placeName((addressToHex('203.0.113.9') as string).slice(0, 30))).toBe('203.0.113.0/24');
    expect(placeName((addressToHex('2001:db8:0:1ff::1') as string).slice(0, 14))).toBe('2001:db8:0:100::/56');
    expect(placeName('AS13335')).toBe('AS13335');
    expect(rangeOfNetwork('10.0.0.0/8')).toEqual({
      first: '00000000000000000000FFFF0A000000',
      last: '00000000000000000000FFFF0AFFFFFF',
    });
  });

  it('are looked up in a CSV with networks or ranges', () => {
    expect(parseAddressCsv('network,asn,country,hosting\n10.0.0.0/8,AS64500,us,true\nnonsense,1,US,0\n')).toMatchObject(
      [{ asn: 64500, country: 'US', hosting: true }],
    );
    expect(parseAddressCsv('start_ip,end_ip,asn\n"10.0.0.0","10.0.0.9",64501\n')).toMatchObject([
      { asn: 64501, hosting: false },
    ]);
    expect(() => parseAddressCsv('a,b\n1,2\n')).toThrow(/neither network/);
  });
});

it('knows the fields of standard logs and real-time logs by their names', () => {
  expect(mapFields(standardFields)).toMatchObject({ address: 'c-ip', agent: 'cs(User-Agent)', cookie: 'cs(Cookie)' });
  expect(mapFields(realTimeFields)).toMatchObject({
    timestamp: 'timestamp',
    country: 'c-country',
    'cmcd-session': 'cmcd-session-id',
  });
  expect(mapFields(['cs_uri_stem', 'C_IP', 'timestamp(ms)'])).toMatchObject({
    path: 'cs_uri_stem',
    address: 'C_IP',
    'timestamp-ms': 'timestamp(ms)',
  });
});

it('draws the largest of each group as the highest bar', () => {
  expect(sparkline([0, 1, 4, 8], 4)).toBe(' ▁▄█');
  expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 4)).toBe('▂▄▆█');
  expect(sparkline([])).toBe('');
});
