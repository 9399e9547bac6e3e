import type {
  CustomHTTPHeader,
  CustomResponseBody,
  DataProtection,
  LoggingConfiguration,
  Rule,
  RuleAction,
  RuleActionOverride,
  Statement,
  VisibilityConfig,
} from '@aws-sdk/client-wafv2';
import type { PresetName } from './config.js';
import { findManagedGroup } from './managed-groups.js';
import { ruleGroup, walkStatement } from './statements.js';

/** What every rule, group and body of ours is named with; nothing else is ever touched. */
export const ownedPrefix = 'portcullis-';

/** What a rule does once it is enforced. */
export type Enforcement =
  /** Turns the request away. */
  | { readonly kind: 'block'; readonly status: number; readonly reason: string; readonly retryAfter?: number }
  /** Only labels, or labels and tells the function in a header: the same in every stage. */
  | { readonly kind: 'label'; readonly headers?: readonly CustomHTTPHeader[] }
  /** Asks a browser to prove itself. */
  | { readonly kind: 'challenge' }
  /** A managed group: which of its rules block, by name; all others count. */
  | { readonly kind: 'managed'; readonly block: readonly string[] }
  /** A rule group of ours: its rules are staged one by one. */
  | { readonly kind: 'group'; readonly rules: readonly RuleDefinition[] };

/** One rule before it has a priority and a stage. */
export interface RuleDefinition {
  /** Stable name without prefix: `token-missing`. */
  readonly id: string;
  /** What it keeps out, in words for the person who reads a plan. */
  readonly threat: string;
  /** Whom it may hit by mistake, and what to do about it. */
  readonly falsePositives: string;
  readonly statement: Statement;
  readonly enforcement: Enforcement;
  readonly labels: readonly string[];
}

/** A rule group of ours. */
export interface RuleGroupDefinition {
  readonly name: string;
  /** Fixed when the group is made (API:CreateRuleGroup). */
  readonly capacity: number;
  readonly rules: readonly RuleDefinition[];
  /** `content`: its rules come from here. `addresses`: the revoker keeps its rules, publishing only makes it. */
  readonly keeper: 'content' | 'addresses';
}

/** An IP set of ours. */
export interface IpSetDefinition {
  readonly name: string;
  readonly family: 4 | 6;
  readonly description: string;
  /** CIDR ranges, merged and sorted; absent where the revoker fills the set. */
  readonly addresses?: readonly string[];
}

/** A whole rule set: what {@link planChanges} compares with AWS and the simulator runs. */
export interface RuleSet {
  readonly preset: PresetName;
  /** Name of the web ACL. */
  readonly name: string;
  readonly rules: readonly RuleDefinition[];
  readonly groups: readonly RuleGroupDefinition[];
  readonly ipSets: readonly IpSetDefinition[];
  readonly bodies: Readonly<Record<string, CustomResponseBody>>;
  readonly cors: false | { readonly origin: string; readonly credentials: boolean };
  readonly sampling: boolean;
  readonly dataProtections: readonly DataProtection[];
  readonly logging: Omit<LoggingConfiguration, 'ResourceArn'> | undefined;
  readonly firstPriority: number;
  readonly ceiling: number;
  /** Rules never leave the count stage. */
  readonly observeOnly: boolean;
  /** What the person who reads a plan should know of how the set was put together. */
  readonly remarks: readonly string[];
}

/** A rule's stage: it counts what it would do, or does it. */
export type Stage = 'count' | 'enforce';

/** The stage of each rule, by id. */
export type StageOf = (ruleId: string) => Stage;

/** The key of the response body for a reason. */
export const bodyKey = (reason: string): string => `${ownedPrefix}${reason}`;

/** The name a rule has in WAF. */
export const ruleName = (id: string): string => `${ownedPrefix}${id}`;

const visibility = (name: string, sampled: boolean): VisibilityConfig => ({
  CloudWatchMetricsEnabled: true,
  MetricName: name,
  SampledRequestsEnabled: sampled,
});

function responseHeaders(
  enforcement: Extract<Enforcement, { kind: 'block' }>,
  cors: RuleSet['cors'],
): CustomHTTPHeader[] {
  const headers: CustomHTTPHeader[] = [
    { Name: 'cache-control', Value: 'no-store' },
    { Name: 'x-portcullis-reason', Value: enforcement.reason },
  ];
  if (enforcement.retryAfter !== undefined) {
    headers.push({ Name: 'retry-after', Value: String(enforcement.retryAfter) });
  }
  if (enforcement.status === 401) headers.push({ Name: 'www-authenticate', Value: 'Bearer' });
  if (cors) {
    headers.push({ Name: 'access-control-allow-origin', Value: cors.origin });
    headers.push({ Name: 'access-control-expose-headers', Value: 'x-portcullis-reason, retry-after' });
    if (cors.credentials) headers.push({ Name: 'access-control-allow-credentials', Value: 'true' });
  }
  return headers;
}

function actionOf(definition: RuleDefinition, stage: Stage, set: RuleSet): Pick<Rule, 'Action' | 'OverrideAction'> {
  const { enforcement } = definition;
  const count: RuleAction = { Count: {} };
  switch (enforcement.kind) {
    case 'label':
      return {
        Action: enforcement.headers
          ? { Count: { CustomRequestHandling: { InsertHeaders: [...enforcement.headers] } } }
          : count,
      };
    case 'challenge':
      return { Action: stage === 'enforce' ? { Challenge: {} } : count };
    case 'block':
      if (stage === 'count') return { Action: count };
      return {
        Action: {
          Block: {
            CustomResponse: {
              ResponseCode: enforcement.status,
              CustomResponseBodyKey: bodyKey(enforcement.reason),
              ResponseHeaders: responseHeaders(enforcement, set.cors),
            },
          },
        },
      };
    case 'managed':
    case 'group':
      return { OverrideAction: { None: {} } };
  }
}

/** Managed groups take the ACL's own action per rule: Block where enforced, Count elsewhere. */
function managedOverrides(definition: RuleDefinition, stage: Stage): RuleActionOverride[] {
  if (definition.enforcement.kind !== 'managed') return [];
  const { block } = definition.enforcement;
  const managed = definition.statement.ManagedRuleGroupStatement;
  const known = findManagedGroup(managed?.VendorName, managed?.Name)?.rules ?? [];
  const overrides: RuleActionOverride[] = [];
  for (const rule of known) {
    const wanted = stage === 'enforce' && block.includes(rule.name) ? 'Block' : 'Count';
    if (wanted !== rule.action) overrides.push({ Name: rule.name, ActionToUse: { [wanted]: {} } });
  }
  return overrides;
}

function statementAt(definition: RuleDefinition, stageOf: StageOf): Statement {
  const { enforcement, statement } = definition;
  if (enforcement.kind === 'managed' && statement.ManagedRuleGroupStatement) {
    const overrides = managedOverrides(definition, stageOf(definition.id));
    const { RuleActionOverrides: _dropped, ...rest } = statement.ManagedRuleGroupStatement;
    return {
      ManagedRuleGroupStatement: { ...rest, ...(overrides.length > 0 ? { RuleActionOverrides: overrides } : {}) },
    };
  }
  if (enforcement.kind === 'group' && statement.RuleGroupReferenceStatement) {
    // The group itself enforces; a rule that only counts yet is overridden here, so that a stage is one ACL update.
    const counting = enforcement.rules
      .filter((rule) => rule.enforcement.kind === 'block' && stageOf(rule.id) === 'count')
      .map((rule): RuleActionOverride => ({ Name: ruleName(rule.id), ActionToUse: { Count: {} } }));
    const arn = statement.RuleGroupReferenceStatement.ARN ?? '';
    return {
      RuleGroupReferenceStatement: { ARN: arn, ...(counting.length > 0 ? { RuleActionOverrides: counting } : {}) },
    };
  }
  return statement;
}

/** One rule as the API takes it. */
export function toApiRule(definition: RuleDefinition, priority: number, stageOf: StageOf, set: RuleSet): Rule {
  const stage = set.observeOnly ? 'count' : stageOf(definition.id);
  const name = ruleName(definition.id);
  return {
    Name: name,
    Priority: priority,
    Statement: statementAt(definition, set.observeOnly ? () => 'count' : stageOf),
    ...actionOf(definition, stage, set),
    ...(definition.labels.length > 0 ? { RuleLabels: definition.labels.map((Name) => ({ Name })) } : {}),
    VisibilityConfig: visibility(name, set.sampling),
  };
}

/** The ACL's rules of ours as the API takes them; priorities in tens, stepping over those that others hold. */
export function toApiRules(set: RuleSet, stageOf: StageOf, taken: ReadonlySet<number> = new Set()): Rule[] {
  let priority = set.firstPriority - 10;
  return set.rules.map((definition) => {
    priority += 10;
    while (taken.has(priority)) priority += 1;
    return toApiRule(definition, priority, stageOf, set);
  });
}

/** A group's rules as the API takes them: enforced in the group, staged by the ACL's overrides. */
export function toApiGroupRules(group: RuleGroupDefinition, set: RuleSet): Rule[] {
  return group.rules.map((definition, index) => {
    const rule = toApiRule(definition, index, () => 'enforce', { ...set, observeOnly: false });
    return rule;
  });
}

/** The bodies that a list of rules answers with. */
export function bodiesOf(
  rules: readonly RuleDefinition[],
  all: Readonly<Record<string, CustomResponseBody>>,
): Record<string, CustomResponseBody> {
  const bodies: Record<string, CustomResponseBody> = {};
  for (const rule of rules) {
    if (rule.enforcement.kind !== 'block') continue;
    const body = all[bodyKey(rule.enforcement.reason)];
    if (body) bodies[bodyKey(rule.enforcement.reason)] = body;
  }
  return bodies;
}

/** A definition that refers to a rule group of ours. */
export function groupDefinition(group: RuleGroupDefinition, id: string, threat: string): RuleDefinition {
  return {
    id,
    threat,
    falsePositives: 'See the rules of the group.',
    statement: ruleGroup(group.name),
    enforcement: { kind: 'group', rules: group.rules },
    labels: [],
  };
}

/** Every rule that is staged by itself: those of the ACL, and those inside groups of ours. */
export function stagedRules(set: RuleSet): RuleDefinition[] {
  return set.rules.flatMap((rule) =>
    rule.enforcement.kind === 'group'
      ? rule.enforcement.rules.filter((inner) => inner.enforcement.kind === 'block')
      : rule.enforcement.kind === 'label'
        ? []
        : [rule],
  );
}

/** The statements of a rule and all that is nested in them. */
export function statementsOf(rule: { Statement?: Statement | undefined }): Statement[] {
  const found: Statement[] = [];
  if (rule.Statement) walkStatement(rule.Statement, (statement) => found.push(statement));
  return found;
}
