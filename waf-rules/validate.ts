import type { FieldToMatch, Rule, Statement, TextTransformation } from '@aws-sdk/client-wafv2';
import { capacityOf } from './capacity.js';
import { WafRulesError } from './errors.js';
import {
  capacityLimits,
  customResponseLimits,
  descriptionPattern,
  ipSetLimits,
  labelLimits,
  namePattern,
  ruleLimits,
  statementLimits,
} from './limits.js';
import { bodiesOf, toApiGroupRules, toApiRules, type RuleSet } from './rule-set.js';
import { checkRegex, walkStatement } from './statements.js';

/** One thing AWS would refuse, and where. */
export interface RuleProblem {
  readonly where: string;
  readonly problem: string;
}

/**
 * Checks a rule set against AWS's documented limits before any call.
 *
 * @throws WafRulesError `invalid_rule_set`, all problems in `details.problems`
 */
export function validateRuleSet(set: RuleSet): void {
  const problems: RuleProblem[] = [
    ...checkRules(
      toApiRules(set, () => 'enforce'),
      set.name,
      'web-acl',
    ),
    ...checkBodies(set.bodies, set.name),
  ];
  for (const group of set.groups) {
    const rules = toApiGroupRules(group, set);
    problems.push(
      ...checkRules(rules, group.name, 'rule-group'),
      ...checkBodies(bodiesOf(group.rules, set.bodies), group.name),
    );
    const used = capacityOf(rules).wcu;
    if (used > group.capacity) {
      problems.push({ where: group.name, problem: `its rules need ${used} capacity units, it has ${group.capacity}` });
    }
    if (group.capacity > capacityLimits.ruleGroup) {
      problems.push({ where: group.name, problem: `capacity ${group.capacity} is over ${capacityLimits.ruleGroup}` });
    }
  }
  for (const name of [set.name, ...set.ipSets.map((each) => each.name), ...set.groups.map((each) => each.name)]) {
    if (!namePattern.test(name)) problems.push({ where: name, problem: 'is not a name: 1 to 128 of A-Z a-z 0-9 _ -' });
  }
  for (const ipSet of set.ipSets) {
    if (!descriptionPattern.test(ipSet.description)) {
      problems.push({ where: ipSet.name, problem: `description "${ipSet.description}" has characters AWS refuses` });
    }
    if ((ipSet.addresses?.length ?? 0) > ipSetLimits.addresses) {
      problems.push({ where: ipSet.name, problem: `holds more than ${ipSetLimits.addresses} ranges` });
    }
  }
  if (problems.length > 0) {
    throw new WafRulesError('invalid_rule_set', problems.map((each) => `${each.where}: ${each.problem}`).join('\n'), {
      problems,
    });
  }
}

function checkBodies(bodies: Readonly<Record<string, { Content?: string | undefined }>>, where: string): RuleProblem[] {
  const problems: RuleProblem[] = [];
  let total = 0;
  for (const [key, body] of Object.entries(bodies)) {
    const bytes = Buffer.byteLength(body.Content ?? '');
    total += bytes;
    if (bytes > customResponseLimits.bodyBytes) {
      problems.push({
        where: `${where} body ${key}`,
        problem: `${bytes} bytes, over ${customResponseLimits.bodyBytes}`,
      });
    }
  }
  if (Object.keys(bodies).length > customResponseLimits.bodies)
    problems.push({ where, problem: 'too many response bodies' });
  if (total > customResponseLimits.bodiesBytes) problems.push({ where, problem: `response bodies of ${total} bytes` });
  return problems;
}

/** What AWS would refuse of a list of rules. */
export function checkRules(rules: readonly Rule[], where: string, container: 'web-acl' | 'rule-group'): RuleProblem[] {
  const problems: RuleProblem[] = [];
  const names = new Set<string>();
  const priorities = new Set<number>();
  let references = 0;
  let rates = 0;
  let responseHeaders = 0;
  let requestHeaders = 0;
  for (const rule of rules) {
    const at = `${where} rule ${rule.Name}`;
    const add = (problem: string): void => {
      problems.push({ where: at, problem });
    };
    if (!namePattern.test(rule.Name ?? '')) add('its name is not one: 1 to 128 of A-Z a-z 0-9 _ -');
    if (names.has(rule.Name ?? '')) add('another rule has the same name');
    names.add(rule.Name ?? '');
    if (priorities.has(rule.Priority ?? -1)) add(`another rule has priority ${rule.Priority}`);
    priorities.add(rule.Priority ?? -1);
    const statement = rule.Statement ?? {};
    const isGroup = Boolean(statement.ManagedRuleGroupStatement ?? statement.RuleGroupReferenceStatement);
    if (isGroup !== Boolean(rule.OverrideAction) || isGroup === Boolean(rule.Action)) {
      add('groups take an override action, other rules an action, never both');
    }
    if (isGroup && container === 'rule-group') add('a rule group cannot hold a group');
    if (isGroup && (rule.RuleLabels?.length ?? 0) > 0) add('a group reference takes no labels');
    if (statement.RateBasedStatement) {
      rates++;
      if (rule.Action?.Allow ?? rule.Action?.Monetize) add('a rate limit cannot allow');
    }
    responseHeaders += rule.Action?.Block?.CustomResponse?.ResponseHeaders?.length ?? 0;
    for (const action of Object.values(rule.Action ?? {}) as {
      CustomRequestHandling?: { InsertHeaders?: unknown[] };
    }[]) {
      requestHeaders += action.CustomRequestHandling?.InsertHeaders?.length ?? 0;
    }
    for (const problem of checkAction(rule)) add(problem);
    for (const problem of checkLabels(rule)) add(problem);
    walkStatement(statement, (inner, depth) => {
      if (
        inner.IPSetReferenceStatement ??
        inner.RegexPatternSetReferenceStatement ??
        inner.RuleGroupReferenceStatement ??
        inner.ManagedRuleGroupStatement
      ) {
        references++;
      }
      for (const problem of checkStatement(inner, depth)) add(problem);
    });
  }
  if (references > ruleLimits.referenceStatements) {
    problems.push({
      where,
      problem: `${references} references to sets and groups, over ${ruleLimits.referenceStatements}`,
    });
  }
  const rateLimit = container === 'web-acl' ? ruleLimits.rateBasedPerAcl : ruleLimits.rateBasedPerRuleGroup;
  if (rates > rateLimit) problems.push({ where, problem: `${rates} rate limits, over ${rateLimit}` });
  if (responseHeaders > customResponseLimits.responseHeaders) {
    problems.push({
      where,
      problem: `${responseHeaders} response headers, over ${customResponseLimits.responseHeaders}`,
    });
  }
  if (requestHeaders > customResponseLimits.requestHeaders) {
    problems.push({
      where,
      problem: `${requestHeaders} inserted headers, over ${customResponseLimits.requestHeaders}`,
    });
  }
  return problems;
}

function checkAction(rule: Rule): string[] {
  const problems: string[] = [];
  const response = rule.Action?.Block?.CustomResponse;
  if (response) {
    if (!(customResponseLimits.statusCodes as readonly number[]).includes(response.ResponseCode ?? 0)) {
      problems.push(`status ${response.ResponseCode} is not one a custom response may have`);
    }
    const names = (response.ResponseHeaders ?? []).map((header) => (header.Name ?? '').toLowerCase());
    if (names.length > customResponseLimits.headersPerDefinition) problems.push('more than 10 response headers');
    if (new Set(names).size !== names.length) problems.push('a response header twice');
    if (names.includes('content-type')) problems.push('content-type cannot be set');
  }
  const handling = rule.Action?.Count?.CustomRequestHandling?.InsertHeaders ?? [];
  for (const header of [...(response?.ResponseHeaders ?? []), ...handling]) {
    if (!/^[a-zA-Z0-9._$-]{1,64}$/.test(header.Name ?? '')) problems.push(`header name "${header.Name}" is refused`);
    const length = header.Value?.length ?? 0;
    if (length < 1 || length > customResponseLimits.headerValueCharacters) {
      problems.push(`header ${header.Name} has a value of ${length} characters`);
    }
  }
  return problems;
}

function checkLabels(rule: Rule): string[] {
  const problems: string[] = [];
  for (const { Name = '' } of rule.RuleLabels ?? []) {
    const parts = Name.split(':');
    if (
      !/^[0-9A-Za-z_:-]{1,1024}$/.test(Name) ||
      parts.some((part) => part === '' || part.length > labelLimits.componentCharacters)
    ) {
      problems.push(`label "${Name}" is malformed`);
    }
    if (parts.length - 1 > labelLimits.namespaces) problems.push(`label "${Name}" has too many namespaces`);
    const found = parts.find((part) => (labelLimits.reserved as readonly string[]).includes(part));
    if (found) problems.push(`label "${Name}" holds the reserved word ${found}`);
  }
  return problems;
}

function checkStatement(statement: Statement, depth: number): string[] {
  const problems: string[] = [];
  const kinds = Object.entries(statement).filter(([, value]) => value !== undefined);
  if (kinds.length !== 1) problems.push(`a statement must be of one kind, this one has ${kinds.length}`);
  if (
    depth > 0 &&
    (statement.RateBasedStatement ?? statement.ManagedRuleGroupStatement ?? statement.RuleGroupReferenceStatement)
  ) {
    problems.push('rate limits and groups cannot be nested');
  }
  for (const nested of [statement.AndStatement, statement.OrStatement]) {
    if (nested && (nested.Statements?.length ?? 0) < 2) problems.push('AND and OR need two statements or more');
  }
  const byte = statement.ByteMatchStatement;
  if (byte) {
    const length = byte.SearchString?.length ?? 0;
    if (length < 1 || length > statementLimits.searchStringBytes) {
      problems.push(`a search string of ${length} bytes, AWS takes 1 to ${statementLimits.searchStringBytes}`);
    }
    const fingerprint = byte.FieldToMatch?.JA3Fingerprint ?? byte.FieldToMatch?.JA4Fingerprint;
    if (fingerprint && byte.PositionalConstraint !== 'EXACTLY') problems.push('fingerprints match EXACTLY only');
  }
  if (statement.RegexMatchStatement) {
    try {
      checkRegex(statement.RegexMatchStatement.RegexString ?? '');
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  const match =
    byte ??
    statement.RegexMatchStatement ??
    statement.SizeConstraintStatement ??
    statement.SqliMatchStatement ??
    statement.XssMatchStatement ??
    statement.RegexPatternSetReferenceStatement;
  if (match)
    problems.push(...checkField(match.FieldToMatch ?? {}), ...checkTransformations(match.TextTransformations ?? []));
  if ((statement.GeoMatchStatement?.CountryCodes?.length ?? 1) > statementLimits.countryCodes) {
    problems.push(`more than ${statementLimits.countryCodes} countries in one statement`);
  }
  const asns = statement.AsnMatchStatement?.AsnList;
  if (asns && (asns.length < 1 || asns.length > statementLimits.asns))
    problems.push('1 to 100 networks in one statement');
  const rate = statement.RateBasedStatement;
  if (rate) {
    const limit = rate.Limit ?? 0;
    if (limit < statementLimits.rateLimitMinimum || limit > statementLimits.rateLimitMaximum)
      problems.push(`rate limit ${limit}`);
    if (!(statementLimits.rateWindowsSeconds as readonly number[]).includes(rate.EvaluationWindowSec ?? 300)) {
      problems.push(`rate window ${rate.EvaluationWindowSec} s`);
    }
    const keys = rate.CustomKeys ?? [];
    if (keys.length > statementLimits.rateCustomKeys) problems.push('more than 5 rate keys');
    if ((rate.AggregateKeyType === 'CUSTOM_KEYS') !== keys.length > 0)
      problems.push('custom keys without CUSTOM_KEYS, or none with it');
    if (keys.length === 1 && (keys[0]?.IP ?? keys[0]?.ForwardedIP))
      problems.push('an address is no custom key by itself');
    if (rate.AggregateKeyType === 'CONSTANT' && !rate.ScopeDownStatement)
      problems.push('CONSTANT needs a scope-down statement');
  }
  const overrides =
    statement.ManagedRuleGroupStatement?.RuleActionOverrides ??
    statement.RuleGroupReferenceStatement?.RuleActionOverrides ??
    [];
  if (overrides.length > ruleLimits.ruleActionOverrides) problems.push('more than 100 overrides');
  return problems;
}

function checkField(component: FieldToMatch): string[] {
  const problems: string[] = [];
  if (Object.values(component).filter((value) => value !== undefined).length !== 1)
    problems.push('exactly one component');
  if ((component.SingleHeader?.Name?.length ?? 1) > statementLimits.headerNameCharacters)
    problems.push('header name too long');
  if ((component.SingleQueryArgument?.Name?.length ?? 1) > statementLimits.queryArgumentNameCharacters) {
    problems.push(`query argument name over ${statementLimits.queryArgumentNameCharacters} characters`);
  }
  return problems;
}

function checkTransformations(list: readonly TextTransformation[]): string[] {
  if (list.length < 1 || list.length > statementLimits.textTransformations) return ['1 to 10 transformations'];
  return new Set(list.map((each) => each.Priority)).size === list.length ? [] : ['two transformations of one priority'];
}
