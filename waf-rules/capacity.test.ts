import type { Rule, Statement } from '@aws-sdk/client-wafv2';
import { describe, expect, test } from 'vitest';
import { capacityOf } from './capacity.js';
import { presetNames } from './config.js';
import { buildRuleSet, ruleSetCapacity } from './presets.js';
import { bytes, field, rate, size, transformations } from './statements.js';
import { transformationNames } from './transformations.js';

const ruleWith = (statement: Statement, labels = 0): Rule => ({
  Name: 'rule',
  Priority: 0,
  Statement: statement,
  Action: { Count: {} },
  RuleLabels: Array.from({ length: labels }, (_, i) => ({ Name: `label-${i}` })),
  VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: 'rule', SampledRequestsEnabled: false },
});
const none = transformations([]);
const regexOn = (component: object): Statement => ({
  RegexMatchStatement: { FieldToMatch: component, RegexString: 'a', TextTransformations: none },
});
const geo: Statement = { GeoMatchStatement: { CountryCodes: ['US'] } };

// Page of the AWS WAF Developer Guide, statement, capacity units.
const table: readonly (readonly [source: string, what: string, statement: Statement, wcu: number])[] = [
  ['…-type-string-match', 'EXACTLY', bytes(field.path, 'EXACTLY', 'a'), 2],
  ['…-type-string-match', 'STARTS_WITH', bytes(field.path, 'STARTS_WITH', 'a'), 2],
  ['…-type-string-match', 'ENDS_WITH', bytes(field.path, 'ENDS_WITH', 'a'), 2],
  ['…-type-string-match', 'CONTAINS', bytes(field.path, 'CONTAINS', 'a'), 10],
  ['…-type-string-match', 'CONTAINS_WORD', bytes(field.path, 'CONTAINS_WORD', 'a'), 10],
  ['waf-rule-statements-match', 'regex', regexOn({ UriPath: {} }), 3],
  [
    'waf-rule-statements-match',
    'regex pattern set',
    { RegexPatternSetReferenceStatement: { ARN: 'a', FieldToMatch: { UriPath: {} }, TextTransformations: none } },
    25,
  ],
  ['waf-rule-statements-match', 'size', size(field.path, 'GT', 1), 1],
  [
    'waf-rule-statements-match',
    'cross-site scripting',
    { XssMatchStatement: { FieldToMatch: { UriPath: {} }, TextTransformations: none } },
    40,
  ],
  [
    '…-type-sqli-match',
    'SQL injection, default',
    { SqliMatchStatement: { FieldToMatch: { UriPath: {} }, TextTransformations: none } },
    20,
  ],
  [
    '…-type-sqli-match',
    'SQL injection HIGH',
    { SqliMatchStatement: { FieldToMatch: { UriPath: {} }, TextTransformations: none, SensitivityLevel: 'HIGH' } },
    30,
  ],
  [
    'waf-rule-statements-match',
    'geography, whatever the list',
    { GeoMatchStatement: { CountryCodes: ['US', 'CA', 'MX'] } },
    1,
  ],
  ['waf-rule-statements-match', 'ASN, whatever the list', { AsnMatchStatement: { AsnList: [1, 2, 3] } }, 1],
  ['waf-rule-statements-match', 'label', { LabelMatchStatement: { Scope: 'LABEL', Key: 'a' } }, 1],
  ['…-type-ipset-match', 'IP set', { IPSetReferenceStatement: { ARN: 'a' } }, 1],
  ...(['FIRST', 'LAST'] as const).map(
    (Position) =>
      [
        '…-type-ipset-match',
        `IP set, forwarded ${Position}`,
        {
          IPSetReferenceStatement: {
            ARN: 'a',
            IPSetForwardedIPConfig: { HeaderName: 'x', FallbackBehavior: 'MATCH' as const, Position },
          },
        },
        1,
      ] as const,
  ),
  [
    '…-type-ipset-match',
    'IP set, forwarded ANY',
    {
      IPSetReferenceStatement: {
        ARN: 'a',
        IPSetForwardedIPConfig: { HeaderName: 'x', FallbackBehavior: 'MATCH', Position: 'ANY' },
      },
    },
    5,
  ],
  ['waf-rule-statements-logical', 'AND of two', { AndStatement: { Statements: [geo, geo] } }, 2],
  ['waf-rule-statements-logical', 'OR of two', { OrStatement: { Statements: [geo, geo] } }, 2],
  ['waf-rule-statements-logical', 'NOT', { NotStatement: { Statement: geo } }, 1],
  [
    'waf-rule-statements-logical',
    'nested',
    {
      NotStatement: { Statement: { OrStatement: { Statements: [geo, { AndStatement: { Statements: [geo, geo] } }] } } },
    },
    3,
  ],
  ['…-type-rate-based', 'rate by address', rate({ kind: 'address' }, 100, 300), 2],
  [
    '…-type-rate-based',
    'rate with a scope-down',
    rate({ kind: 'address' }, 100, 300, bytes(field.path, 'EXACTLY', 'a')),
    4,
  ],
  [
    '…-type-rate-based',
    'rate with two custom keys',
    rate({ kind: 'keys', keys: [{ IP: {} }, { Header: { Name: 'a', TextTransformations: none } }] }, 100, 300),
    62,
  ],
  [
    'waf-rule-statements-rule-group',
    'managed group with a scope-down',
    {
      ManagedRuleGroupStatement: { VendorName: 'AWS', Name: 'AWSManagedRulesAnonymousIpList', ScopeDownStatement: geo },
    },
    51,
  ],
  ...(
    [
      ['aws-managed-rule-groups-ip-rep', 'AWSManagedRulesAnonymousIpList', 50],
      ['aws-managed-rule-groups-ip-rep', 'AWSManagedRulesAmazonIpReputationList', 25],
      ['aws-managed-rule-groups-baseline', 'AWSManagedRulesCommonRuleSet', 700],
      ['aws-managed-rule-groups-baseline', 'AWSManagedRulesKnownBadInputsRuleSet', 200],
      ['aws-managed-rule-groups-bot', 'AWSManagedRulesBotControlRuleSet', 50],
    ] as const
  ).map(
    ([source, Name, wcu]) =>
      [source, Name, { ManagedRuleGroupStatement: { VendorName: 'AWS', Name } } as Statement, wcu] as const,
  ),
  [
    'waf-rule-statements-rule-group',
    'rule group, its fixed figure',
    { RuleGroupReferenceStatement: { ARN: 'ours' } },
    77,
  ],
  ['waf-rule-statements-match', 'all query arguments +10', regexOn({ AllQueryArguments: {} }), 13],
  [
    'waf-rule-statements-match',
    'JSON body doubles the base only',
    {
      ByteMatchStatement: {
        FieldToMatch: { JsonBody: { MatchPattern: { All: {} }, MatchScope: 'ALL' } },
        PositionalConstraint: 'CONTAINS',
        SearchString: new Uint8Array([1]),
        TextTransformations: transformations(['LOWERCASE']),
      },
    },
    30,
  ],
  ...(
    [
      'URL_DECODE',
      'URL_DECODE_UNI',
      'COMBINE_DUPLICATE_QUERY_ARGS_BY_COMMA',
      'REPLACE_SEMICOLONS_WITH_AMPERSANDS',
    ] as const
  ).map(
    (Type) =>
      [
        'waf-rule-statement-preparse-transformation',
        `pre-parse ${Type} +10`,
        {
          RegexMatchStatement: {
            FieldToMatch: { SingleQueryArgument: { Name: 'a' } },
            RegexString: 'a',
            TextTransformations: none,
            PreParseTextTransformations: [{ Priority: 0, Type }],
          },
        } as Statement,
        13,
      ] as const,
  ),
  ...transformationNames.map(
    (name) =>
      [
        'waf-rule-statement-transformation',
        `transformation ${name}`,
        bytes(field.path, 'EXACTLY', 'a', [name]),
        name === 'NONE' ? 2 : 12,
      ] as const,
  ),
  [
    'waf-rule-statement-transformation',
    'three transformations',
    bytes(field.path, 'EXACTLY', 'a', ['URL_DECODE', 'NORMALIZE_PATH', 'LOWERCASE']),
    32,
  ],
];

describe('capacity units', () => {
  test.each(table.map(([source, what, statement, wcu]) => ({ source, what, statement, wcu })))(
    '$what: $wcu ($source)',
    ({ statement, wcu }) => {
      const capacity = capacityOf([ruleWith(statement)], { ruleGroup: (name) => (name === 'ours' ? 77 : undefined) });
      expect(capacity.wcu).toBe(wcu);
      expect(capacity.rules[0]?.parts.every((part) => part.source !== '')).toBe(true);
    },
  );

  test.each([
    [1, 1],
    [5, 1],
    [6, 2],
    [10, 2],
    [11, 3],
  ])('%i labels cost %i (waf-rule-label-add)', (labels, wcu) => {
    expect(capacityOf([ruleWith(geo, labels)]).labels).toBe(wcu);
  });

  test('labels are counted over the whole container, not per rule', () => {
    expect(capacityOf([ruleWith(geo, 2), ruleWith(geo, 2), ruleWith(geo, 1)]).wcu).toBe(4);
  });

  test('the sample of AWS’s check-capacity comes out as AWS says: 15', () => {
    const first: Statement = {
      AndStatement: { Statements: [bytes(field.header('host'), 'EXACTLY', 'a', ['LOWERCASE']), geo] },
    };
    expect(capacityOf([ruleWith(first), ruleWith(rate({ kind: 'address' }, 100, 300))]).wcu).toBe(15);
  });

  test('what AWS may save by sharing a transformation is shown, and not taken off', () => {
    const same = bytes(field.path, 'EXACTLY', 'a', ['URL_DECODE']);
    const capacity = capacityOf([ruleWith(same), ruleWith(same)]);
    expect(capacity.wcu).toBe(24);
    expect(capacity.possibleSaving).toBe(10);
  });

  test('a group nobody told the capacity of is refused, not guessed', () => {
    const unknown: Statement = { ManagedRuleGroupStatement: { VendorName: 'Acme', Name: 'Rules' } };
    expect(() => capacityOf([ruleWith(unknown)])).toThrowError(
      expect.objectContaining({ code: 'unsupported_statement' }),
    );
    expect(capacityOf([ruleWith(unknown)], { managedGroup: () => 40 }).wcu).toBe(40);
  });

  test.each(presetNames)('%s stays within the basic price', (preset) => {
    expect(ruleSetCapacity(buildRuleSet({ preset, mint: { path: '/token' } })).wcu).toBeLessThanOrEqual(1500);
  });

  test('a rule set over the chosen ceiling does not build', () => {
    expect(() => buildRuleSet({ preset: 'strict', capacity: { ceiling: 200 } })).toThrowError(
      expect.objectContaining({
        code: 'capacity_exceeded',
        details: expect.objectContaining({ ceiling: 200 }) as unknown,
      }),
    );
  });
});
