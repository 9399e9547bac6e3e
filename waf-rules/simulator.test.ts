import type { FieldToMatch, Rule, RuleAction, Statement, TextTransformationType } from '@aws-sdk/client-wafv2';
import { describe, expect, test } from 'vitest';
import { addressTable, parseRange } from './addresses.js';
import { createSimulator, type SimulationEnvironment } from './simulator.js';
import { parseRequest, type RequestInput, type SimulatedRequest } from './simulated-request.js';
import { all, any, bytes, field, label, labelNamespace, not, rate, transformations } from './statements.js';

const ruleWith = (Statement: Statement, more: Partial<Rule> = {}): Rule => ({
  Name: 'rule',
  Priority: 0,
  Statement,
  Action: { Block: {} },
  VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: 'rule', SampledRequestsEnabled: false },
  ...more,
});
const request = (input: Partial<RequestInput> = {}): SimulatedRequest =>
  parseRequest({ uri: '/live/ch1.m3u8?CAT=abc&b=2', address: '11.0.0.1', ...input });

/** Whether one statement matches one request. */
function matches(
  statement: Statement,
  input: Partial<RequestInput> = {},
  environment: SimulationEnvironment = {},
): boolean {
  return (
    createSimulator({ name: 'acl', rules: [ruleWith(statement)] }, environment).decide(request(input)).action ===
    'BLOCK'
  );
}

const regex = (component: FieldToMatch, RegexString: string, change: TextTransformationType[] = []): Statement => ({
  RegexMatchStatement: { FieldToMatch: component, RegexString, TextTransformations: transformations(change) },
});
const size = (
  component: FieldToMatch,
  ComparisonOperator: 'EQ' | 'NE' | 'LE' | 'LT' | 'GE' | 'GT',
  Size: number,
): Statement => ({
  SizeConstraintStatement: {
    FieldToMatch: component,
    ComparisonOperator,
    Size,
    TextTransformations: transformations([]),
  },
});
const headers = (
  MatchScope: 'KEY' | 'VALUE' | 'ALL',
  pattern: object = { All: {} },
  OversizeHandling = 'CONTINUE',
): FieldToMatch => ({ Headers: { MatchPattern: pattern, MatchScope, OversizeHandling } }) as FieldToMatch;
const cookies = (
  MatchScope: 'KEY' | 'VALUE' | 'ALL',
  pattern: object = { All: {} },
  OversizeHandling = 'CONTINUE',
): FieldToMatch => ({ Cookies: { MatchPattern: pattern, MatchScope, OversizeHandling } }) as FieldToMatch;
const body = (OversizeHandling = 'CONTINUE'): FieldToMatch => ({ Body: { OversizeHandling } }) as FieldToMatch;
const json = (more: object): FieldToMatch =>
  ({ JsonBody: { MatchPattern: { All: {} }, MatchScope: 'ALL', ...more } }) as FieldToMatch;
const contains = (component: FieldToMatch, text: string): Statement => bytes(component, 'CONTAINS', text);
const exactly = (component: FieldToMatch, text: string): Statement => bytes(component, 'EXACTLY', text);
const order = (OversizeHandling = 'CONTINUE'): FieldToMatch => ({ HeaderOrder: { OversizeHandling } }) as FieldToMatch;
const everyArgument: FieldToMatch = { AllQueryArguments: {} };

type Case = readonly [name: string, expected: boolean, statement: Statement, input?: Partial<RequestInput>];

const big = 'x'.repeat(8200);
const manyHeaders = Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`h${i}`, 'v']));
const xff = (value: string): Partial<RequestInput> => ({ headers: { 'x-forwarded-for': value } });
const forwardedSet = (
  Position: 'FIRST' | 'LAST' | 'ANY',
  FallbackBehavior: 'MATCH' | 'NO_MATCH' = 'NO_MATCH',
): Statement => ({
  IPSetReferenceStatement: {
    ARN: 'v4',
    IPSetForwardedIPConfig: { HeaderName: 'X-Forwarded-For', FallbackBehavior, Position },
  },
});
const forwardedGeo = (FallbackBehavior: 'MATCH' | 'NO_MATCH'): Statement => ({
  GeoMatchStatement: { CountryCodes: ['FR'], ForwardedIPConfig: { HeaderName: 'x-forwarded-for', FallbackBehavior } },
});
const ja = (kind: 'JA3Fingerprint' | 'JA4Fingerprint', FallbackBehavior: string): FieldToMatch =>
  ({ [kind]: { FallbackBehavior } }) as FieldToMatch;

const environment: SimulationEnvironment = {
  ipSet: (arn) =>
    arn === 'v4'
      ? addressTable(['11.0.0.0/24', '12.0.0.5/32'].map(parseRange))
      : arn === 'v6'
        ? addressTable([parseRange('2a00:1::/32')])
        : arn === 'empty'
          ? addressTable([])
          : undefined,
  regexSet: () => ['^/live/', '\\.mpd$'],
  locate: (address) => (address === '13.0.0.1' ? { country: 'FR', asn: 65000 } : undefined),
};

const families: Record<string, readonly Case[]> = {
  'byte match (API:ByteMatchStatement)': [
    ['EXACTLY the whole', true, exactly(field.path, '/live/ch1.m3u8')],
    ['EXACTLY not a part', false, exactly(field.path, '/live/')],
    ['STARTS_WITH', true, bytes(field.path, 'STARTS_WITH', '/live/')],
    ['STARTS_WITH not later', false, bytes(field.path, 'STARTS_WITH', 'live/')],
    ['ENDS_WITH', true, bytes(field.path, 'ENDS_WITH', '.m3u8')],
    ['ENDS_WITH not earlier', false, bytes(field.path, 'ENDS_WITH', '/live')],
    ['CONTAINS', true, contains(field.path, 'ch1')],
    ['CONTAINS not', false, contains(field.path, 'ch2')],
    ['is case-sensitive', false, contains(field.path, 'CH1')],
    [
      'CONTAINS_WORD at the beginning',
      true,
      bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'),
      { headers: { a: 'Bad bot' } },
    ],
    [
      'CONTAINS_WORD in the middle',
      true,
      bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'),
      { headers: { a: ';Bad;x' } },
    ],
    ['CONTAINS_WORD at the end', true, bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'), { headers: { a: '-Bad' } }],
    [
      'CONTAINS_WORD not inside a word',
      false,
      bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'),
      { headers: { a: 'BadBot' } },
    ],
    [
      'CONTAINS_WORD underscore belongs to the word',
      false,
      bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'),
      { headers: { a: 'Bad_' } },
    ],
    [
      'CONTAINS_WORD a later occurrence counts',
      true,
      bytes(field.header('a'), 'CONTAINS_WORD', 'Bad'),
      { headers: { a: 'BadBot Bad' } },
    ],
    ['bytes beyond ASCII', true, contains(field.header('a'), 'ä'), { headers: { a: 'xäx' } }],
    ['a missing component matches nothing', false, bytes(field.header('none'), 'STARTS_WITH', 'a')],
    ['after LOWERCASE', true, bytes(field.header('a'), 'EXACTLY', 'abc', ['LOWERCASE']), { headers: { a: 'ABC' } }],
    [
      'transformations run by priority',
      true,
      bytes(field.path, 'EXACTLY', '/a', ['URL_DECODE', 'LOWERCASE']),
      { uri: '/%41' },
    ],
    [
      'in the other order they find another',
      false,
      bytes(field.path, 'EXACTLY', '/a', ['LOWERCASE', 'URL_DECODE']),
      { uri: '/%41' },
    ],
    [
      'double decoding with two steps',
      true,
      bytes(field.path, 'EXACTLY', '/A', ['URL_DECODE', 'URL_DECODE']),
      { uri: '/%2541' },
    ],
    [
      'path normalised after decoding',
      true,
      bytes(field.path, 'EXACTLY', '/b', ['URL_DECODE', 'NORMALIZE_PATH']),
      { uri: '/a/%2e%2e/b' },
    ],
    [
      'white space compressed',
      true,
      bytes(field.header('a'), 'EXACTLY', 'a b', ['COMPRESS_WHITE_SPACE']),
      { headers: { a: 'a \t b' } },
    ],
  ],
  'components (waf-rule-statement-fields-list)': [
    ['path raw, not decoded', true, contains(field.path, '%2F'), { uri: '/a%2Fb' }],
    ['path raw, not normalised', true, contains(field.path, '/../'), { uri: '/a/../b' }],
    ['path without the query', false, contains(field.path, 'CAT')],
    ['query string', true, exactly(field.query, 'CAT=abc&b=2')],
    ['query string without the mark', false, contains(field.query, '?')],
    ['query string empty', true, size(field.query, 'EQ', 0), { uri: '/a' }],
    ['method', true, exactly(field.method, 'POST'), { method: 'POST' }],
    ['method is case-sensitive', false, exactly(field.method, 'post'), { method: 'POST' }],
    ['header by name in any case', true, exactly({ SingleHeader: { Name: 'X-A' } }, 'v'), { headers: { 'x-A': 'v' } }],
    ['header value is case-sensitive', false, exactly(field.header('x-a'), 'V'), { headers: { 'x-a': 'v' } }],
    ['a repeated header, any value', true, exactly(field.header('a'), '2'), { headers: { a: ['1', '2'] } }],
    [
      'a single header is inspected whole',
      true,
      bytes(field.header('a'), 'ENDS_WITH', 'end'),
      { headers: { a: `${big}end` } },
    ],
    ['query argument', true, exactly(field.queryArgument('CAT'), 'abc')],
    ['query argument by name in any case', true, exactly(field.queryArgument('cat'), 'abc')],
    ['query argument is not decoded', true, exactly(field.queryArgument('a'), '%41'), { uri: '/?a=%41' }],
    ['repeated query argument, any value', true, exactly(field.queryArgument('a'), '2'), { uri: '/?a=1&a=2' }],
    ['query argument missing', false, size(field.queryArgument('zz'), 'GE', 0)],
    ['query argument empty is there', true, size(field.queryArgument('a'), 'EQ', 0), { uri: '/?a=' }],
    ['all query arguments', true, exactly(everyArgument, '2')],
    ['all query arguments: values only', false, exactly(everyArgument, 'CAT')],
    ['header names', true, exactly(headers('KEY'), 'x-a'), { headers: { 'X-A': 'v' } }],
    ['header names only', false, exactly(headers('KEY'), 'v'), { headers: { 'x-a': 'v' } }],
    ['header values', true, exactly(headers('VALUE'), 'v'), { headers: { 'x-a': 'v' } }],
    ['header names or values', true, exactly(headers('ALL'), 'v'), { headers: { 'x-a': 'v' } }],
    [
      'included headers',
      true,
      exactly(headers('VALUE', { IncludedHeaders: ['X-B'] }), '2'),
      { headers: { 'x-a': '1', 'x-b': '2' } },
    ],
    [
      'not the others',
      false,
      exactly(headers('VALUE', { IncludedHeaders: ['X-B'] }), '1'),
      { headers: { 'x-a': '1', 'x-b': '2' } },
    ],
    [
      'excluded headers',
      false,
      exactly(headers('VALUE', { ExcludedHeaders: ['X-A'] }), '1'),
      { headers: { 'x-a': '1', 'x-b': '2' } },
    ],
    [
      'cookie value',
      true,
      exactly(cookies('VALUE', { IncludedCookies: ['a'] }), '1'),
      { headers: { cookie: 'b=2; a=1' } },
    ],
    [
      'cookie names are exact',
      false,
      exactly(cookies('VALUE', { IncludedCookies: ['A'] }), '1'),
      { headers: { cookie: 'a=1' } },
    ],
    ['cookie name', true, exactly(cookies('KEY'), 'a'), { headers: { cookie: 'b=2;a=1' } }],
    ['cookie without a value', true, exactly(cookies('KEY'), 'flag'), { headers: { cookie: 'flag' } }],
    [
      'excluded cookies',
      false,
      exactly(cookies('ALL', { ExcludedCookies: ['a'] }), '1'),
      { headers: { cookie: 'a=1' } },
    ],
    ['cookie with = in its value', true, exactly(cookies('VALUE'), 'x=y'), { headers: { cookie: 'a=x=y' } }],
    [
      'header order',
      true,
      exactly(order(), 'host:user-agent'),
      {
        headers: [
          ['Host', 'a'],
          ['User-Agent', 'b'],
        ],
      },
    ],
    ['body', true, contains(body(), 'needle'), { body: 'a needle b' }],
    ['body empty', false, size(body(), 'GT', 0)],
    ['JSON values', true, exactly(json({ MatchScope: 'VALUE' }), 'v'), { body: '{"a":{"b":["v"]}}' }],
    ['JSON keys', true, exactly(json({ MatchScope: 'KEY' }), 'b'), { body: '{"a":{"b":["v"]}}' }],
    ['JSON keys only', false, exactly(json({ MatchScope: 'KEY' }), 'v'), { body: '{"a":"v"}' }],
    ['JSON numbers as text', true, exactly(json({}), '12.5'), { body: '[12.5]' }],
    ['JSON escapes are decoded', true, exactly(json({}), 'a/b'), { body: '{"k":"a\\u002fb"}' }],
    [
      'JSON pointer',
      true,
      exactly(json({ MatchPattern: { IncludedPaths: ['/a/0'] } }), 'x'),
      { body: '{"a":["x","y"]}' },
    ],
    [
      'JSON pointer not elsewhere',
      false,
      exactly(json({ MatchPattern: { IncludedPaths: ['/a/0'] } }), 'y'),
      { body: '{"a":["x","y"]}' },
    ],
    [
      'JSON pointer includes what is below',
      true,
      exactly(json({ MatchPattern: { IncludedPaths: ['/a'] } }), 'y'),
      { body: '{"a":["x","y"]}' },
    ],
    ['JSON duplicate keys, every value', true, exactly(json({}), '1'), { body: '{"a":1,"a":2}' }],
    ['bad JSON: up to the error', true, exactly(json({}), 'x'), { body: '{"a":"x", oops' }],
    ['bad JSON: not after the error', false, exactly(json({}), 'y'), { body: '{"a":"x", oops "y"' }],
    ['bad JSON: MATCH', true, exactly(json({ InvalidFallbackBehavior: 'MATCH' }), 'zz'), { body: '{oops' }],
    [
      'bad JSON: NO_MATCH',
      false,
      exactly(json({ InvalidFallbackBehavior: 'NO_MATCH' }), 'x'),
      { body: '{"a":"x", oops' },
    ],
    [
      'bad JSON: as a string',
      true,
      contains(json({ InvalidFallbackBehavior: 'EVALUATE_AS_STRING' }), 'oops'),
      { body: '{oops' },
    ],
    ['fragment: never sent, fallback MATCH', true, contains({ UriFragment: { FallbackBehavior: 'MATCH' } }, 'a')],
    ['fragment: fallback NO_MATCH', false, contains({ UriFragment: { FallbackBehavior: 'NO_MATCH' } }, 'a')],
    ['JA3', true, exactly(ja('JA3Fingerprint', 'NO_MATCH'), 'a'.repeat(32)), { ja3: 'a'.repeat(32) }],
    ['JA3 of another', false, exactly(ja('JA3Fingerprint', 'MATCH'), 'a'.repeat(32)), { ja3: 'b'.repeat(32) }],
    ['JA3 absent: fallback MATCH', true, exactly(ja('JA3Fingerprint', 'MATCH'), 'a')],
    ['JA4 absent: fallback NO_MATCH', false, exactly(ja('JA4Fingerprint', 'NO_MATCH'), 'a')],
    ['JA4', true, exactly(ja('JA4Fingerprint', 'NO_MATCH'), 't13d'), { ja4: 't13d' }],
  ],
  'oversize (waf-oversize-request-components)': [
    [
      'headers over 8,192 bytes, MATCH',
      true,
      exactly(headers('KEY', { All: {} }, 'MATCH'), 'zz'),
      { headers: { a: big } },
    ],
    [
      'headers over 8,192 bytes, NO_MATCH',
      false,
      exactly(headers('KEY', { All: {} }, 'NO_MATCH'), 'a'),
      { headers: { a: big } },
    ],
    [
      'headers over 8,192 bytes, CONTINUE: the visible part',
      true,
      exactly(headers('KEY'), 'a'),
      {
        headers: [
          ['a', '1'],
          ['b', big],
          ['c', '3'],
        ],
      },
    ],
    [
      'headers over 8,192 bytes, CONTINUE: not what is beyond',
      false,
      exactly(headers('KEY'), 'c'),
      {
        headers: [
          ['a', '1'],
          ['b', big],
          ['c', '3'],
        ],
      },
    ],
    [
      'more than 200 headers, MATCH',
      true,
      exactly(headers('KEY', { All: {} }, 'MATCH'), 'zz'),
      { headers: manyHeaders },
    ],
    ['the 200th is seen', true, exactly(headers('KEY'), 'h199'), { headers: manyHeaders }],
    ['the 201st is not', false, exactly(headers('KEY'), 'h200'), { headers: manyHeaders }],
    [
      'cookies over 8,192 bytes, MATCH',
      true,
      exactly(cookies('KEY', { All: {} }, 'MATCH'), 'zz'),
      { headers: { cookie: `a=${big}` } },
    ],
    [
      'cookies over 8,192 bytes, NO_MATCH',
      false,
      exactly(cookies('KEY', { All: {} }, 'NO_MATCH'), 'a'),
      { headers: { cookie: `a=${big}` } },
    ],
    [
      'cookies over 8,192 bytes, CONTINUE',
      true,
      exactly(cookies('KEY'), 'a'),
      { headers: { cookie: `a=1; b=${big}` } },
    ],
    ['header order over the limit, MATCH', true, exactly(order('MATCH'), 'zz'), { headers: manyHeaders }],
    ['body over 16,384 bytes, MATCH', true, contains(body('MATCH'), 'zz'), { body: 'x'.repeat(16_385) }],
    ['body over 16,384 bytes, NO_MATCH', false, contains(body('NO_MATCH'), 'x'), { body: 'x'.repeat(16_385) }],
    ['body of 16,384 bytes is whole', false, contains(body('MATCH'), 'zz'), { body: 'x'.repeat(16_384) }],
    ['body, CONTINUE: the visible part', true, bytes(body(), 'ENDS_WITH', 'x'), { body: `${'x'.repeat(16_384)}end` }],
    ['body, CONTINUE: not what is beyond', false, contains(body(), 'end'), { body: `${'x'.repeat(16_384)}end` }],
    [
      'JSON body over the limit, MATCH',
      true,
      exactly(json({ OversizeHandling: 'MATCH' }), 'zz'),
      { body: `["${'x'.repeat(16_400)}"]` },
    ],
    ['size of an oversized body with MATCH', true, size(body('MATCH'), 'LT', 10), { body: 'x'.repeat(20_000) }],
  ],
  'size (waf-rule-statements-match)': [
    ['EQ', true, size(field.path, 'EQ', 14)],
    ['NE', true, size(field.path, 'NE', 13)],
    ['LE at the border', true, size(field.path, 'LE', 14)],
    ['LT at the border', false, size(field.path, 'LT', 14)],
    ['GE at the border', true, size(field.path, 'GE', 14)],
    ['GT at the border', false, size(field.path, 'GT', 14)],
    ['bytes, not characters', true, size(field.header('a'), 'EQ', 2), { headers: { a: 'ä' } }],
    ['a missing header has no size', false, size(field.header('none'), 'GE', 0)],
  ],
  'regular expressions (waf-regex-pattern-support)': [
    ['anchored', true, regex(field.path, '^/live/[^/]+\\.m3u8$')],
    ['found anywhere', true, regex(field.path, 'ch\\d')],
    ['is case-sensitive', false, regex(field.path, 'CH1')],
    ['(?i)', true, regex(field.path, '(?i)CH1')],
    ['not', false, regex(field.path, '^ch1')],
    ['on every value', true, regex(everyArgument, '^2$')],
    [
      'pattern set, first',
      true,
      {
        RegexPatternSetReferenceStatement: {
          ARN: 'r',
          FieldToMatch: { UriPath: {} },
          TextTransformations: transformations([]),
        },
      },
    ],
    [
      'pattern set, none',
      false,
      {
        RegexPatternSetReferenceStatement: {
          ARN: 'r',
          FieldToMatch: { UriPath: {} },
          TextTransformations: transformations([]),
        },
      },
      { uri: '/vod/a' },
    ],
    [
      'pattern set, second',
      true,
      {
        RegexPatternSetReferenceStatement: {
          ARN: 'r',
          FieldToMatch: { UriPath: {} },
          TextTransformations: transformations([]),
        },
      },
      { uri: '/vod/a.mpd' },
    ],
  ],
  injections: [
    [
      'SQL, LOW',
      true,
      {
        SqliMatchStatement: { FieldToMatch: { QueryString: {} }, TextTransformations: transformations(['URL_DECODE']) },
      },
      { uri: "/?a=1'%20or%201=1" },
    ],
    [
      'SQL, LOW passes a sentence',
      false,
      {
        SqliMatchStatement: { FieldToMatch: { QueryString: {} }, TextTransformations: transformations(['URL_DECODE']) },
      },
      { uri: '/?a=select%20your%20team%20from%20the%20list' },
    ],
    [
      'SQL, HIGH is less trusting',
      true,
      {
        SqliMatchStatement: {
          FieldToMatch: { QueryString: {} },
          SensitivityLevel: 'HIGH',
          TextTransformations: transformations(['URL_DECODE']),
        },
      },
      { uri: '/?a=select%20x%20from%20y' },
    ],
    [
      'script',
      true,
      {
        XssMatchStatement: {
          FieldToMatch: { QueryString: {} },
          TextTransformations: transformations(['URL_DECODE', 'HTML_ENTITY_DECODE']),
        },
      },
      { uri: '/?a=%26lt;script>' },
    ],
    [
      'no script',
      false,
      { XssMatchStatement: { FieldToMatch: { QueryString: {} }, TextTransformations: transformations([]) } },
      { uri: '/?a=transcript' },
    ],
  ],
  'addresses (…-type-ipset-match)': [
    ['in a range', true, { IPSetReferenceStatement: { ARN: 'v4' } }],
    ['last of a range', true, { IPSetReferenceStatement: { ARN: 'v4' } }, { address: '11.0.0.255' }],
    ['beside it', false, { IPSetReferenceStatement: { ARN: 'v4' } }, { address: '11.0.1.0' }],
    ['single address', true, { IPSetReferenceStatement: { ARN: 'v4' } }, { address: '12.0.0.5' }],
    ['IPv6', true, { IPSetReferenceStatement: { ARN: 'v6' } }, { address: '2a00:1:ffff::1' }],
    ['IPv6 outside', false, { IPSetReferenceStatement: { ARN: 'v6' } }, { address: '2a00:2::1' }],
    ['IPv4 is not in an IPv6 set', false, { IPSetReferenceStatement: { ARN: 'v6' } }],
    ['empty set', false, { IPSetReferenceStatement: { ARN: 'empty' } }],
    ['forwarded FIRST', true, forwardedSet('FIRST'), xff('11.0.0.9, 99.0.0.1')],
    ['forwarded FIRST not last', false, forwardedSet('FIRST'), xff('99.0.0.1, 11.0.0.9')],
    ['forwarded LAST', true, forwardedSet('LAST'), xff('99.0.0.1, 11.0.0.9')],
    ['forwarded ANY', true, forwardedSet('ANY'), xff('99.0.0.1, 11.0.0.9, 99.0.0.2')],
    [
      'forwarded ANY sees the last ten',
      false,
      forwardedSet('ANY'),
      xff(['11.0.0.9', ...Array<string>(10).fill('99.0.0.1')].join(',')),
    ],
    ['forwarded invalid, MATCH', true, forwardedSet('FIRST', 'MATCH'), xff('nonsense')],
    ['forwarded invalid, NO_MATCH', false, forwardedSet('FIRST'), xff('nonsense')],
    ['forwarded header absent: no match, even with MATCH', false, forwardedSet('FIRST', 'MATCH')],
    ['NOT makes an absent forwarded header a match', true, not(forwardedSet('FIRST', 'MATCH'))],
  ],
  'places and networks (…-type-geo-match, API:AsnMatchStatement)': [
    ['country', true, { GeoMatchStatement: { CountryCodes: ['US', 'CA'] } }, { country: 'CA' }],
    ['another country', false, { GeoMatchStatement: { CountryCodes: ['US', 'CA'] } }, { country: 'MX' }],
    ['unknown country is XX', true, { GeoMatchStatement: { CountryCodes: ['XX' as never] } }],
    ['country by address', true, { GeoMatchStatement: { CountryCodes: ['FR'] } }, { address: '13.0.0.1' }],
    ['forwarded country', true, forwardedGeo('NO_MATCH'), { ...xff('13.0.0.1'), country: 'US' }],
    ['forwarded invalid, MATCH', true, forwardedGeo('MATCH'), xff('?')],
    ['forwarded absent', false, forwardedGeo('MATCH'), { country: 'FR' }],
    ['ASN', true, { AsnMatchStatement: { AsnList: [1, 64500] } }, { asn: 64500 }],
    ['another ASN', false, { AsnMatchStatement: { AsnList: [1] } }, { asn: 64500 }],
    ['unmapped ASN is 0', true, { AsnMatchStatement: { AsnList: [0] } }],
    [
      'forwarded ASN',
      true,
      {
        AsnMatchStatement: {
          AsnList: [65000],
          ForwardedIPConfig: { HeaderName: 'x-forwarded-for', FallbackBehavior: 'NO_MATCH' },
        },
      },
      xff('13.0.0.1'),
    ],
  ],
  'logic (waf-rule-statements-logical)': [
    ['AND', true, all([contains(field.path, 'live'), contains(field.path, 'ch1')])],
    ['AND, one fails', false, all([contains(field.path, 'live'), contains(field.path, 'ch2')])],
    ['OR', true, any([contains(field.path, 'vod'), contains(field.path, 'ch1')])],
    ['OR, none', false, any([contains(field.path, 'vod'), contains(field.path, 'ch2')])],
    ['NOT', true, not(contains(field.path, 'vod'))],
    ['NOT of a missing component', true, not(exactly(field.header('none'), 'a'))],
    [
      'nested',
      true,
      not(any([contains(field.path, 'vod'), all([contains(field.path, 'live'), contains(field.path, 'ch2')])])),
    ],
  ],
};

describe('statements', () => {
  for (const [family, cases] of Object.entries(families)) {
    describe(family, () => {
      test.each(cases.map(([name, expected, statement, input]) => ({ name, expected, statement, input })))(
        '$name: $expected',
        ({ expected, statement, input }) => {
          expect(matches(statement, input, environment)).toBe(expected);
        },
      );
    });
  }

  test('a pre-parse transformation runs before the query string is split', () => {
    const statement = (Type: 'URL_DECODE' | 'NONE'): Statement => ({
      ByteMatchStatement: {
        FieldToMatch: { SingleQueryArgument: { Name: 'a' } },
        PositionalConstraint: 'EXACTLY',
        SearchString: Buffer.from('1'),
        TextTransformations: transformations([]),
        PreParseTextTransformations: [{ Priority: 0, Type }],
      },
    });
    expect(matches(statement('URL_DECODE'), { uri: '/?x=0%26a%3d1' })).toBe(true);
    expect(matches(statement('NONE'), { uri: '/?x=0%26a%3d1' })).toBe(false);
  });
});

const live = contains(field.path, 'live');
const named = (
  Name: string,
  Priority: number,
  Statement: Statement,
  Action: RuleAction,
  more: Partial<Rule> = {},
): Rule => ruleWith(Statement, { Name, Priority, Action, ...more });
const group = (Name: string, Priority: number, statement: object, override: 'None' | 'Count' = 'None'): Rule => {
  const rule = ruleWith(statement as Statement, { Name, Priority, OverrideAction: { [override]: {} } });
  delete rule.Action;
  return rule;
};

describe('processing (web-acl-processing-order, waf-rule-action)', () => {
  const run = (rules: Rule[], input: Partial<RequestInput> = {}, more: SimulationEnvironment = {}) =>
    createSimulator({ name: 'acl', rules }, { ...environment, ...more }).decide(request(input));

  test('the lowest priority first, whatever the order in the list', () => {
    expect(run([named('b', 2, live, { Block: {} }), named('a', 1, live, { Allow: {} })])).toMatchObject({
      action: 'ALLOW',
      rule: 'a',
    });
  });

  test('Allow and Block end, Count goes on', () => {
    const decision = run([
      named('a', 1, live, { Count: {} }),
      named('b', 2, live, { Block: {} }),
      named('c', 3, live, { Count: {} }),
    ]);
    expect(decision.matches.map((match) => `${match.rule} ${match.action}`)).toEqual(['a COUNT', 'b BLOCK']);
    expect(decision.status).toBe(403);
  });

  test('nothing ends: the default action', () => {
    expect(run([named('a', 1, live, { Count: {} })])).toMatchObject({ action: 'ALLOW', rule: undefined });
    expect(createSimulator({ name: 'acl', rules: [], defaultAction: 'BLOCK' }).decide(request())).toMatchObject({
      action: 'BLOCK',
    });
  });

  test('a custom response has its status', () => {
    expect(run([named('a', 1, live, { Block: { CustomResponse: { ResponseCode: 429 } } })]).status).toBe(429);
  });

  test.each([
    ['Challenge', 'CHALLENGE', 202],
    ['Captcha', 'CAPTCHA', 405],
  ])('%s ends without a token, counts with one', (action, verdict, status) => {
    const rules = [named('a', 1, live, { [action]: {} })];
    expect(run(rules)).toMatchObject({ action: verdict, status });
    expect(run(rules, { challengePassed: true })).toMatchObject({ action: 'ALLOW', matches: [{ action: 'COUNT' }] });
  });

  test('headers are inserted on Count and Allow, not on Block; the last match wins', () => {
    const insert = (Value: string) => ({ CustomRequestHandling: { InsertHeaders: [{ Name: 'Note', Value }] } });
    expect(
      run([named('a', 1, live, { Count: insert('1') }), named('b', 2, live, { Allow: insert('2') })]).insertedHeaders,
    ).toEqual({
      'x-amzn-waf-note': '2',
    });
    expect(run([named('a', 1, live, { Block: {} })]).insertedHeaders).toEqual({});
  });

  test('inserted headers are not seen by later rules', () => {
    const rules = [
      named('a', 1, live, { Count: { CustomRequestHandling: { InsertHeaders: [{ Name: 'note', Value: '1' }] } } }),
      named('b', 2, exactly(field.header('x-amzn-waf-note'), '1'), { Block: {} }),
    ];
    expect(run(rules).action).toBe('ALLOW');
  });

  test('labels are seen by later rules only', () => {
    const adds = named('a', 5, live, { Count: {} }, { RuleLabels: [{ Name: 'x:y' }] });
    expect(run([adds, named('b', 6, label('x:y'), { Block: {} })]).action).toBe('BLOCK');
    expect(run([adds, named('b', 4, label('x:y'), { Block: {} })]).action).toBe('ALLOW');
  });

  test.each([
    ['LABEL by its tail', label('z'), true],
    ['LABEL with a namespace before', label('y:z'), true],
    ['LABEL with the whole prefix', label('awswaf:000000000000:webacl:acl:x:y:z'), true],
    ['LABEL is case-sensitive', label('Z'), false],
    ['LABEL is no part of a component', label('az'), false],
    ['LABEL is not a namespace', label('x:y'), false],
    ['NAMESPACE', labelNamespace('x:'), true],
    ['NAMESPACE of two', labelNamespace('x:y:'), true],
    ['NAMESPACE in the middle', labelNamespace('y:'), true],
    ['NAMESPACE is not the name', labelNamespace('z:'), false],
    ['NAMESPACE with the prefix', labelNamespace('awswaf:000000000000:webacl:acl:x:'), true],
    ['NAMESPACE of another container', labelNamespace('awswaf:000000000000:rulegroup:acl:x:'), false],
  ])('%s', (_name, statement, found) => {
    const rules = [
      named('a', 1, live, { Count: {} }, { RuleLabels: [{ Name: 'x:y:z' }] }),
      named('b', 2, statement, { Block: {} }),
    ];
    expect(run(rules).action).toBe(found ? 'BLOCK' : 'ALLOW');
  });

  test('a geographic match labels country and region, matched or not, for later rules', () => {
    const geo = named('geo', 1, { GeoMatchStatement: { CountryCodes: ['FR'] } }, { Count: {} });
    const region = named('region', 2, label('awswaf:clientip:geo:region:US-CA'), { Block: {} });
    expect(run([geo, region], { country: 'US', region: 'CA' }).rule).toBe('region');
    expect(run([geo, region], { country: 'US', region: 'OR' }).rule).toBeUndefined();
    const own = named(
      'own',
      1,
      all([{ GeoMatchStatement: { CountryCodes: ['US'] } }, label('awswaf:clientip:geo:country:US')]),
      { Block: {} },
    );
    expect(run([own], { country: 'US' }).action).toBe('ALLOW');
  });
});

describe('rule groups (web-acl-rule-group-override-options)', () => {
  const inside = [
    named('in-count', 0, live, { Count: {} }, { RuleLabels: [{ Name: 'seen' }] }),
    named('in-block', 1, live, { Block: {} }),
    named('in-late', 2, live, { Count: {} }),
  ];
  const environmentWith: SimulationEnvironment = {
    ruleGroup: (arn) => (arn === 'g' ? { name: 'ours', rules: inside } : undefined),
  };
  const run = (rules: Rule[]) => createSimulator({ name: 'acl', rules }, environmentWith).decide(request());

  test('its rules run at its place and end the request', () => {
    expect(run([group('g', 1, { RuleGroupReferenceStatement: { ARN: 'g' } })])).toMatchObject({
      action: 'BLOCK',
      rule: 'in-block',
      group: 'ours',
    });
  });

  test('an override by rule swaps the action, and later rules run', () => {
    const reference = { ARN: 'g', RuleActionOverrides: [{ Name: 'in-block', ActionToUse: { Count: {} } }] };
    const decision = run([group('g', 1, { RuleGroupReferenceStatement: reference })]);
    expect(decision.action).toBe('ALLOW');
    expect(decision.matches.map((match) => match.rule)).toEqual(['in-count', 'in-block', 'in-late']);
  });

  test('OverrideAction Count: the group still stops at its first ending rule', () => {
    const decision = run([
      group('g', 1, { RuleGroupReferenceStatement: { ARN: 'g' } }, 'Count'),
      named('after', 2, live, { Block: {} }),
    ]);
    expect(decision.matches.map((match) => match.rule)).toEqual(['in-count', 'in-block', 'g', 'after']);
  });

  test('its labels carry its own prefix: the ACL needs the whole name', () => {
    const reference = group('g', 1, {
      RuleGroupReferenceStatement: {
        ARN: 'g',
        RuleActionOverrides: [{ Name: 'in-block', ActionToUse: { Count: {} } }],
      },
    });
    expect(run([reference, named('short', 2, label('seen'), { Block: {} })]).action).toBe('ALLOW');
    expect(
      run([reference, named('full', 2, label('awswaf:000000000000:rulegroup:ours:seen'), { Block: {} })]).rule,
    ).toBe('full');
  });

  test('a misspelt override of an own group is an error', () => {
    const reference = { ARN: 'g', RuleActionOverrides: [{ Name: 'typo', ActionToUse: { Count: {} } }] };
    expect(() => run([group('g', 1, { RuleGroupReferenceStatement: reference })])).toThrowError(
      expect.objectContaining({ code: 'unresolved_reference' }),
    );
  });

  const anonymous = (more: object = {}) => ({
    ManagedRuleGroupStatement: { VendorName: 'AWS', Name: 'AWSManagedRulesAnonymousIpList', ...more },
  });
  const lists: SimulationEnvironment = {
    managedList: (_vendor, _group, rule) =>
      addressTable([parseRange(rule === 'AnonymousIPList' ? '11.0.0.0/24' : '12.0.0.0/24')]),
  };
  const managed = (rules: Rule[], input: Partial<RequestInput> = {}) =>
    createSimulator({ name: 'acl', rules }, { ...environment, ...lists }).decide(request(input));

  test('a managed group blocks by its lists and labels', () => {
    expect(managed([group('m', 1, anonymous())])).toMatchObject({
      action: 'BLOCK',
      rule: 'AnonymousIPList',
      labels: ['awswaf:managed:aws:anonymous-ip-list:AnonymousIPList'],
    });
    expect(managed([group('m', 1, anonymous())], { address: '12.0.0.9' }).rule).toBe('HostingProviderIPList');
    expect(managed([group('m', 1, anonymous())], { address: '13.0.0.9' }).action).toBe('ALLOW');
  });

  test('overridden to Count it only labels, for a later rule', () => {
    const overrides = { RuleActionOverrides: [{ Name: 'AnonymousIPList', ActionToUse: { Count: {} } }] };
    const tell = named('tell', 2, label('awswaf:managed:aws:anonymous-ip-list:AnonymousIPList'), { Count: {} });
    expect(managed([group('m', 1, anonymous(overrides)), tell]).matches.map((match) => match.rule)).toEqual([
      'AnonymousIPList',
      'tell',
    ]);
  });

  test('a misspelt override of a managed group is ignored, as AWS does', () => {
    const overrides = { RuleActionOverrides: [{ Name: 'AnonymousIpList', ActionToUse: { Count: {} } }] };
    expect(managed([group('m', 1, anonymous(overrides))]).action).toBe('BLOCK');
  });

  test('a scope-down keeps requests out of the group', () => {
    expect(managed([group('m', 1, anonymous({ ScopeDownStatement: not(live) }))]).action).toBe('ALLOW');
  });

  test('without a list the rule is left undecided and said to be so', () => {
    const simulator = createSimulator({ name: 'acl', rules: [group('m', 1, anonymous())] });
    expect(simulator.decide(request())).toMatchObject({
      action: 'ALLOW',
      undecided: ['AnonymousIPList', 'HostingProviderIPList'],
    });
    expect(simulator.remarks.join()).toContain('no list given');
  });

  test('a managed group nobody described is left out and said to be so', () => {
    const simulator = createSimulator({
      name: 'acl',
      rules: [
        group('m', 1, { ManagedRuleGroupStatement: { VendorName: 'AWS', Name: 'AWSManagedRulesCommonRuleSet' } }),
      ],
    });
    expect(simulator.decide(request()).action).toBe('ALLOW');
    expect(simulator.remarks.join()).toContain('AWSManagedRulesCommonRuleSet');
  });
});

describe('rate limits (…-type-rate-based)', () => {
  const run = (statement: Statement, requests: readonly Partial<RequestInput>[], promptRates = true): string => {
    const simulator = createSimulator({ name: 'acl', rules: [ruleWith(statement)] }, { ...environment, promptRates });
    return requests.map((each) => (simulator.decide(request(each)).action === 'BLOCK' ? 'x' : '.')).join('');
  };
  const at = (times: readonly number[], more: Partial<RequestInput> = {}): Partial<RequestInput>[] =>
    times.map((second) => ({ time: 1_800_000_000_000 + second * 1000, ...more }));
  const twelve = Array.from({ length: 12 }, (_, i) => i * 0.1);

  test('over the limit of one address', () => {
    expect(run(rate({ kind: 'address' }, 10, 60), at(twelve))).toBe('..........xx');
  });

  test('addresses are counted apart', () => {
    expect(run(rate({ kind: 'address' }, 10, 60), [...at(twelve), ...at([2], { address: '9.9.9.9' })])).toBe(
      '..........xx.',
    );
  });

  test('the window slides', () => {
    expect(run(rate({ kind: 'address' }, 10, 60), at([...twelve, 59, 75]))).toBe('..........xxx.');
  });

  test('AWS’s own pace: decided every ten seconds', () => {
    expect(run(rate({ kind: 'address' }, 10, 60), at([...twelve, 5, 11, 12]), false)).toBe('.............xx');
  });

  test('released when the rate fell, ten seconds on', () => {
    expect(run(rate({ kind: 'address' }, 10, 60), at([...twelve, 11, 65, 140]), false)).toBe('............xx.');
  });

  test('what the scope-down leaves out is neither counted nor limited', () => {
    const statement = rate({ kind: 'address' }, 10, 60, exactly(field.method, 'POST'));
    expect(run(statement, [...at(twelve), ...at(twelve, { method: 'POST' })])).toBe('.'.repeat(22) + 'xx');
  });

  test('a request without the key is neither counted nor limited', () => {
    const keys = [{ Header: { Name: 'x-key', TextTransformations: transformations([]) } }];
    expect(
      run(rate({ kind: 'keys', keys }, 10, 60), [...at(twelve), ...at(twelve, { headers: { 'x-key': 'a' } })]),
    ).toBe('.'.repeat(22) + 'xx');
  });

  test('everything as one instance', () => {
    const statement = rate({ kind: 'everything' }, 10, 60, live);
    expect(
      run(
        statement,
        twelve.map((second, i) => ({ time: second * 1000, address: `9.9.9.${i}` })),
      ),
    ).toBe('..........xx');
  });

  test.each([
    [
      'query argument',
      { QueryArgument: { Name: 'CAT', TextTransformations: transformations(['SHA256']) } },
      { uri: '/live/a?CAT=1' },
      { uri: '/live/a?CAT=2' },
    ],
    [
      'cookie',
      { Cookie: { Name: 'CAT', TextTransformations: transformations([]) } },
      { headers: { cookie: 'CAT=1' } },
      { headers: { cookie: 'CAT=2' } },
    ],
    ['path', { UriPath: { TextTransformations: transformations([]) } }, { uri: '/a' }, { uri: '/b' }],
    ['query string', { QueryString: { TextTransformations: transformations([]) } }, { uri: '/a?1' }, { uri: '/a?2' }],
    ['method', { HTTPMethod: {} }, { method: 'GET' }, { method: 'PUT' }],
    ['ASN', { ASN: {} }, { asn: 1 }, { asn: 2 }],
    ['JA3', { JA3Fingerprint: { FallbackBehavior: 'NO_MATCH' as const } }, { ja3: 'a' }, { ja3: 'b' }],
    ['JA4', { JA4Fingerprint: { FallbackBehavior: 'NO_MATCH' as const } }, { ja4: 'a' }, { ja4: 'b' }],
  ])('by %s', (_name, key, one, other) => {
    expect(run(rate({ kind: 'keys', keys: [key] }, 10, 60), [...at(twelve, one), ...at([3], other)])).toBe(
      '..........xx.',
    );
  });

  test('by two keys together', () => {
    const keys = [{ IP: {} }, { Header: { Name: 'user-agent', TextTransformations: transformations([]) } }];
    const traffic = [...at(twelve, { headers: { 'user-agent': 'a' } }), ...at([3], { headers: { 'user-agent': 'b' } })];
    expect(run(rate({ kind: 'keys', keys }, 10, 60), traffic)).toBe('..........xx.');
  });

  test('by forwarded address', () => {
    const statement: Statement = {
      RateBasedStatement: {
        Limit: 10,
        EvaluationWindowSec: 60,
        AggregateKeyType: 'FORWARDED_IP',
        ForwardedIPConfig: { HeaderName: 'x-forwarded-for', FallbackBehavior: 'NO_MATCH' },
      },
    };
    expect(run(statement, [...at(twelve, xff('9.9.9.9')), ...at([3], xff('8.8.8.8')), ...at([3])])).toBe(
      '..........xx..',
    );
  });

  test('by labels of a namespace', () => {
    const rules = [
      named('a', 1, contains(field.path, 'live'), { Count: {} }, { RuleLabels: [{ Name: 'place:live' }] }),
      named('b', 2, rate({ kind: 'keys', keys: [{ LabelNamespace: { Namespace: 'place:' } }] }, 10, 60), { Block: {} }),
    ];
    const simulator = createSimulator({ name: 'acl', rules }, { promptRates: true });
    const verdicts = [...at(twelve), ...at([3], { uri: '/vod/a' })].map(
      (each) => simulator.decide(request(each)).action,
    );
    expect(verdicts.slice(-3)).toEqual(['BLOCK', 'BLOCK', 'ALLOW']);
  });
});

describe('what an access log does not record', () => {
  const logged: SimulatedRequest = { ...request(), knownHeaders: new Set(['user-agent']) };
  const truth = (statement: Statement): string => {
    const decision = createSimulator({ name: 'acl', rules: [ruleWith(statement)] }, environment).decide(logged);
    return decision.undecided.length > 0 ? 'unknown' : decision.action === 'BLOCK' ? 'true' : 'false';
  };
  const secret = exactly(field.header('authorization'), 'a');

  test.each([
    ['a header it lacks', secret, 'unknown'],
    ['NOT of it', not(secret), 'unknown'],
    ['AND with what is false anyway', all([secret, contains(field.path, 'vod')]), 'false'],
    ['AND with what is true', all([secret, live]), 'unknown'],
    ['OR with what is true anyway', any([secret, live]), 'true'],
    ['OR with what is false', any([secret, contains(field.path, 'vod')]), 'unknown'],
    ['a header it records, absent', exactly(field.header('user-agent'), 'a'), 'false'],
    ['the country', { GeoMatchStatement: { CountryCodes: ['US'] } } as Statement, 'unknown'],
    ['the network', { AsnMatchStatement: { AsnList: [1] } } as Statement, 'unknown'],
    ['the fingerprint', exactly(ja('JA3Fingerprint', 'MATCH'), 'a'), 'unknown'],
    ['the path', live, 'true'],
  ])('%s', (_name, statement, expected) => {
    expect(truth(statement)).toBe(expected);
  });
});
