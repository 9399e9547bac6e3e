import { describe, expect, it } from 'vitest';
import { parseDetectionConfig } from '../detection/index.js';
import { PoisonRecord, recordReader, shortHash } from './record.js';

const fields =
  'timestamp c-ip sc-status sc-bytes cs-method cs-uri-stem cs-uri-query cs-user-agent cs-headers c-country asn cmcd-session-id cmcd-object-type'.split(
    ' ',
  );
const token = `eyJ${'a'.repeat(20)}.${'b'.repeat(40)}.${'c'.repeat(43)}`;
const now = 1_800_000_000;

function line(values: Readonly<Record<string, string>>): string {
  const given: Record<string, string> = {
    timestamp: `${now - 5}.123`,
    'c-ip': '203.0.113.9',
    'sc-status': '200',
    'sc-bytes': '1000',
    'cs-method': 'GET',
    'cs-uri-stem': `/live/${token}/ch1/v5/seg-000042.m4s`,
    'cs-user-agent': 'Mozilla/5.0%20(X11)',
    'c-country': 'gb',
    asn: '64500',
    ...values,
  };
  return Buffer.from(`${fields.map((field) => given[field] ?? '-').join('\t')}\n`).toString('base64');
}

const read = recordReader(fields, parseDetectionConfig());
const of = (values: Readonly<Record<string, string>> = {}) => read(line(values), now);

describe('a record of a real-time log', () => {
  it('is a media request, without its token', () => {
    const found = of();
    expect(found).toMatchObject({ at: now - 5, asn: 64500, country: 'GB', track: 'video', position: 42, cmcd: false });
    expect(found?.player).toBeUndefined();
    expect(JSON.stringify(found)).not.toContain(token.slice(0, 30));
  });

  it.each([
    ['its own fields', { 'cmcd-session-id': 'play-1', 'cmcd-object-type': 'a' }],
    ['the query', { 'cs-uri-query': 'CMCD=ot%3Da%2Csid%3D%22play-1%22' }],
    ['a query that was encoded twice', { 'cs-uri-query': 'CMCD=ot%253Da%252Csid%253D%2522play-1%2522' }],
    ['headers as they were sent', { 'cs-headers': 'CMCD-Object:%20ot=a%0ACMCD-Session:%20sid="play-1"' }],
    ['headers, encoded', { 'cs-headers': 'cmcd-object:ot%3Da%0Acmcd-session:cid%3D%22x%22%2Csid%3D%22play-1%22' }],
  ])('has its CMCD from %s', (_, values) => {
    expect(of(values)).toMatchObject({ cmcd: true, track: 'audio', player: shortHash('play-1', 5) });
  });

  it('has CMCD that tells neither session nor type, as the feature query has it', () => {
    expect(of({ 'cs-headers': 'Host:%20a%0ACMCD-Request:%20bl=4000' })).toMatchObject({ cmcd: true });
    expect(of({ 'cs-uri-query': 'CMCD=bl%3D4000' })).toMatchObject({ cmcd: true });
    expect(of({ 'cs-headers': 'Host:%20a%0AX-Sid:%20sid="play-1"' })).toMatchObject({ cmcd: false });
  });

  it.each([
    ['a refusal', { 'sc-status': '403' }],
    ['a preflight', { 'cs-method': 'OPTIONS' }],
    ['a playlist', { 'cs-uri-stem': `/live/${token}/ch1/v5/index.m3u8` }],
    ['an initialisation segment', { 'cs-uri-stem': `/live/${token}/ch1/v5/init-1.m4s` }],
    ['a request without a token', { 'cs-uri-stem': '/live/ch1/v5/seg-000042.m4s' }],
  ])('%s is no evidence', (_, values) => {
    expect(of(values)).toBeUndefined();
  });

  it('is media whatever CMCD calls it', () => {
    for (const type of ['i', 'm', 'k', 'c']) expect(of({ 'cmcd-object-type': type })).toMatchObject({ position: 42 });
  });

  it.each([
    ['no time', { timestamp: '-' }],
    ['a time to come', { timestamp: String(now + 3600) }],
    ['no status', { 'sc-status': 'x' }],
    ['no address', { 'c-ip': '999.1.1.1' }],
  ])('with %s is set aside', (_, values) => {
    expect(() => of(values)).toThrow(PoisonRecord);
  });

  it('of other columns is set aside, and not quoted', () => {
    const text = Buffer.from(`1800000000\t${token}`).toString('base64');
    expect(() => read(text, now)).toThrow(/^2 columns where 13 are configured$/);
  });
});
