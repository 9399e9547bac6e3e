import type { Rule, Statement } from '@aws-sdk/client-wafv2';
import { describe, expect, test } from 'vitest';
import { checkRegex, transformations } from './statements.js';
import { checkRules } from './validate.js';

const rule = (more: Partial<Rule> = {}): Rule => ({
  Name: 'rule',
  Priority: 0,
  Statement: { GeoMatchStatement: { CountryCodes: ['US'] } },
  Action: { Block: {} },
  VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: 'rule', SampledRequestsEnabled: false },
  ...more,
});
const byte = (more: object): Statement =>
  ({
    ByteMatchStatement: {
      FieldToMatch: { UriPath: {} },
      PositionalConstraint: 'EXACTLY',
      SearchString: new Uint8Array(1),
      TextTransformations: transformations([]),
      ...more,
    },
  }) as Statement;
const geo: Statement = { GeoMatchStatement: { CountryCodes: ['US'] } };
const limit = (more: object): Statement =>
  ({ RateBasedStatement: { Limit: 100, AggregateKeyType: 'IP', ...more } }) as Statement;
const respond = (more: object): Partial<Rule> => ({
  Action: { Block: { CustomResponse: { ResponseCode: 403, ...more } } },
});

const refused: [what: string, rules: Rule[], expected: RegExp, container?: 'rule-group'][] = [
  ['two rules of one name', [rule(), rule({ Priority: 1 })], /same name/],
  ['two rules of one priority', [rule(), rule({ Name: 'b' })], /priority/],
  ['a name with a space', [rule({ Name: 'a b' })], /not one/],
  ['an action and an override', [rule({ OverrideAction: { None: {} } })], /never both/],
  [
    'a group within a group',
    [
      {
        ...rule({ Statement: { RuleGroupReferenceStatement: { ARN: 'a' } }, OverrideAction: { None: {} } }),
        Action: undefined,
      },
    ],
    /cannot hold a group/,
    'rule-group',
  ],
  ['a nested rate limit', [rule({ Statement: { NotStatement: { Statement: limit({}) } } })], /nested/],
  ['AND of one', [rule({ Statement: { AndStatement: { Statements: [geo] } } })], /two statements/],
  ['two statements in one', [rule({ Statement: { ...geo, ...limit({}) } })], /one kind/],
  ['a search string of 201 bytes', [rule({ Statement: byte({ SearchString: new Uint8Array(201) }) })], /201 bytes/],
  ['an empty search string', [rule({ Statement: byte({ SearchString: new Uint8Array(0) }) })], /0 bytes/],
  [
    'a fingerprint by its beginning',
    [rule({ Statement: byte({ FieldToMatch: { JA3Fingerprint: {} }, PositionalConstraint: 'STARTS_WITH' }) })],
    /EXACTLY/,
  ],
  ['no transformation at all', [rule({ Statement: byte({ TextTransformations: [] }) })], /1 to 10/],
  [
    'eleven transformations',
    [rule({ Statement: byte({ TextTransformations: transformations(Array(11).fill('LOWERCASE') as never) }) })],
    /1 to 10/,
  ],
  [
    'two transformations of one priority',
    [
      rule({
        Statement: byte({
          TextTransformations: [
            { Priority: 0, Type: 'LOWERCASE' },
            { Priority: 0, Type: 'URL_DECODE' },
          ],
        }),
      }),
    ],
    /priority/,
  ],
  ['two components', [rule({ Statement: byte({ FieldToMatch: { UriPath: {}, Method: {} } }) })], /exactly one/],
  [
    'an argument name over 30 characters',
    [rule({ Statement: byte({ FieldToMatch: { SingleQueryArgument: { Name: 'a'.repeat(31) } } }) })],
    /30/,
  ],
  [
    'a header name over 64 characters',
    [rule({ Statement: byte({ FieldToMatch: { SingleHeader: { Name: 'a'.repeat(65) } } }) })],
    /too long/,
  ],
  ['51 countries', [rule({ Statement: { GeoMatchStatement: { CountryCodes: Array(51).fill('US') as never } } })], /50/],
  ['101 networks', [rule({ Statement: { AsnMatchStatement: { AsnList: Array(101).fill(1) as never } } })], /1 to 100/],
  ['no network', [rule({ Statement: { AsnMatchStatement: { AsnList: [] } } })], /1 to 100/],
  ['a rate of nine', [rule({ Statement: limit({ Limit: 9 }) })], /rate limit 9/],
  ['a window of 90 s', [rule({ Statement: limit({ EvaluationWindowSec: 90 }) })], /90/],
  [
    'an address as the only custom key',
    [rule({ Statement: limit({ AggregateKeyType: 'CUSTOM_KEYS', CustomKeys: [{ IP: {} }] }) })],
    /by itself/,
  ],
  [
    'six custom keys',
    [
      rule({
        Statement: limit({ AggregateKeyType: 'CUSTOM_KEYS', CustomKeys: Array(6).fill({ HTTPMethod: {} }) as never }),
      }),
    ],
    /5/,
  ],
  ['a constant without a scope', [rule({ Statement: limit({ AggregateKeyType: 'CONSTANT' }) })], /scope-down/],
  ['a rate limit that allows', [rule({ Statement: limit({}), Action: { Allow: {} } })], /cannot allow/],
  [
    'eleven rate limits',
    Array.from({ length: 11 }, (_, i) => rule({ Name: `r${i}`, Priority: i, Statement: limit({}) })),
    /over 10/,
  ],
  [
    'five rate limits in a group',
    Array.from({ length: 5 }, (_, i) => rule({ Name: `r${i}`, Priority: i, Statement: limit({}) })),
    /over 4/,
    'rule-group',
  ],
  [
    '51 references',
    [
      rule({
        Statement: { OrStatement: { Statements: Array(51).fill({ IPSetReferenceStatement: { ARN: 'a' } }) as never } },
      }),
    ],
    /over 50/,
  ],
  ['status 451', [rule(respond({ ResponseCode: 451 }))], /451/],
  [
    'eleven response headers',
    [rule(respond({ ResponseHeaders: Array.from({ length: 11 }, (_, i) => ({ Name: `h${i}`, Value: 'v' })) }))],
    /more than 10/,
  ],
  [
    'a response header twice',
    [
      rule(
        respond({
          ResponseHeaders: [
            { Name: 'a', Value: 'v' },
            { Name: 'A', Value: 'v' },
          ],
        }),
      ),
    ],
    /twice/,
  ],
  ['content-type', [rule(respond({ ResponseHeaders: [{ Name: 'Content-Type', Value: 'v' }] }))], /content-type/],
  ['an empty header value', [rule(respond({ ResponseHeaders: [{ Name: 'a', Value: '' }] }))], /0 characters/],
  [
    '101 response headers in all',
    Array.from({ length: 11 }, (_, i) =>
      rule({
        Name: `r${i}`,
        Priority: i,
        ...respond({ ResponseHeaders: Array.from({ length: 10 }, (__, j) => ({ Name: `h${j}`, Value: 'v' })) }),
      }),
    ),
    /110 response headers/,
  ],
  ['a reserved word in a label', [rule({ RuleLabels: [{ Name: 'deny:aws' }] })], /reserved/],
  ['six namespaces in a label', [rule({ RuleLabels: [{ Name: 'a:b:c:d:e:f:g' }] })], /namespaces/],
  ['an empty label component', [rule({ RuleLabels: [{ Name: 'a::b' }] })], /malformed/],
];

describe('what AWS would refuse is refused here first', () => {
  test.each(refused)('%s', (_what, rules, expected, container) => {
    const problems = checkRules(rules, 'acl', container ?? 'web-acl').map((each) => `${each.where}: ${each.problem}`);
    expect(problems.join('\n')).toMatch(expected);
  });

  test('a sound rule is not', () => {
    expect(checkRules([rule()], 'acl', 'web-acl')).toEqual([]);
  });
});

describe('regular expressions (waf-regex-pattern-support)', () => {
  test.each([
    '(a)\\1',
    '\\k<x>',
    '(?R)',
    '(?1)',
    '(?(1)a|b)',
    '(?>a)',
    'a++',
    'a*+',
    'a{2}+',
    '\\C',
    '\\R',
    '\\K',
    'a'.repeat(201),
  ])('%s is refused', (pattern) => {
    expect(() => checkRegex(pattern)).toThrowError(expect.objectContaining({ code: 'invalid_regex' }));
  });

  test.each(['^/live/[^/]+\\.m3u8$', '[+*]+', '(?i)abc', '(?:a|b){2,3}', '[\\w.=%~-]{40,}', '\\\\1', 'a'.repeat(200)])(
    '%s passes',
    (pattern) => {
      expect(() => checkRegex(pattern)).not.toThrow();
    },
  );
});
