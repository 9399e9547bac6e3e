import type {
  ByteMatchStatement,
  CountryCode,
  FieldToMatch,
  OversizeHandling,
  PositionalConstraint,
  RateBasedStatement,
  RuleActionOverride,
  SizeConstraintStatement,
  Statement,
  TextTransformation,
  TextTransformationType,
} from '@aws-sdk/client-wafv2';
import { WafRulesError } from './errors.js';
import { statementLimits } from './limits.js';

/** The transformations of a statement in the order they run; none means the API's `NONE`. */
export function transformations(types: readonly TextTransformationType[]): TextTransformation[] {
  return (types.length > 0 ? types : (['NONE'] as const)).map((Type, Priority) => ({ Priority, Type }));
}

const utf8 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'utf8'));

/** The request's components, by the names of the API. */
export const field = {
  path: { UriPath: {} } satisfies FieldToMatch,
  query: { QueryString: {} } satisfies FieldToMatch,
  method: { Method: {} } satisfies FieldToMatch,
  ja3: { JA3Fingerprint: { FallbackBehavior: 'NO_MATCH' } } satisfies FieldToMatch,
  ja4: { JA4Fingerprint: { FallbackBehavior: 'NO_MATCH' } } satisfies FieldToMatch,
  /** One header, inspected whole whatever its size (waf-oversize-request-components). */
  header: (name: string): FieldToMatch => ({ SingleHeader: { Name: name.toLowerCase() } }),
  queryArgument: (name: string): FieldToMatch => ({ SingleQueryArgument: { Name: name } }),
  body: (oversize: OversizeHandling): FieldToMatch => ({ Body: { OversizeHandling: oversize } }),
  headerNames: (oversize: OversizeHandling): FieldToMatch => ({
    Headers: { MatchPattern: { All: {} }, MatchScope: 'KEY', OversizeHandling: oversize },
  }),
  cookie: (name: string, oversize: OversizeHandling): FieldToMatch => ({
    Cookies: { MatchPattern: { IncludedCookies: [name] }, MatchScope: 'VALUE', OversizeHandling: oversize },
  }),
};

/** Compares bytes of a component (API:ByteMatchStatement). */
export function bytes(
  component: FieldToMatch,
  position: PositionalConstraint,
  search: string,
  change: readonly TextTransformationType[] = [],
): Statement {
  const statement: ByteMatchStatement = {
    FieldToMatch: component,
    PositionalConstraint: position,
    SearchString: utf8(search),
    TextTransformations: transformations(change),
  };
  return { ByteMatchStatement: statement };
}

/** Matches a regular expression of AWS WAF's dialect (waf-regex-pattern-support). */
export function regex(
  component: FieldToMatch,
  pattern: string,
  change: readonly TextTransformationType[] = [],
): Statement {
  checkRegex(pattern);
  return {
    RegexMatchStatement: {
      FieldToMatch: component,
      RegexString: pattern,
      TextTransformations: transformations(change),
    },
  };
}

/** Compares the length of a component, in bytes after its transformations. */
export function size(
  component: FieldToMatch,
  operator: SizeConstraintStatement['ComparisonOperator'],
  length: number,
): Statement {
  return {
    SizeConstraintStatement: {
      FieldToMatch: component,
      ComparisonOperator: operator,
      Size: length,
      TextTransformations: transformations([]),
    },
  };
}

/** True when the component is there at all: a missing component matches nothing (API:ByteMatchStatement). */
export const present = (component: FieldToMatch): Statement => size(component, 'GE', 0);

/** Countries of the viewer's address; more than the 50 of one statement are spread over several. */
export function country(codes: readonly string[]): Statement {
  const parts: Statement[] = [];
  for (let i = 0; i < codes.length; i += statementLimits.countryCodes) {
    parts.push({
      GeoMatchStatement: { CountryCodes: codes.slice(i, i + statementLimits.countryCodes) as CountryCode[] },
    });
  }
  return any(parts);
}

/** Networks (autonomous systems) of the viewer's address; more than 100 are spread over several statements. */
export function network(asns: readonly number[]): Statement {
  const parts: Statement[] = [];
  for (let i = 0; i < asns.length; i += statementLimits.asns) {
    parts.push({ AsnMatchStatement: { AsnList: asns.slice(i, i + statementLimits.asns) } });
  }
  return any(parts);
}

/** A label that an earlier rule added. A name from another container is given in full, prefix included. */
export const label = (name: string): Statement => ({ LabelMatchStatement: { Scope: 'LABEL', Key: name } });

/** Any label of a namespace; the key ends in a colon. */
export const labelNamespace = (namespace: string): Statement => ({
  LabelMatchStatement: { Scope: 'NAMESPACE', Key: namespace },
});

/** True when all hold. One part stands for itself, since `AndStatement` takes two or more. */
export function all(parts: readonly Statement[]): Statement {
  return combine(parts, 'AndStatement');
}

/** True when one holds. One part stands for itself, since `OrStatement` takes two or more. */
export function any(parts: readonly Statement[]): Statement {
  return combine(parts, 'OrStatement');
}

/** True when the statement does not hold. */
export const not = (statement: Statement): Statement => ({ NotStatement: { Statement: statement } });

function combine(parts: readonly Statement[], kind: 'AndStatement' | 'OrStatement'): Statement {
  const [first, ...others] = parts;
  if (!first) throw new WafRulesError('invalid_rule_set', `${kind} of nothing: give at least one statement.`);
  if (others.length === 0) return first;
  return { [kind]: { Statements: [...parts] } };
}

/** A set named here, before it has an ARN: {@link resolveReferences} puts the ARN in when publishing. */
export type ReferenceKind = 'ip-set' | 'rule-group' | 'regex-set';
export const reference = (kind: ReferenceKind, name: string): string => `portcullis:${kind}:${name}`;
const referencePattern = /^portcullis:(ip-set|rule-group|regex-set):([\w-]+)$/;

/** Reads a reference made by {@link reference}; undefined for a true ARN. */
export function readReference(arn: string): { kind: ReferenceKind; name: string } | undefined {
  const match = referencePattern.exec(arn);
  return match ? { kind: match[1] as ReferenceKind, name: match[2] as string } : undefined;
}

/** Addresses of an IP set, by the set's name (or its ARN). */
export const addressSet = (nameOrArn: string): Statement => ({
  IPSetReferenceStatement: { ARN: nameOrArn.includes(':') ? nameOrArn : reference('ip-set', nameOrArn) },
});

/** A rule group of this project, by name. */
export const ruleGroup = (name: string, overrides: RuleActionOverride[] = []): Statement => ({
  RuleGroupReferenceStatement: {
    ARN: reference('rule-group', name),
    ...(overrides.length > 0 ? { RuleActionOverrides: overrides } : {}),
  },
});

/** One of AWS's managed groups. A misspelt rule name in an override is ignored by WAF without a word. */
export function managedGroup(
  name: string,
  options: { overrides?: RuleActionOverride[]; only?: Statement } = {},
): Statement {
  return {
    ManagedRuleGroupStatement: {
      VendorName: 'AWS',
      Name: name,
      ...(options.only ? { ScopeDownStatement: options.only } : {}),
      ...(options.overrides && options.overrides.length > 0 ? { RuleActionOverrides: options.overrides } : {}),
    },
  };
}

/** What a rate limit counts by. */
export type RateKey =
  | { readonly kind: 'address' }
  | { readonly kind: 'everything' }
  | { readonly kind: 'keys'; readonly keys: NonNullable<RateBasedStatement['CustomKeys']> };

/**
 * A rate limit. The rate is an estimate with some lag (waf-rule-statement-type-rate-based-caveats), never an exact count.
 */
export function rate(by: RateKey, limit: number, windowSeconds: 60 | 120 | 300 | 600, only?: Statement): Statement {
  if (by.kind === 'everything' && !only) {
    throw new WafRulesError('invalid_rule_set', 'A rate limit over everything needs a scope-down statement.');
  }
  return {
    RateBasedStatement: {
      Limit: limit,
      EvaluationWindowSec: windowSeconds,
      AggregateKeyType: by.kind === 'address' ? 'IP' : by.kind === 'everything' ? 'CONSTANT' : 'CUSTOM_KEYS',
      ...(by.kind === 'keys' ? { CustomKeys: by.keys } : {}),
      ...(only ? { ScopeDownStatement: only } : {}),
    },
  };
}

const forbiddenRegex: readonly [RegExp, string][] = [
  [/\\[1-9]|\\k[<{']|\\g/, 'a back reference'],
  [/\(\?R\)|\(\?[0-9&]/, 'recursion'],
  [/\(\?\(/, 'a conditional'],
  [/\(\?>/, 'an atomic group'],
  [/[*+?}]\+/, 'a possessive quantifier'],
  [/\\[CRK]/, '\\C, \\R or \\K'],
];

/** Refuses what AWS WAF's regular expressions cannot hold (waf-regex-pattern-support, limits). */
export function checkRegex(pattern: string): void {
  if (pattern.length > statementLimits.regexCharacters) {
    throw new WafRulesError(
      'invalid_regex',
      `A regular expression of ${pattern.length} characters: AWS WAF takes ${statementLimits.regexCharacters}.`,
      { pattern },
    );
  }
  // Within a character class these signs stand for themselves.
  const bare = pattern.replace(/\\\\/g, '').replace(/\[(?:\\.|[^\]\\])*\]/g, '_');
  for (const [found, name] of forbiddenRegex) {
    if (found.test(bare)) {
      throw new WafRulesError('invalid_regex', `"${pattern}" uses ${name}, which AWS WAF does not support.`, {
        pattern,
      });
    }
  }
}

/** Escapes text for use inside a regular expression. */
export const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** Calls `visit` for a statement and every statement inside it, outermost first. */
export function walkStatement(
  statement: Statement,
  visit: (statement: Statement, depth: number) => void,
  depth = 0,
): void {
  visit(statement, depth);
  const inside = (inner: Statement | undefined): void => {
    if (inner) walkStatement(inner, visit, depth + 1);
  };
  statement.AndStatement?.Statements?.forEach(inside);
  statement.OrStatement?.Statements?.forEach(inside);
  inside(statement.NotStatement?.Statement);
  inside(statement.RateBasedStatement?.ScopeDownStatement);
  inside(statement.ManagedRuleGroupStatement?.ScopeDownStatement);
}

/** The statement with each name of {@link reference} replaced by the ARN that `arnOf` knows. */
export function resolveReferences(
  statement: Statement,
  arnOf: (kind: ReferenceKind, name: string) => string,
): Statement {
  const resolve = (arn: string | undefined): string => {
    const named = readReference(arn ?? '');
    return named ? arnOf(named.kind, named.name) : (arn ?? '');
  };
  const inner = (value: Statement | undefined): Statement | undefined => value && resolveReferences(value, arnOf);
  const copy: Statement = { ...statement };
  if (copy.IPSetReferenceStatement) {
    copy.IPSetReferenceStatement = { ...copy.IPSetReferenceStatement, ARN: resolve(copy.IPSetReferenceStatement.ARN) };
  }
  if (copy.RegexPatternSetReferenceStatement) {
    copy.RegexPatternSetReferenceStatement = {
      ...copy.RegexPatternSetReferenceStatement,
      ARN: resolve(copy.RegexPatternSetReferenceStatement.ARN),
    };
  }
  if (copy.RuleGroupReferenceStatement) {
    copy.RuleGroupReferenceStatement = {
      ...copy.RuleGroupReferenceStatement,
      ARN: resolve(copy.RuleGroupReferenceStatement.ARN),
    };
  }
  for (const kind of ['AndStatement', 'OrStatement'] as const) {
    const nested = copy[kind];
    if (nested) copy[kind] = { Statements: (nested.Statements ?? []).map((part) => resolveReferences(part, arnOf)) };
  }
  if (copy.NotStatement) copy.NotStatement = { Statement: inner(copy.NotStatement.Statement) };
  for (const kind of ['RateBasedStatement', 'ManagedRuleGroupStatement'] as const) {
    const nested = copy[kind];
    if (nested?.ScopeDownStatement) {
      Object.assign(copy, { [kind]: { ...nested, ScopeDownStatement: inner(nested.ScopeDownStatement) } });
    }
  }
  return copy;
}
