import type { FieldToMatch, Rule, Statement, TextTransformation } from '@aws-sdk/client-wafv2';
import { WafRulesError } from './errors.js';
import { ruleLimits } from './limits.js';
import { findManagedGroup } from './managed-groups.js';
import { readReference } from './statements.js';

/** One part of a figure: what costs, how much, and the page that says so (AWS WAF Developer Guide). */
export interface CapacityPart {
  readonly what: string;
  readonly wcu: number;
  readonly source: string;
}

export interface RuleCapacity {
  readonly rule: string;
  readonly wcu: number;
  readonly parts: readonly CapacityPart[];
}

/** The capacity of a list of rules. */
export interface Capacity {
  /** Web ACL capacity units: a plain sum, so an upper bound. */
  readonly wcu: number;
  readonly rules: readonly RuleCapacity[];
  /** Units for labels: one per five, over the whole container. */
  readonly labels: number;
  /**
   * What AWS may take off because several rules transform the same component the same way. That it may is documented
   * (aws-waf-capacity-units); how it counts is a third party's finding, so it is shown and never relied on.
   */
  readonly possibleSaving: number;
  /**
   * What would be added were the transformation `NONE` charged like the others: that it costs nothing is likewise a
   * third party's finding.
   */
  readonly ifNoneCounted: number;
}

/** Where the capacity of groups comes from that are not ours to compute. */
export interface CapacityLookups {
  /** The fixed capacity of a rule group, by name (our own) or ARN. */
  readonly ruleGroup?: (nameOrArn: string) => number | undefined;
  /** The capacity of a managed group we do not know. */
  readonly managedGroup?: (vendor: string, name: string) => number | undefined;
}

const byteMatch: Record<string, number> = { EXACTLY: 2, STARTS_WITH: 2, ENDS_WITH: 2, CONTAINS: 10, CONTAINS_WORD: 10 };

/** The published costs, in web ACL capacity units, each with its page. */
export const capacityCosts = {
  byteMatch: { wcu: byteMatch, source: 'waf-rule-statement-type-string-match' },
  regexMatch: { wcu: 3, source: 'waf-rule-statements-match' },
  regexSet: { wcu: 25, source: 'waf-rule-statements-match' },
  size: { wcu: 1, source: 'waf-rule-statements-match' },
  xss: { wcu: 40, source: 'waf-rule-statements-match' },
  sqliLow: { wcu: 20, source: 'waf-rule-statement-type-sqli-match' },
  sqliHigh: { wcu: 30, source: 'waf-rule-statement-type-sqli-match' },
  geo: { wcu: 1, source: 'waf-rule-statements-match' },
  asn: { wcu: 1, source: 'waf-rule-statements-match' },
  label: { wcu: 1, source: 'waf-rule-statements-match' },
  ipSet: { wcu: 1, source: 'waf-rule-statement-type-ipset-match' },
  ipSetForwardedAny: { wcu: 5, source: 'waf-rule-statement-type-ipset-match' },
  logical: { wcu: 0, source: 'waf-rule-statements-logical' },
  rate: { wcu: 2, source: 'waf-rule-statement-type-rate-based' },
  rateCustomKey: { wcu: 30, source: 'waf-rule-statement-type-rate-based' },
  allQueryArguments: { wcu: 10, source: 'waf-rule-statements-match' },
  textTransformation: { wcu: 10, source: 'waf-rule-statement-transformation' },
  preParseTransformation: { wcu: 10, source: 'waf-rule-statement-preparse-transformation' },
  labels: { wcu: 1, per: ruleLimits.labelsPerWcu, source: 'waf-rule-label-add' },
} as const;

interface Tally {
  readonly parts: CapacityPart[];
  /** Keys of transformed components, for the possible saving. */
  readonly transformed: Map<string, number>;
  nones: number;
}

/**
 * Computes the capacity of rules from AWS's published costs, without asking AWS.
 *
 * @throws WafRulesError `unsupported_statement` for a managed group or rule group whose capacity nobody told
 * @example capacityOf(ruleSet.rules).wcu
 */
export function capacityOf(rules: readonly Rule[], lookups: CapacityLookups = {}): Capacity {
  const tally: Tally = { parts: [], transformed: new Map(), nones: 0 };
  const perRule: RuleCapacity[] = [];
  let labels = 0;
  for (const rule of rules) {
    const parts: CapacityPart[] = [];
    addStatement(rule.Statement ?? {}, { ...tally, parts }, lookups, (n) => (tally.nones += n));
    perRule.push({ rule: rule.Name ?? '', wcu: sum(parts), parts });
    labels += rule.RuleLabels?.length ?? 0;
  }
  const labelUnits = Math.ceil(labels / capacityCosts.labels.per) * capacityCosts.labels.wcu;
  let saving = 0;
  for (const uses of tally.transformed.values()) saving += (uses - 1) * capacityCosts.textTransformation.wcu;
  return {
    wcu: perRule.reduce((total, rule) => total + rule.wcu, labelUnits),
    rules: perRule,
    labels: labelUnits,
    possibleSaving: saving,
    ifNoneCounted: tally.nones * capacityCosts.textTransformation.wcu,
  };
}

const sum = (parts: readonly CapacityPart[]): number => parts.reduce((total, part) => total + part.wcu, 0);

function addStatement(
  statement: Statement,
  tally: Tally,
  lookups: CapacityLookups,
  countNones: (count: number) => void,
): void {
  const add = (what: string, wcu: number, source: string): void => {
    tally.parts.push({ what, wcu, source });
  };
  const inside = (inner: Statement | undefined): void => {
    if (inner) addStatement(inner, tally, lookups, countNones);
  };
  const matching = (
    what: string,
    base: number,
    source: string,
    match: {
      FieldToMatch?: FieldToMatch | undefined;
      TextTransformations?: TextTransformation[] | undefined;
      PreParseTextTransformations?: { Type?: string | undefined }[] | undefined;
    },
  ): void => {
    const json = match.FieldToMatch?.JsonBody !== undefined;
    add(json ? `${what} of a JSON body (base doubled)` : what, json ? base * 2 : base, source);
    if (match.FieldToMatch?.AllQueryArguments) {
      add('all query arguments', capacityCosts.allQueryArguments.wcu, capacityCosts.allQueryArguments.source);
    }
    const real = (match.TextTransformations ?? []).filter((each) => each.Type !== 'NONE');
    countNones((match.TextTransformations ?? []).length - real.length);
    for (const each of real) {
      add(`transformation ${each.Type}`, capacityCosts.textTransformation.wcu, capacityCosts.textTransformation.source);
      const key = `${JSON.stringify(match.FieldToMatch)} ${each.Type}`;
      tally.transformed.set(key, (tally.transformed.get(key) ?? 0) + 1);
    }
    for (const each of match.PreParseTextTransformations ?? []) {
      if (each.Type === 'NONE') continue;
      const cost = capacityCosts.preParseTransformation;
      add(`pre-parse transformation ${each.Type}`, cost.wcu, cost.source);
    }
  };
  if (statement.ByteMatchStatement) {
    const position = statement.ByteMatchStatement.PositionalConstraint ?? '';
    const base = byteMatch[position];
    if (base === undefined) throw unsupported(`a byte match with position "${position}"`);
    matching(`byte match ${position}`, base, capacityCosts.byteMatch.source, statement.ByteMatchStatement);
  } else if (statement.RegexMatchStatement) {
    matching(
      'regex match',
      capacityCosts.regexMatch.wcu,
      capacityCosts.regexMatch.source,
      statement.RegexMatchStatement,
    );
  } else if (statement.RegexPatternSetReferenceStatement) {
    const set = statement.RegexPatternSetReferenceStatement;
    matching('regex pattern set', capacityCosts.regexSet.wcu, capacityCosts.regexSet.source, set);
  } else if (statement.SizeConstraintStatement) {
    matching('size', capacityCosts.size.wcu, capacityCosts.size.source, statement.SizeConstraintStatement);
  } else if (statement.XssMatchStatement) {
    matching('cross-site scripting', capacityCosts.xss.wcu, capacityCosts.xss.source, statement.XssMatchStatement);
  } else if (statement.SqliMatchStatement) {
    const high = statement.SqliMatchStatement.SensitivityLevel === 'HIGH';
    const cost = high ? capacityCosts.sqliHigh : capacityCosts.sqliLow;
    matching(`SQL injection ${high ? 'HIGH' : 'LOW'}`, cost.wcu, cost.source, statement.SqliMatchStatement);
  } else if (statement.GeoMatchStatement) add('geographic match', capacityCosts.geo.wcu, capacityCosts.geo.source);
  else if (statement.AsnMatchStatement) add('ASN match', capacityCosts.asn.wcu, capacityCosts.asn.source);
  else if (statement.LabelMatchStatement) add('label match', capacityCosts.label.wcu, capacityCosts.label.source);
  else if (statement.IPSetReferenceStatement) {
    const everywhere = statement.IPSetReferenceStatement.IPSetForwardedIPConfig?.Position === 'ANY';
    const cost = everywhere ? capacityCosts.ipSetForwardedAny : capacityCosts.ipSet;
    add(everywhere ? 'IP set, any forwarded address' : 'IP set', cost.wcu, cost.source);
  } else if (statement.AndStatement || statement.OrStatement) {
    (statement.AndStatement ?? statement.OrStatement)?.Statements?.forEach(inside);
  } else if (statement.NotStatement) inside(statement.NotStatement.Statement);
  else if (statement.RateBasedStatement) {
    add('rate limit', capacityCosts.rate.wcu, capacityCosts.rate.source);
    for (const key of statement.RateBasedStatement.CustomKeys ?? []) {
      const name = Object.keys(key)[0] ?? 'key';
      add(`custom key ${name}`, capacityCosts.rateCustomKey.wcu, capacityCosts.rateCustomKey.source);
      // Whether a key's transformation is charged is not documented: counted, to stay an upper bound.
      const keyed = Object.values(key)[0] as { TextTransformations?: TextTransformation[] } | undefined;
      for (const each of keyed?.TextTransformations ?? []) {
        if (each.Type === 'NONE') continue;
        const cost = capacityCosts.textTransformation;
        add(`transformation ${each.Type} of the key (not documented whether charged)`, cost.wcu, cost.source);
      }
    }
    inside(statement.RateBasedStatement.ScopeDownStatement);
  } else if (statement.ManagedRuleGroupStatement) {
    const { VendorName = '', Name = '', ScopeDownStatement } = statement.ManagedRuleGroupStatement;
    const known = findManagedGroup(VendorName, Name);
    const wcu = lookups.managedGroup?.(VendorName, Name) ?? known?.wcu;
    if (wcu === undefined) throw unsupported(`the managed group ${VendorName} ${Name}: its capacity is not known here`);
    add(`managed group ${Name}`, wcu, known?.source ?? 'DescribeManagedRuleGroup');
    inside(ScopeDownStatement);
  } else if (statement.RuleGroupReferenceStatement) {
    const arn = statement.RuleGroupReferenceStatement.ARN ?? '';
    const wcu = lookups.ruleGroup?.(readReference(arn)?.name ?? arn);
    if (wcu === undefined) throw unsupported(`the rule group ${arn}: its capacity is not known here`);
    add('rule group (fixed capacity)', wcu, 'waf-rule-statements-rule-group');
  } else throw unsupported(`a statement of kind ${Object.keys(statement).join(', ') || 'none'}`);
}

function unsupported(what: string): WafRulesError {
  return new WafRulesError('unsupported_statement', `Cannot compute the capacity of ${what}.`);
}
