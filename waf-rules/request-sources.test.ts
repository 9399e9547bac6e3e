import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { parseAwsRanges, parseRangeList, parseRelayRanges } from './exceptions.js';
import { createLogReader, filesAt, readRequests } from './request-sources.js';
import { redactUri } from './simulation-report.js';
import { parseRequest } from './simulated-request.js';
import { toCidrs } from './addresses.js';

const standard =
  'date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-host-header';
const record = (...values: string[]): string => values.join('\t');

describe('standard logs', () => {
  const read = createLogReader();
  read('#Version: 1.0');
  read(`#Fields: ${standard}`);

  test('a record becomes the request it stands for', () => {
    const found = read(
      record(
        '2026-11-19',
        '20:00:01',
        'FRA2',
        '1',
        '2a02::1',
        'GET',
        'd.cloudfront.net',
        '/live/a%20b.m4s',
        '200',
        '-',
        'Mozilla/5.0%20(TV)',
        'CAT=abc&x=%41',
        'a=1;%20b=2',
        'cdn.example',
      ),
    );
    expect(found).toMatchObject({
      status: 200,
      request: {
        time: Date.parse('2026-11-19T20:00:01Z'),
        method: 'GET',
        path: '/live/a%20b.m4s',
        query: 'CAT=abc&x=%41',
        address: '2a02::1',
        headers: [
          ['user-agent', 'Mozilla/5.0 (TV)'],
          ['cookie', 'a=1; b=2'],
          ['host', 'cdn.example'],
        ],
      },
    });
    expect([...(found?.request.knownHeaders ?? [])].sort()).toEqual(['cookie', 'host', 'referer', 'user-agent']);
  });

  test('a cookie field of - may mean that cookies are not logged', () => {
    const found = read(
      record('2026-11-19', '20:00:01', 'X', '1', '1.2.3.4', 'GET', 'd', '/', '200', '-', '-', '-', '-', 'h'),
    );
    expect(found?.request.knownHeaders?.has('cookie')).toBe(false);
    expect(found?.request.query).toBe('');
  });

  test('blank lines are passed over; a record without an address is refused', () => {
    expect(read('')).toBeUndefined();
    expect(() => read(record('2026-11-19', '20:00:01'))).toThrowError(
      expect.objectContaining({ code: 'unreadable_log' }),
    );
  });
});

test('real-time logs: given fields, fractional seconds, country and network', () => {
  const read = createLogReader(['timestamp', 'c-ip', 'sc-status', 'cs-uri-stem', 'cs-user-agent', 'c-country', 'asn']);
  expect(read(record('1795118401.123', '1.2.3.4', '403', '/live/a', 'curl/8', 'DE', '3320'))).toMatchObject({
    status: 403,
    request: { time: 1795118401123, country: 'DE', asn: 3320, path: '/live/a' },
  });
});

test('a log without #Fields and without given fields is refused', () => {
  expect(() => createLogReader()('2026-11-19\t20:00:01')).toThrowError(
    expect.objectContaining({ code: 'unreadable_log' }),
  );
});

describe('files', () => {
  test('gzipped logs of a folder, hidden files left out, records in the order of their time', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waf-logs-'));
    try {
      const line = (time: string) =>
        record('2026-11-19', time, 'X', '1', '1.2.3.4', 'GET', 'd', '/', '200', '-', '-', '-', '-', 'h');
      writeFileSync(join(folder, 'a.gz'), gzipSync(`#Fields: ${standard}\n${line('20:00:09')}\n${line('20:00:01')}\n`));
      writeFileSync(join(folder, '.hidden'), 'x');
      expect(filesAt(folder)).toEqual([join(folder, 'a.gz')]);
      const times = (await readRequests(join(folder, 'a.gz'))).map((each) => each.request.time);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      writeFileSync(join(folder, 'b.gz'), 'not gzip');
      await expect(readRequests(join(folder, 'b.gz'))).rejects.toMatchObject({ code: 'unreadable_log' });
      writeFileSync(join(folder, 'c.jsonl'), '{oops\n');
      await expect(readRequests(join(folder, 'c.jsonl'))).rejects.toMatchObject({ code: 'invalid_request' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('requests in JSON', () => {
  test.each([
    [{ address: '1.2.3.4' }, /uri or path/],
    [{ uri: '/a' }, /address/],
    [{ uri: '/a', address: '1.2.3.4', time: 'yesterday' }, /time/],
    [{ uri: '/a', address: '1.2.3.4', colour: 'red' }, /colour/],
  ])('%j is refused with the field named', (input, message) => {
    expect(() => parseRequest(input)).toThrowError(message);
  });

  test('text beyond ASCII is its UTF-8 bytes', () => {
    expect(parseRequest({ uri: '/ä', address: '1.2.3.4' }).path).toBe('/Ã¤');
  });
});

test('examples never show a token, wherever it stands', () => {
  const token = `eyJ${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(43)}`;
  for (const uri of [`/live/${token}/a.ts`, `/a.ts;CAT=${token}`, `/a.ts?CAT=${token}&b=1`, `/a?x=%20${token}`]) {
    const shown = redactUri(parseRequest({ uri, address: '1.2.3.4' }));
    expect(shown).toContain('<token>');
    expect(shown).not.toMatch(/a{20}|b{20}|c{20}/);
  }
});

describe('lists of exceptions', () => {
  test('Apple’s list: neighbours merged, IPv6 kept', () => {
    const csv =
      '172.224.224.0/31,GB,GB-EN,London,\n172.224.224.2/31,GB,GB-EN,London,\n2a02:26f7:b3c0:4000::/64,US,US-CA,Cupertino,\n';
    expect(parseRelayRanges(csv)).toEqual(['172.224.224.0/30', '2a02:26f7:b3c0:4000::/64']);
  });

  test('AWS’s list: the services asked for', () => {
    const json = JSON.stringify({
      prefixes: [
        { ip_prefix: '15.177.0.0/18', service: 'ROUTE53_HEALTHCHECKS' },
        { ip_prefix: '3.0.0.0/15', service: 'AMAZON' },
      ],
      ipv6_prefixes: [{ ipv6_prefix: '2600:1f00::/40', service: 'ROUTE53_HEALTHCHECKS' }],
    });
    expect(parseAwsRanges(json, ['ROUTE53_HEALTHCHECKS'])).toEqual(['15.177.0.0/18', '2600:1f00::/40']);
    expect(() => parseAwsRanges('{}', [])).toThrowError(expect.objectContaining({ code: 'invalid_configuration' }));
  });

  test('plain lists: remarks and blank lines passed over', () => {
    expect(parseRangeList('# all\n\n11.0.0.1 # one\n11.1.0.0/16\n').flatMap(toCidrs)).toEqual([
      '11.0.0.1/32',
      '11.1.0.0/16',
    ]);
  });
});
