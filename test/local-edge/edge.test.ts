import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readViewer, startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { rawRequest, type RawAnswer } from './raw-http.js';

const functionsFolder = fileURLToPath(new URL('./functions/plain', import.meta.url));

let edge: LocalEdge;
/** Another one, set up differently in all that can be: another origin, behaviours, header policy and viewer-response. */
let other: LocalEdge;
/** First lines of the requests that the other edge's origin got. */
const received: string[] = [];
const otherOrigin = createServer((socket) => {
  socket.once('data', (chunk) => {
    received.push(chunk.toString('utf8').split('\r\n', 1)[0] ?? '');
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
});
beforeAll(async () => {
  await new Promise<void>((resolve) => otherOrigin.listen(0, '127.0.0.1', resolve));
  [edge, other] = await Promise.all([
    startLocalEdge({ functionsFolder }),
    startLocalEdge({
      functionsFolder,
      origin: `http://127.0.0.1:${(otherOrigin.address() as AddressInfo).port}`,
      guard: ['/live/*', '/echo/*', '/caf*'],
      viewerHeaders: ['cloudfront-viewer-asn'],
      viewerResponseRequest: 'modified',
    }),
  ]);
});
afterAll(async () => {
  await Promise.all([edge?.close(), other?.close()]);
  otherOrigin.close();
});

type Headers = readonly (readonly [string, string])[];
const ask = (target: string, headers: Headers = [], method = 'GET'): Promise<RawAnswer> =>
  rawRequest(edge.addresses.edge, target, { method, headers });

interface SeenEvent {
  event: {
    context: { requestId: string; eventType: string };
    viewer: { ip: string };
    request: {
      method: string;
      uri: string;
      querystring: Record<string, { value: string; multiValue?: { value: string }[] }>;
      headers: Record<string, { value: string; multiValue?: { value: string }[] }>;
      cookies: Record<string, { value: string; multiValue?: { value: string }[] }>;
    };
  };
  rawQuery: string;
  now: number;
  date: number;
  runs: number;
}

async function seen(target: string, headers: Headers = []): Promise<SeenEvent> {
  const answer = await ask(target, [['x-act', 'event'], ...headers]);
  expect(answer.status).toBe(200);
  return JSON.parse(answer.body) as SeenEvent;
}

interface Echo {
  method: string;
  target: string;
  headers: [string, string][];
}
const echoed = (answer: RawAnswer): Echo => JSON.parse(answer.body) as Echo;
const headerOf = (echo: Echo, name: string): string[] =>
  echo.headers.filter(([given]) => given === name).map(([, value]) => value);

describe('the event that viewer-request gets', () => {
  test.each([
    '/live/../secret',
    '/live/%2e%2e/secret',
    '/live/%2E./secret',
    '/a%2Fb',
    '/a%252Fb',
    '/a//b///c',
    '/a/./b',
    '/a;b=c/d',
    '/a\\b',
    '/a%00b',
    '/a%zz',
    '/a%',
    "/a'b(c)*!$,:@",
    '/a"b<c>d`e{f}|g^h',
  ])('holds the path %s as sent', async (path) => {
    expect((await seen(path)).event.request.uri).toBe(path);
  });

  test('holds the query undecoded, with several values of one name in multiValue, names case-sensitive', async () => {
    const { event, rawQuery } = await seen('/p?a=1%202&A=x&a=3&flag&empty=&__proto__=y&a=4=5');
    expect(rawQuery).toBe('a=1%202&A=x&a=3&flag&empty=&__proto__=y&a=4=5');
    expect(event.request.querystring['a']).toEqual({
      value: '1%202',
      multiValue: [{ value: '1%202' }, { value: '3' }, { value: '4=5' }],
    });
    expect(event.request.querystring['A']).toEqual({ value: 'x' });
    expect(event.request.querystring['flag']).toEqual({ value: '' });
    expect(Object.keys(event.request.querystring)).toContain('__proto__');
  });

  test('holds headers by lower-case name, repeated ones in multiValue, and cookies apart from them', async () => {
    const { event } = await seen('/p', [
      ['X-Twice', 'one'],
      ['x-twice', 'two'],
      ['Cookie', 'a=1; b=2; a=3'],
    ]);
    expect(event.request.headers['x-twice']).toEqual({
      value: 'one',
      multiValue: [{ value: 'one' }, { value: 'two' }],
    });
    expect(event.request.headers['cookie']).toBeUndefined();
    expect(event.request.cookies).toEqual({
      a: { value: '1', multiValue: [{ value: '1' }, { value: '3' }] },
      b: { value: '2' },
    });
  });

  test('shows neither x-sim-viewer nor headers that edge functions never see', async () => {
    const { event } = await seen('/p', [
      ['x-sim-viewer', 'country=DE'],
      ['x-edge-anything', '1'],
      ['X-Real-IP', '192.0.2.1'],
    ]);
    for (const name of ['x-sim-viewer', 'x-edge-anything', 'x-real-ip', 'connection']) {
      expect(event.request.headers[name]).toBeUndefined();
    }
  });

  test('reads bytes of 0x80 and more as ISO 8859-1, and sends them on as UTF-8', async () => {
    expect((await seen('/caf\u00e9')).event.request.uri).toBe('/caf\u00e9');
    expect((await rawRequest(other.addresses.edge, '/caf\u00e9?q=\u00e9')).status).toBe(200);
    expect(received).toContain('GET /caf\u00e9?q=\u00e9 HTTP/1.1');
  });

  test('names the simulated viewer and a request id of its own for each request', async () => {
    const first = await seen('/p', [['x-sim-viewer', 'ip=198.51.100.7']]);
    const second = await seen('/p');
    expect(first.event.viewer.ip).toBe('198.51.100.7');
    expect(second.event.viewer.ip).toBe('203.0.113.9');
    expect(first.event.context.requestId).not.toBe(second.event.context.requestId);
  });

  test('keeps the clock still within a run, and takes a simulated one', async () => {
    const real = await seen('/p');
    expect(real.now).toBe(real.date);
    const simulated = await seen('/p', [['x-sim-viewer', 'now=1800000000.25']]);
    expect(simulated.now).toBe(1_800_000_000_250);
    expect(simulated.date).toBe(1_800_000_000_250);
  });

  test('is handled by a fresh copy of the function each time', async () => {
    await seen('/p');
    expect((await seen('/p')).runs).toBe(1);
  });
});

describe("CloudFront's own viewer headers", () => {
  test('are made from the simulated viewer and replace what the viewer sent under those names', async () => {
    const { event } = await seen('/p', [
      ['CloudFront-Viewer-Country', 'FR'],
      ['x-sim-viewer', 'country=DE; region=BE; asn=64501; http=3.0; lat=52.5; lon=13.4; postal=10115'],
    ]);
    const { headers } = event.request;
    expect(headers['cloudfront-viewer-country']).toEqual({ value: 'DE' });
    expect(headers['cloudfront-viewer-country-region']).toEqual({ value: 'BE' });
    expect(headers['cloudfront-viewer-asn']).toEqual({ value: '64501' });
    expect(headers['cloudfront-viewer-http-version']).toEqual({ value: '3.0' });
    expect(headers['cloudfront-viewer-latitude']).toEqual({ value: '52.5' });
    expect(headers['cloudfront-viewer-postal-code']).toEqual({ value: '10115' });
    // A viewer that moved keeps nothing of the old place.
    expect(headers['cloudfront-viewer-metro-code']).toBeUndefined();
  });

  test('are absent where CloudFront does not know, even when the viewer sends one', async () => {
    const { event } = await seen('/p', [
      ['CloudFront-Viewer-Country', 'FR'],
      ['x-sim-viewer', 'country='],
    ]);
    expect(event.request.headers['cloudfront-viewer-country']).toBeUndefined();
  });

  test('come from the viewer, forged, once the policy no longer lists them', async () => {
    const answer = await rawRequest(other.addresses.edge, '/live/p', {
      headers: [
        ['x-act', 'event'],
        ['CloudFront-Viewer-Country', 'FR'],
        ['CloudFront-Viewer-ASN', '1'],
      ],
    });
    const { event } = JSON.parse(answer.body) as SeenEvent;
    expect(event.request.headers['cloudfront-viewer-country']).toEqual({ value: 'FR' });
    expect(event.request.headers['cloudfront-viewer-asn']).toEqual({ value: '64500' });
    expect(event.request.headers['cloudfront-viewer-latitude']).toBeUndefined();
  });

  test('an unreadable x-sim-viewer is answered 400 with what is wrong', async () => {
    const answer = await ask('/p', [['x-sim-viewer', 'contry=US']]);
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('contry=US');
    expect(() => readViewer('now=soon')).toThrow(/now must be a number/);
  });
});

describe('the request that goes on to the origin', () => {
  test('is what the viewer sent, byte for byte, when the function leaves it alone', async () => {
    const target = '/echo/../echo/%2e%2e/a//b;c=d?x=1&&y=%20&flag&x=2';
    const answer = await ask(target, [['Cookie', 'a=1;b=2']]);
    expect(answer.status).toBe(200);
    expect(echoed(answer).target).toBe(target);
    expect(headerOf(echoed(answer), 'cookie')).toEqual(['a=1;b=2']);
    expect(headerOf(echoed(answer), 'x-handed-over')).toEqual(['yes']);
    expect(headerOf(echoed(answer), 'x-forwarded-for')).toEqual(['203.0.113.9']);
  });

  test('carries what the function changed; multiValue wins over value', async () => {
    const echo = echoed(
      await ask('/echo/a?token=secret&keep=1%2B1&token=again', [
        ['x-act', 'multi'],
        ['Cookie', 'token=secret; keep=1; token=again'],
      ]),
    );
    expect(echo.target).toBe('/echo/a?keep=1%2B1&added=1&added=2');
    expect(headerOf(echo, 'cookie')).toEqual(['keep=1; added=yes']);
    expect(headerOf(echo, 'x-many')).toEqual(['one', 'two']);
  });

  test('goes to the rewritten path, which is the cache key in the log', async () => {
    const answer = await ask('/token/echo/a?q=1', [['x-act', 'uri']]);
    expect(echoed(answer).target).toBe('/echo/rewritten?q=1');
    const record = await logged(answer);
    expect(record['cs-uri-stem']).toBe('/token/echo/a');
    expect(record['sim-cache-uri']).toBe('/echo/rewritten?q=1');
  });
});

describe('what a function may not do', () => {
  test.each(['nothing', 'host', 'add-via', 'add-cache', 'upper', 'method', 'bad-status', 'number-header'])(
    '%s is a 502',
    async (act) => {
      const answer = await ask('/echo/a', [['x-act', act]]);
      expect(answer.status).toBe(502);
      expect(answer.headers['x-cache']).toEqual(['FunctionValidationError from cloudfront']);
    },
  );

  test.each(['throw', 'module', 'response-throw'])('%s is a 503', async (act) => {
    const answer = await ask('/echo/a', [['x-act', act]]);
    expect(answer.status).toBe(503);
    expect(answer.headers['x-cache']).toEqual(['FunctionExecutionError from cloudfront']);
  });

  test('viewer-response writing a read-only header is a 502', async () => {
    expect((await ask('/echo/a', [['x-act', 'response-via']])).status).toBe(502);
  });

  test('the runtime offers crypto, querystring and Buffer, and no network or timers', async () => {
    const answer = await ask('/p', [['x-act', 'runtime']]);
    expect(JSON.parse(answer.body)).toEqual({
      fetch: 'undefined',
      timers: 'undefined',
      hmac: '6afa9046a9579cad143a384c1b564b9a250d27d6f6a63f9f20bf3a7594c9e2c6',
      query: '1',
      buffer: 'a',
    });
  });
});

describe('answers', () => {
  test('that viewer-request makes reach the viewer without viewer-response', async () => {
    const answer = await ask('/echo/a', [['x-act', 'refuse']]);
    expect(answer.status).toBe(401);
    expect(answer.headers['x-cache']).toEqual(['FunctionGeneratedResponse from cloudfront']);
    expect(answer.headers['set-cookie']).toEqual(['gone=; Max-Age=0; Path=/']);
    expect(answer.headers['x-viewer-response']).toBeUndefined();
    expect(answer.body).toBe('{"error":"bad_signature"}');
  });

  test('of the origin pass viewer-response, which sees the original request and the same request id', async () => {
    const answer = await ask('/echo/a');
    expect(answer.headers['x-viewer-response']).toEqual(['original']);
    expect(answer.headers['x-same-request']).toEqual(answer.headers['x-amz-cf-id']);
    expect(answer.headers['set-cookie']).toEqual(['theme=dark; Path=/; HttpOnly', 'renewed=token; Path=/; Secure']);
  });

  test('show viewer-response the changed request when told to', async () => {
    const answer = await rawRequest(other.addresses.edge, '/echo/a');
    expect(answer.headers['x-viewer-response']).toEqual(['modified']);
  });

  test.each([
    ['the status', 'response-status-203', 203, /"target":"\/echo\/a"/],
    ['status and body', 'response-status-body-307', 307, /^new$/],
    ['status and an empty body', 'response-status-body-empty-307', 307, /^$/],
  ])('of the origin have %s that viewer-response gives them', async (_, act, status, body) => {
    const answer = await ask('/echo/a', [['x-act', act]]);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(body);
    expect(answer.headers['content-length']).toEqual([String(Buffer.byteLength(answer.body))]);
    expect(answer.headers['x-viewer-response']).toEqual(['original']);
  });

  test.each(['response-status-199', 'response-status-600'])('of viewer-response as %s are a 502', async (act) => {
    expect((await ask('/echo/a', [['x-act', act]])).status).toBe(502);
  });

  test.each([400, 404, 503])('of the origin with status %i pass without viewer-response', async (status) => {
    const answer = await ask(`/echo/a?status=${status}`);
    expect(answer.status).toBe(status);
    expect(answer.headers['x-viewer-response']).toBeUndefined();
    expect(answer.headers['set-cookie']).toEqual(['origin=1; Path=/', 'theme=dark; Path=/; HttpOnly']);
  });

  test('to HEAD have the headers and no body', async () => {
    const answer = await ask('/vod/ch1/master.m3u8', [], 'HEAD');
    expect(answer.status).toBe(200);
    expect(Number(answer.headers['content-length']?.[0])).toBeGreaterThan(100);
    expect(answer.body).toBe('');
    expect((await ask('/p', [['x-act', 'refuse']], 'HEAD')).body).toBe('');
  });

  test('to OPTIONS come from the function first, then from the origin', async () => {
    expect((await ask('/vod/ch1/master.m3u8', [['Origin', 'https://a.example']], 'OPTIONS')).status).toBe(204);
    expect((await ask('/p', [['x-act', 'refuse']], 'OPTIONS')).status).toBe(401);
  });

  test('to Range requests are parts', async () => {
    const whole = await ask('/vod/ch1/audio/init.mp4');
    const part = await ask('/vod/ch1/audio/init.mp4', [['Range', 'bytes=4-7']]);
    expect(part.status).toBe(206);
    expect(part.body).toBe('ftyp');
    expect(part.headers['content-range']).toEqual([`bytes 4-7/${whole.headers['content-length']?.[0]}`]);
    expect((await ask('/vod/ch1/audio/init.mp4', [['Range', 'bytes=99999999-']])).status).toBe(416);
  });

  test('over the limits are 413: a URL of more than 8,192 bytes, headers of more than 20,480', async () => {
    const path = (bytes: number): string => `/echo/${'a'.repeat(bytes - 6)}`;
    expect((await ask(path(8192))).status).toBe(200);
    expect((await ask(path(8193))).status).toBe(413);
    expect((await ask('/echo/a', [['x-long', 'a'.repeat(20_000)]])).status).toBe(200);
    expect((await ask('/echo/a', [['x-long', 'a'.repeat(20_480)]])).status).toBe(413);
  });

  test('to methods that CloudFront does not know are 403', async () => {
    expect((await ask('/echo/a', [], 'PROPFIND')).status).toBe(403);
  });
});

describe('the behaviour', () => {
  test('is chosen on the path as sent: a token in front takes a request out of /live/*', async () => {
    const through = async (target: string): Promise<boolean> =>
      (await rawRequest(other.addresses.edge, target, { headers: [['x-act', 'refuse']] })).status === 401;
    expect(await through('/live/ch1/master.m3u8')).toBe(true);
    expect(await through('/echo/guarded')).toBe(true);
    expect(await through('/token/live/ch1/master.m3u8')).toBe(false);
    expect(await through('/%6cive/ch1/master.m3u8')).toBe(false);
    expect(await through('/Live/ch1/master.m3u8')).toBe(false);
  });
});

describe('the KeyValueStore', () => {
  const readKey = async (key: string, viewer = ''): Promise<Record<string, unknown>> => {
    const answer = await ask('/p', [
      ['x-act', 'kvs'],
      ['x-key', key],
      ['x-sim-viewer', viewer],
    ]);
    return JSON.parse(answer.body) as Record<string, unknown>;
  };

  test('holds the demo key, put there through the real client', async () => {
    const { value, json } = await readKey('k:demo');
    expect(json).toMatchObject({ alg: 'HS256' });
    expect(value).toBe(JSON.stringify(json));
  });

  test('rejects a missing key, and every read when a fault is simulated', async () => {
    expect(await readKey('none')).toEqual({ exists: false, error: 'KeyNotFound' });
    expect(await readKey('k:demo', 'kvs=error')).toEqual({ error: 'KeyValueStore internal error' });
    expect(await readKey('k:demo', 'kvs=error:k')).toEqual({ error: 'KeyValueStore internal error' });
    expect(await readKey('k:demo', 'kvs=error:r')).toMatchObject({ exists: true });
  });
});

async function logged(answer: RawAnswer): Promise<Record<string, unknown>> {
  const id = answer.headers['x-amz-cf-id']?.[0];
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const lines = (await readFile(edge.addresses.accessLog, 'utf8')).split('\n').filter((line) => line !== '');
    const record = lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((item) => item['x-edge-request-id'] === id);
    if (record) return record;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no record of request ${id}`);
}

describe('the access log', () => {
  test('has one record a request, under the names of the real-time log', async () => {
    const answer = await ask('/echo/a%20b?x=1&CMCD=bl%3D2100%2Cbr%3D560%2Cbs%2Csid%3D%22abc%22', [
      ['User-Agent', 'Player 1.0 (test)'],
      ['Referer', 'https://page.example/'],
      ['Cookie', 'a=1'],
      ['x-sim-viewer', 'country=DE; ip=198.51.100.7; asn=64501'],
    ]);
    expect(await logged(answer)).toMatchObject({
      'c-ip': '198.51.100.7',
      'c-country': 'DE',
      asn: '64501',
      'sc-status': 200,
      'sc-bytes': Buffer.byteLength(answer.body),
      'cs-method': 'GET',
      'cs-uri-stem': '/echo/a%20b',
      'cs-uri-query': 'x=1&CMCD=bl%3D2100%2Cbr%3D560%2Cbs%2Csid%3D%22abc%22',
      'cs-user-agent': 'Player%201.0%20(test)',
      'cs-referer': 'https://page.example/',
      'cs-cookie': 'a=1',
      'x-edge-result-type': 'Miss',
      'cmcd-buffer-length': '2100',
      'cmcd-encoded-bitrate': '560',
      'cmcd-buffer-starvation': 'true',
      'cmcd-session-id': 'abc',
    });
  });

  test('tells refusals apart, with their reason', async () => {
    expect(await logged(await ask('/p', [['x-act', 'refuse']]))).toMatchObject({
      'sc-status': 401,
      'x-edge-result-type': 'FunctionGeneratedResponse',
      'sim-reason': 'bad_signature',
    });
  });

  test('keeps what functions write in a log of its own', async () => {
    const answer = await ask('/p', [
      ['x-act', 'kvs'],
      ['x-key', 'k:demo'],
    ]);
    await logged(answer);
    const lines = await readFile(edge.addresses.functionLog, 'utf8');
    expect(lines).toContain(`"x-edge-request-id":"${answer.headers['x-amz-cf-id']?.[0]}","message":"read k:demo"`);
  });
});
