import type { CustomResponseBody, DataProtection, LoggingConfiguration, Rule, WebACL } from '@aws-sdk/client-wafv2';
import { canonicalJson, sameJson } from './canonical.js';
import { blockedBody, blockedGroupRules } from './blocked-group.js';
import { labelNamespacePlaceholder } from './logging.js';
import type { Published } from './published.js';
import type { AclSnapshot, RolloutRecord } from './rollout-record.js';
import {
  bodiesOf,
  ownedPrefix,
  toApiGroupRules,
  toApiRules,
  type RuleGroupDefinition,
  type RuleSet,
  type StageOf,
} from './rule-set.js';
import { readReference, resolveReferences } from './statements.js';

/** One difference between what is wanted and what is there. */
export interface Change {
  readonly action: 'create' | 'update' | 'delete';
  readonly what: 'web-acl' | 'rule' | 'response-body' | 'data-protection' | 'ip-set' | 'rule-group' | 'logging';
  readonly name: string;
  /** What differs, a line each. */
  readonly details: readonly string[];
}

/** What {@link applyPlan} would do. */
export interface Plan {
  readonly acl: string;
  readonly changes: readonly Change[];
  /** Rules of ours that somebody changed since they were last applied. */
  readonly drift: readonly string[];
  /** Rules of others; they stay as they are. */
  readonly foreign: readonly string[];
  /** Things to know that are no changes. */
  readonly remarks: readonly string[];
}

/** Whether a rule is ours. */
export const isOwned = (rule: { Name?: string | undefined }): boolean => (rule.Name ?? '').startsWith(ownedPrefix);

/** The description of a web ACL that this project made; its settings are kept then, others' never. */
export const aclDescription = (set: RuleSet): string => `Portcullis rule set ${set.preset}`;
export const isOurAcl = (acl: Pick<WebACL, 'Description'>): boolean =>
  (acl.Description ?? '').startsWith('Portcullis rule set');

/** Our part of an ACL. */
export function ownedPart(acl: Pick<WebACL, 'Rules' | 'CustomResponseBodies'> | undefined): AclSnapshot {
  const bodies = Object.entries(acl?.CustomResponseBodies ?? {}).filter(([key]) => key.startsWith(ownedPrefix));
  return {
    rules: (acl?.Rules ?? []).filter(isOwned).sort((a, b) => (a.Priority ?? 0) - (b.Priority ?? 0)),
    bodies: Object.fromEntries(bodies),
  };
}

/** The rules and bodies the ACL should hold of ours; references to things not made yet stay names. */
export function wantedPart(set: RuleSet, published: Published, stageOf: StageOf): AclSnapshot {
  const foreign = (published.acl?.Rules ?? []).filter((rule) => !isOwned(rule));
  const taken = new Set(foreign.map((rule) => rule.Priority ?? -1));
  const rules = toApiRules(set, stageOf, taken).map((rule) => ({
    ...rule,
    Statement: resolveReferences(rule.Statement ?? {}, (kind, name) => {
      const known = kind === 'ip-set' ? published.ipSets.get(name)?.arn : published.groups.get(name)?.arn;
      return known ?? `portcullis:${kind}:${name}`;
    }),
  }));
  // Only what the ACL's own rules answer with; groups carry their own bodies.
  return { rules, bodies: bodiesOf(set.rules, set.bodies) };
}

/** Foreign rules as they are, ours anew. */
export function mergeRules(current: readonly Rule[] | undefined, wanted: readonly Rule[]): Rule[] {
  const foreign = (current ?? []).filter((rule) => !isOwned(rule));
  const taken = new Set(foreign.map((rule) => rule.Priority ?? -1));
  let least = -1;
  const moved = [...wanted]
    .sort((a, b) => (a.Priority ?? 0) - (b.Priority ?? 0))
    .map((rule) => {
      // A foreign rule may have taken a priority since the plan: ours give way and keep their order.
      let priority = Math.max(rule.Priority ?? 0, least + 1);
      while (taken.has(priority)) priority++;
      least = priority;
      return priority === rule.Priority ? rule : { ...rule, Priority: priority };
    });
  return [...foreign, ...moved].sort((a, b) => (a.Priority ?? 0) - (b.Priority ?? 0));
}

/** Foreign bodies as they are, ours anew. */
export function mergeBodies(
  current: Readonly<Record<string, CustomResponseBody>> | undefined,
  wanted: Readonly<Record<string, CustomResponseBody>>,
): Record<string, CustomResponseBody> {
  const foreign = Object.entries(current ?? {}).filter(([key]) => !key.startsWith(ownedPrefix));
  return { ...Object.fromEntries(foreign), ...wanted };
}

/** Existing protections and ours: protection is only ever added, keys of one field type joined. */
export function mergeProtections(
  current: readonly DataProtection[] | undefined,
  wanted: readonly DataProtection[],
): DataProtection[] {
  const merged = (current ?? []).map((each) => structuredClone(each));
  for (const protection of wanted) {
    const same = merged.find(
      (each) => each.Field?.FieldType === protection.Field?.FieldType && each.Action === protection.Action,
    );
    const protectedElsewhere = new Set(
      merged
        .filter((each) => each.Field?.FieldType === protection.Field?.FieldType && each !== same)
        .flatMap((each) => each.Field?.FieldKeys ?? []),
    );
    const keys = (protection.Field?.FieldKeys ?? []).filter((key) => !protectedElsewhere.has(key));
    if (keys.length === 0) continue;
    if (!same) merged.push({ ...protection, Field: { FieldType: protection.Field?.FieldType, FieldKeys: keys } });
    else if (same.Field) same.Field.FieldKeys = [...new Set([...(same.Field.FieldKeys ?? []), ...keys])].sort();
  }
  return merged;
}

/** The logging configuration of the ACL: a destination somebody chose stays, redactions are joined. */
export function mergeLogging(
  set: RuleSet,
  current: LoggingConfiguration | undefined,
  acl: { readonly arn: string; readonly labelNamespace: string },
): LoggingConfiguration | undefined {
  if (!set.logging) return undefined;
  const wanted = structuredClone(set.logging);
  for (const filter of wanted.LoggingFilter?.Filters ?? []) {
    for (const condition of filter.Conditions ?? []) {
      const name = condition.LabelNameCondition;
      if (name) name.LabelName = (name.LabelName ?? '').replace(labelNamespacePlaceholder, acl.labelNamespace);
    }
  }
  const foreign =
    current && !sameJson(current.LogDestinationConfigs, wanted.LogDestinationConfigs) ? current : undefined;
  const redacted = new Map(
    [...(current?.RedactedFields ?? []), ...(wanted.RedactedFields ?? [])].map((field) => [
      canonicalJson(field),
      field,
    ]),
  );
  const filter = foreign ? foreign.LoggingFilter : wanted.LoggingFilter;
  return {
    ResourceArn: acl.arn,
    LogDestinationConfigs: foreign ? foreign.LogDestinationConfigs : wanted.LogDestinationConfigs,
    RedactedFields: [...redacted.keys()].sort().map((key) => redacted.get(key) ?? {}),
    ...(filter ? { LoggingFilter: filter } : {}),
  };
}

/** A group as it is made. */
export function groupContent(
  group: RuleGroupDefinition,
  set: RuleSet,
  setArns: readonly string[],
): { rules: Rule[]; bodies: Record<string, CustomResponseBody> } {
  if (group.keeper === 'addresses') {
    return { rules: blockedGroupRules(setArns, [], set.cors), bodies: { ...blockedBody } };
  }
  return { rules: toApiGroupRules(group, set), bodies: bodiesOf(group.rules, set.bodies) };
}

/** Compares a rule set with what is there. */
export function planChanges(set: RuleSet, published: Published, stageOf: StageOf, record: RolloutRecord): Plan {
  const changes: Change[] = [];
  const remarks: string[] = [...set.remarks];
  for (const ipSet of set.ipSets) {
    if (published.ipSets.has(ipSet.name)) continue;
    const size = ipSet.addresses ? `${ipSet.addresses.length} ranges` : 'empty, filled by revocation';
    changes.push({ action: 'create', what: 'ip-set', name: ipSet.name, details: [`IPv${ipSet.family}, ${size}`] });
  }
  for (const group of set.groups) {
    const there = published.groups.get(group.name);
    if (there) {
      if (there.capacity !== group.capacity && group.keeper === 'addresses') {
        remarks.push(
          `${group.name} was made with ${there.capacity} capacity units and keeps them; the configuration says ${group.capacity}.`,
        );
      }
      continue;
    }
    changes.push({
      action: 'create',
      what: 'rule-group',
      name: group.name,
      details: [`capacity ${group.capacity}`, ...group.rules.map((rule) => `${ownedPrefix}${rule.id}: ${rule.threat}`)],
    });
  }
  const { acl } = published;
  const wanted = wantedPart(set, published, stageOf);
  const current = ownedPart(acl);
  if (!acl) {
    changes.push({ action: 'create', what: 'web-acl', name: set.name, details: ['default action Allow'] });
  } else if (!isOurAcl(acl)) {
    remarks.push(
      `The web ACL ${set.name} was made by somebody else: its default action and settings stay as they are.`,
    );
  } else if (!acl.DefaultAction?.Allow) {
    changes.push({ action: 'update', what: 'web-acl', name: set.name, details: ['default action Block → Allow'] });
  }
  changes.push(...ruleChanges(current.rules, wanted.rules), ...bodyChanges(current.bodies, wanted.bodies));
  const protections = mergeProtections(acl?.DataProtectionConfig?.DataProtections, set.dataProtections);
  if (!sameJson(protections, acl?.DataProtectionConfig?.DataProtections ?? [])) {
    changes.push({
      action: acl?.DataProtectionConfig ? 'update' : 'create',
      what: 'data-protection',
      name: set.name,
      details: set.dataProtections.map(
        (each) =>
          `hide ${each.Field?.FieldType?.toLowerCase().replace(/_/g, ' ')}: ${each.Field?.FieldKeys?.join(', ')}`,
      ),
    });
  }
  const namespace = acl?.LabelNamespace ?? '';
  const logging = mergeLogging(set, published.logging, { arn: acl?.ARN ?? '', labelNamespace: namespace });
  if (!logging) {
    if (!published.logging) remarks.push('No log destination is configured (waf.logging): nothing will be logged.');
  } else if (!acl || !sameJson(withoutOwner(logging), withoutOwner(published.logging))) {
    changes.push({
      action: published.logging ? 'update' : 'create',
      what: 'logging',
      name: set.name,
      details: [`to ${logging.LogDestinationConfigs?.join(', ')}`, 'tokens redacted'],
    });
    if (published.logging && !sameJson(published.logging.LogDestinationConfigs, set.logging?.LogDestinationConfigs)) {
      remarks.push('Logs already go to another destination; it stays, redactions are added.');
    }
  }
  return {
    acl: set.name,
    changes,
    drift: driftOf(current, record),
    foreign: (acl?.Rules ?? []).filter((rule) => !isOwned(rule)).map((rule) => rule.Name ?? ''),
    remarks,
  };
}

/** The parts of a logging configuration that are compared. */
function withoutOwner(configuration: LoggingConfiguration | undefined): unknown {
  if (!configuration) return undefined;
  const { LogDestinationConfigs, RedactedFields, LoggingFilter } = configuration;
  return {
    LogDestinationConfigs,
    RedactedFields: [...(RedactedFields ?? [])].map(canonicalJson).sort(),
    LoggingFilter,
  };
}

/** Rules of ours that are no longer as they were last applied. */
export function driftOf(current: AclSnapshot, record: RolloutRecord): string[] {
  const last = record.versions[record.versions.length - 1];
  if (!last) return [];
  const expected = last.status === 'rolled-back' || last.status === 'failed' ? last.before : last.after;
  const names = new Set([...expected.rules, ...current.rules].map((rule) => rule.Name ?? ''));
  return [...names].filter((name) => {
    const then = expected.rules.find((rule) => rule.Name === name);
    const now = current.rules.find((rule) => rule.Name === name);
    return !sameJson(then, now);
  });
}

function ruleChanges(current: readonly Rule[], wanted: readonly Rule[]): Change[] {
  const changes: Change[] = [];
  const known = new Map(current.map((rule) => [rule.Name ?? '', rule]));
  for (const rule of wanted) {
    const name = rule.Name ?? '';
    const before = known.get(name);
    known.delete(name);
    if (!before) changes.push({ action: 'create', what: 'rule', name, details: [describeAction(rule)] });
    else if (!sameJson(before, rule)) {
      changes.push({ action: 'update', what: 'rule', name, details: describeDifference(before, rule) });
    }
  }
  for (const name of known.keys()) changes.push({ action: 'delete', what: 'rule', name, details: [] });
  return changes;
}

function bodyChanges(
  current: Readonly<Record<string, CustomResponseBody>>,
  wanted: Readonly<Record<string, CustomResponseBody>>,
): Change[] {
  const changes: Change[] = [];
  for (const [name, body] of Object.entries(wanted)) {
    const before = current[name];
    if (!before) changes.push({ action: 'create', what: 'response-body', name, details: [] });
    else if (!sameJson(before, body)) changes.push({ action: 'update', what: 'response-body', name, details: [] });
  }
  for (const name of Object.keys(current)) {
    if (!(name in wanted)) changes.push({ action: 'delete', what: 'response-body', name, details: [] });
  }
  return changes;
}

/** A rule's action in a word or two. */
export function describeAction(rule: Rule): string {
  if (rule.OverrideAction) {
    const overrides =
      rule.Statement?.ManagedRuleGroupStatement?.RuleActionOverrides ??
      rule.Statement?.RuleGroupReferenceStatement?.RuleActionOverrides ??
      [];
    const counting = overrides.filter((each) => each.ActionToUse?.Count).map((each) => each.Name);
    const blocking = overrides.filter((each) => each.ActionToUse?.Block).map((each) => each.Name);
    const parts = [
      ...(counting.length > 0 ? [`counting ${counting.join(', ')}`] : []),
      ...(blocking.length > 0 ? [`blocking ${blocking.join(', ')}`] : []),
    ];
    return `group${parts.length > 0 ? `, ${parts.join(', ')}` : ''}`;
  }
  const response = rule.Action?.Block?.CustomResponse?.ResponseCode;
  if (rule.Action?.Block) return `Block${response === undefined ? '' : ` ${response}`}`;
  const headers = rule.Action?.Count?.CustomRequestHandling?.InsertHeaders ?? [];
  if (headers.length > 0) return `Count, inserts ${headers.map((each) => `x-amzn-waf-${each.Name}`).join(', ')}`;
  return Object.keys(rule.Action ?? {})[0] ?? 'no action';
}

/** The members in which two rules differ, bytes as text. */
function describeDifference(before: Rule, after: Rule): string[] {
  const lines: string[] = [];
  if (describeAction(before) !== describeAction(after)) {
    lines.push(`${describeAction(before)} → ${describeAction(after)}`);
  }
  const old = flatten(before);
  const now = flatten(after);
  for (const path of new Set([...old.keys(), ...now.keys()])) {
    if (/^(Action|OverrideAction)\b|RuleActionOverrides/.test(path) && lines.length > 0) continue;
    const from = old.get(path);
    const to = now.get(path);
    if (from !== to) lines.push(`${path}: ${from ?? '(none)'} → ${to ?? '(none)'}`);
  }
  return lines.length > 12 ? [...lines.slice(0, 12), `… and ${lines.length - 12} more`] : lines;
}

function flatten(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (value === undefined) return found;
  if (value instanceof Uint8Array) found.set(path, JSON.stringify(Buffer.from(value).toString('utf8')));
  else if (value !== null && typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) flatten(member, path === '' ? name : `${path}.${name}`, found);
  } else found.set(path, String(value));
  return found;
}

/** A plan as text for a person. */
export function describePlan(plan: Plan): string {
  const signs = { create: '+', update: '~', delete: '-' } as const;
  const lines = [
    `Web ACL ${plan.acl}: ${plan.changes.length === 0 ? 'nothing to change' : `${plan.changes.length} changes`}`,
  ];
  for (const change of plan.changes) {
    lines.push(`  ${signs[change.action]} ${change.what} ${change.name}`);
    for (const detail of change.details) lines.push(`      ${detail}`);
  }
  for (const name of plan.drift) lines.push(`  ! ${name} was changed by somebody since it was applied`);
  if (plan.foreign.length > 0) lines.push(`  Not ours, stays as it is: ${plan.foreign.join(', ')}`);
  for (const remark of plan.remarks) lines.push(`  Note: ${remark}`);
  return lines.join('\n');
}

/** Names of sets and groups of ours that a list of rules refers to, by ARN or name. */
export function referencedNames(rules: readonly Rule[]): Set<string> {
  const names = new Set<string>();
  for (const match of JSON.stringify(rules).matchAll(/"ARN":"([^"]+)"/g)) {
    const arn = match[1] as string;
    names.add(readReference(arn)?.name ?? (arn.split('/')[2] as string));
  }
  return names;
}
