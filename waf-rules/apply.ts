import {
  CheckCapacityCommand,
  CreateIPSetCommand,
  CreateRuleGroupCommand,
  CreateWebACLCommand,
  DeleteIPSetCommand,
  DeleteRuleGroupCommand,
  PutLoggingConfigurationCommand,
  UpdateWebACLCommand,
  type UpdateWebACLCommandInput,
  type WebACL,
} from '@aws-sdk/client-wafv2';
import { sameJson } from './canonical.js';
import { WafRulesError } from './errors.js';
import {
  aclDescription,
  groupContent,
  isOurAcl,
  isOwned,
  mergeBodies,
  mergeLogging,
  mergeProtections,
  mergeRules,
  ownedPart,
  planChanges,
  referencedNames,
  wantedPart,
  type Plan,
} from './plan.js';
import { readAcl, readPublished, type Published, type WafClient } from './published.js';
import { isDuplicate, isLimit, isLockConflict, patiently, realPatience, type Patience } from './retry.js';
import {
  stagesOf,
  type AclSnapshot,
  type AppliedVersion,
  type RolloutRecord,
  type RolloutRecordStore,
  type StageDecision,
} from './rollout-record.js';
import { stagedRules, type RuleSet, type Stage } from './rule-set.js';

const Scope = 'CLOUDFRONT' as const;

/** What publishing works with. */
export interface PublishOptions {
  readonly client: WafClient;
  readonly records: RolloutRecordStore;
  /** How rules start that nobody decided on. Default `count`. */
  readonly start?: Stage;
  /** Who is at work, for the record. */
  readonly by: string;
  readonly now?: () => Date;
  readonly patience?: Patience;
  /** Told of each step as it is done. */
  readonly onStep?: (step: string) => void;
}

/** What was done. */
export interface ApplyResult {
  readonly plan: Plan;
  /** Steps carried out, in order; empty for a no-op. */
  readonly steps: readonly string[];
  /** The recorded version, where the ACL changed. */
  readonly version: number | undefined;
  readonly arn: string | undefined;
}

const patienceOf = (options: PublishOptions): Patience => options.patience ?? realPatience;
const clockOf = (options: PublishOptions): (() => Date) => options.now ?? (() => new Date());

/**
 * Reads what is there and compares; changes nothing.
 *
 * @example console.log(describePlan((await makePlan(ruleSet, options)).plan))
 */
export async function makePlan(
  set: RuleSet,
  options: PublishOptions,
): Promise<{ plan: Plan; published: Published; record: RolloutRecord }> {
  const record = await options.records.read(set.name);
  const published = await readPublished(options.client, set.name, patienceOf(options));
  const plan = planChanges(set, published, stagesOf(record, options.start ?? 'count'), record);
  return { plan, published, record };
}

/**
 * Records decisions about stages: the next apply carries them out.
 *
 * @throws WafRulesError `invalid_configuration` for a rule that does not exist or cannot be staged
 */
export async function decideStages(
  set: RuleSet,
  rules: readonly string[] | 'all',
  stage: Stage,
  why: string,
  options: PublishOptions,
): Promise<readonly StageDecision[]> {
  if (set.observeOnly && stage === 'enforce') {
    throw new WafRulesError('invalid_configuration', 'The preset observe never enforces; choose another preset first.');
  }
  const known = stagedRules(set).map((rule) => rule.id);
  const chosen = rules === 'all' ? known : rules;
  for (const rule of chosen) {
    if (known.includes(rule)) continue;
    throw new WafRulesError(
      'invalid_configuration',
      `No rule "${rule}" to decide on. The rule set has: ${known.join(', ')}.`,
      { rule },
    );
  }
  const record = await options.records.read(set.name);
  const at = clockOf(options)().toISOString();
  const decisions = chosen.map((rule): StageDecision => ({ rule, stage, at, by: options.by, why }));
  await options.records.write({ ...record, decisions: [...record.decisions, ...decisions] });
  return decisions;
}

/**
 * Puts a rule set in force.
 *
 * Sets and groups are made first and never changed, then one `UpdateWebACL` switches everything: until it, AWS enforces
 * the old rules; after it, the new. Whatever fails before leaves the old rules in force and at most unused sets behind,
 * which the next run takes up.
 *
 * @throws WafRulesError `plan_stale` when our rules were changed by somebody after they were read, `limit_exceeded`,
 *   `lock_conflict`, `entity_unavailable`, `apply_failed`
 */
export async function applyRuleSet(set: RuleSet, options: PublishOptions): Promise<ApplyResult> {
  const patience = patienceOf(options);
  const { client } = options;
  const { plan, published, record } = await makePlan(set, options);
  const steps: string[] = [];
  const done = (step: string): void => {
    steps.push(step);
    options.onStep?.(step);
  };
  if (plan.changes.length === 0) {
    return { plan, steps, version: undefined, arn: published.acl?.ARN };
  }
  let entry: AppliedVersion | undefined;
  let current = record;
  try {
    await createSets(set, published, client, patience, done);
    await createGroups(set, published.groups, client, patience, done);
    const ready = await readPublished(client, set.name, patience);
    const wanted = wantedPart(set, ready, stagesOf(record, options.start ?? 'count'));
    const before = ownedPart(published.acl);
    entry = {
      version: (record.versions[record.versions.length - 1]?.version ?? 0) + 1,
      status: 'started',
      at: clockOf(options)().toISOString(),
      by: options.by,
      summary: plan.changes.map((change) => `${change.action} ${change.what} ${change.name}`),
      before,
      after: wanted,
    };
    current = await options.records.write({ ...record, versions: [...record.versions, entry] });
    const acl = await switchAcl(set, wanted, before, client, patience, done);
    current = await options.records.write(withStatus(current, entry.version, 'applied', ownedPart(acl)));
    const logging = mergeLogging(set, published.logging, {
      arn: acl.ARN ?? '',
      labelNamespace: acl.LabelNamespace ?? '',
    });
    if (logging && !sameJson(logging, published.logging)) {
      await patiently('PutLoggingConfiguration', patience, () =>
        client.send(new PutLoggingConfigurationCommand({ LoggingConfiguration: logging })),
      );
      done(`logging to ${logging.LogDestinationConfigs?.join(', ')}`);
    }
    await removeUnused(set, acl, before, client, patience, done);
    return { plan, steps, version: entry.version, arn: acl.ARN };
  } catch (error) {
    if (entry && current.versions.some((each) => each.version === entry?.version && each.status === 'started')) {
      // What cannot be known here is whether a lost answer was a success: the ACL itself tells.
      await settleStarted(set.name, current, entry, options);
    }
    throw describeFailure(error, steps, set.name);
  }
}

const withStatus = (
  record: RolloutRecord,
  version: number,
  status: AppliedVersion['status'],
  after?: AclSnapshot,
): RolloutRecord => ({
  ...record,
  versions: record.versions.map((each) =>
    each.version === version ? { ...each, status, ...(after ? { after } : {}) } : each,
  ),
});

async function settleStarted(
  name: string,
  record: RolloutRecord,
  entry: AppliedVersion,
  options: PublishOptions,
): Promise<void> {
  try {
    const { acl } = await readAcl(options.client, name, patienceOf(options));
    const inForce = sameJson(ownedPart(acl), entry.after) && !sameJson(entry.before, entry.after);
    await options.records.write(withStatus(record, entry.version, inForce ? 'applied' : 'failed'));
  } catch {
    // AWS or the record cannot be reached now: `started` stays, and says so to whoever reads it next.
  }
}

function describeFailure(error: unknown, steps: readonly string[], name: string): Error {
  const sofar = steps.length > 0 ? ` Done before: ${steps.join('; ')}.` : ' Nothing was changed.';
  if (error instanceof WafRulesError) {
    return new WafRulesError(error.code, `${error.message}${sofar}`, { ...error.details, steps }, { cause: error });
  }
  if (isLimit(error)) {
    const source = (error as { SourceType?: string }).SourceType;
    return new WafRulesError(
      'limit_exceeded',
      `AWS refused for a quota${source ? ` (${source})` : ''}: ${(error as Error).message}${sofar} Raise the quota or remove what is unused, then apply again.`,
      { source, steps },
      { cause: error },
    );
  }
  return new WafRulesError(
    'apply_failed',
    `Applying to ${name} failed: ${(error as Error).name}: ${(error as Error).message}${sofar} Run apply again to go on, or rollback.`,
    { steps },
    { cause: error },
  );
}

async function createSets(
  set: RuleSet,
  published: Published,
  client: WafClient,
  patience: Patience,
  done: (step: string) => void,
): Promise<void> {
  for (const ipSet of set.ipSets) {
    if (published.ipSets.has(ipSet.name)) continue;
    await unlessThere(() =>
      patiently(`CreateIPSet ${ipSet.name}`, patience, () =>
        client.send(
          new CreateIPSetCommand({
            Scope,
            Name: ipSet.name,
            Description: ipSet.description,
            IPAddressVersion: ipSet.family === 4 ? 'IPV4' : 'IPV6',
            Addresses: [...(ipSet.addresses ?? [])],
          }),
        ),
      ),
    );
    done(`created IP set ${ipSet.name}`);
  }
}

async function createGroups(
  set: RuleSet,
  there: Published['groups'],
  client: WafClient,
  patience: Patience,
  done: (step: string) => void,
): Promise<void> {
  for (const group of set.groups) {
    if (there.has(group.name)) continue;
    await unlessThere(() =>
      patiently(`CreateRuleGroup ${group.name}`, patience, async () => {
        const { ipSets } = await readPublished(client, set.name, patience);
        const pattern = new RegExp(`^${group.name}-v[46]-[0-9]+$`);
        const arns = [...ipSets.values()].filter((each) => pattern.test(each.name)).map((each) => each.arn);
        const { rules, bodies } = groupContent(group, set, arns);
        return client.send(
          new CreateRuleGroupCommand({
            Scope,
            Name: group.name,
            Capacity: group.capacity,
            Description: `Portcullis: ${group.keeper === 'content' ? 'hygiene rules' : 'addresses and networks cut off by revocation'}`,
            Rules: rules,
            CustomResponseBodies: bodies,
            VisibilityConfig: {
              CloudWatchMetricsEnabled: true,
              MetricName: group.name,
              SampledRequestsEnabled: set.sampling,
            },
          }),
        );
      }),
    );
    done(`created rule group ${group.name}`);
  }
}

/** A thing that exists by now is as good as made: its name says its content. */
async function unlessThere(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
}

/**
 * Writes our part into the ACL, all else as read. On a lock conflict it reads again: changes of others are taken up,
 * changes of our own part stop it.
 */
async function switchAcl(
  set: RuleSet,
  wanted: AclSnapshot,
  expected: AclSnapshot,
  client: WafClient,
  patience: Patience,
  done: (step: string) => void,
): Promise<WebACL> {
  const visibility = { CloudWatchMetricsEnabled: true, MetricName: set.name, SampledRequestsEnabled: set.sampling };
  await patiently(
    `web ACL ${set.name}`,
    patience,
    async () => {
      const { acl, lock } = await readAcl(client, set.name, patience);
      if (!acl) {
        await client.send(
          new CreateWebACLCommand({
            Scope,
            Name: set.name,
            Description: aclDescription(set),
            DefaultAction: { Allow: {} },
            Rules: [...wanted.rules],
            CustomResponseBodies: { ...wanted.bodies },
            VisibilityConfig: visibility,
            ...(set.dataProtections.length > 0
              ? { DataProtectionConfig: { DataProtections: [...set.dataProtections] } }
              : {}),
          }),
        );
        done(`created web ACL ${set.name}`);
        return;
      }
      const now = ownedPart(acl);
      const rules = mergeRules(acl.Rules, wanted.rules);
      // A lost answer: what is there already is what was asked for.
      const written = sameJson(now.rules, rules.filter(isOwned)) && sameJson(now.bodies, wanted.bodies);
      if (!written && !sameJson(now, expected)) {
        throw new WafRulesError(
          'plan_stale',
          `Our rules in ${set.name} were changed by somebody while applying. Plan again, look at the difference, then apply.`,
          { acl: set.name },
        );
      }
      const ours = isOurAcl(acl);
      const protections = mergeProtections(acl.DataProtectionConfig?.DataProtections, set.dataProtections);
      await client.send(
        new UpdateWebACLCommand({
          ...keptSettings(acl),
          Scope,
          Name: set.name,
          Id: acl.Id,
          LockToken: lock,
          Rules: rules,
          CustomResponseBodies: mergeBodies(acl.CustomResponseBodies, wanted.bodies),
          ...(protections.length > 0 ? { DataProtectionConfig: { DataProtections: protections } } : {}),
          ...(ours
            ? { Description: aclDescription(set), DefaultAction: { Allow: {} }, VisibilityConfig: visibility }
            : {}),
        }),
      );
      done(`updated web ACL ${set.name}`);
    },
    (error) => isLockConflict(error) || isDuplicate(error),
  );
  const { acl } = await readAcl(client, set.name, patience);
  if (!acl) throw new WafRulesError('apply_failed', `The web ACL ${set.name} is gone right after it was written.`);
  return acl;
}

/** `UpdateWebACL` replaces everything, so everything that was read goes back. */
function keptSettings(
  acl: WebACL,
): Pick<UpdateWebACLCommandInput, 'DefaultAction' | 'VisibilityConfig'> & Partial<UpdateWebACLCommandInput> {
  const {
    DefaultAction,
    VisibilityConfig,
    Description,
    CaptchaConfig,
    ChallengeConfig,
    TokenDomains,
    AssociationConfig,
    DataProtectionConfig,
    OnSourceDDoSProtectionConfig,
    ApplicationConfig,
    MonetizationConfig,
  } = acl;
  return {
    DefaultAction,
    VisibilityConfig,
    ...(Description ? { Description } : {}),
    ...(CaptchaConfig ? { CaptchaConfig } : {}),
    ...(ChallengeConfig ? { ChallengeConfig } : {}),
    ...(TokenDomains ? { TokenDomains } : {}),
    ...(AssociationConfig ? { AssociationConfig } : {}),
    ...(DataProtectionConfig ? { DataProtectionConfig } : {}),
    ...(OnSourceDDoSProtectionConfig ? { OnSourceDDoSProtectionConfig } : {}),
    ...(ApplicationConfig ? { ApplicationConfig } : {}),
    ...(MonetizationConfig ? { MonetizationConfig } : {}),
  };
}

/** Deletes groups and sets of ours that neither these rules nor the ones before refer to. */
async function removeUnused(
  set: RuleSet,
  acl: WebACL,
  before: AclSnapshot,
  client: WafClient,
  patience: Patience,
  done: (step: string) => void,
): Promise<void> {
  const needed = new Set([...referencedNames(acl.Rules ?? []), ...referencedNames(before.rules)]);
  const ours = new RegExp(`^${set.name}-(hygiene|exempt-v[46]|relay-v[46])-[0-9a-f]{10}$`);
  const published = await readPublished(client, set.name, patience);
  const unused = <T extends { name: string }>(things: Iterable<T>): T[] =>
    [...things].filter((each) => ours.test(each.name) && !needed.has(each.name));
  for (const [kind, things] of [
    ['rule group', unused(published.groups.values())],
    ['IP set', unused(published.ipSets.values())],
  ] as const) {
    for (const { name, id, lock } of things) {
      try {
        const input = { Scope, Name: name, Id: id, LockToken: lock };
        await patiently(`delete ${name}`, patience, async () => {
          if (kind === 'rule group') await client.send(new DeleteRuleGroupCommand(input));
          else await client.send(new DeleteIPSetCommand(input));
        });
        done(`deleted unused ${kind} ${name}`);
      } catch {
        // Still in use as AWS sees it, or taken by another run: it costs nothing and the next run tries again.
      }
    }
  }
}

/**
 * Brings back our rules as they were before a version, foreign rules and address sets untouched.
 *
 * @param to the version whose effect is undone; default the last one in force
 * @throws WafRulesError `nothing_to_roll_back`, `plan_stale` when the rules are not the ones that version left (then
 *   give `force`), and what {@link applyRuleSet} throws
 */
export async function rollBack(
  set: RuleSet,
  options: PublishOptions & { readonly to?: number; readonly force?: boolean },
): Promise<{ readonly version: number; readonly steps: readonly string[] }> {
  const patience = patienceOf(options);
  const record = await options.records.read(set.name);
  const target =
    options.to === undefined
      ? [...record.versions].reverse().find((each) => each.status === 'applied' || each.status === 'started')
      : record.versions.find((each) => each.version === options.to);
  if (!target) {
    throw new WafRulesError(
      'nothing_to_roll_back',
      options.to === undefined
        ? `No version of ${set.name} is recorded that could be undone.`
        : `Version ${options.to} of ${set.name} is not recorded; there are ${record.versions.map((each) => each.version).join(', ') || 'none'}.`,
    );
  }
  const { acl } = await readAcl(options.client, set.name, patience);
  if (!acl) throw new WafRulesError('nothing_to_roll_back', `There is no web ACL ${set.name}.`);
  const now = ownedPart(acl);
  const steps: string[] = [];
  const done = (step: string): void => {
    steps.push(step);
    options.onStep?.(step);
  };
  const newest = record.versions[record.versions.length - 1] as AppliedVersion;
  if (!options.force && !sameJson(now, newest.after) && !sameJson(now, newest.before)) {
    throw new WafRulesError(
      'plan_stale',
      `The rules in ${set.name} are not the ones that were applied last: somebody changed them. Look at the plan, then force.`,
    );
  }
  try {
    await switchAcl(set, target.before, now, options.client, patience, done);
  } catch (error) {
    throw describeFailure(error, steps, set.name);
  }
  const undone = new Set(record.versions.filter((each) => each.version >= target.version).map((each) => each.version));
  await options.records.write({
    ...record,
    versions: record.versions.map((each) => {
      if (!undone.has(each.version)) return each;
      // The stage now in force is the one before the target, whichever version is asked next.
      return { ...each, status: 'rolled-back', before: target.before };
    }),
  });
  return { version: target.version, steps };
}

/**
 * Asks AWS for the capacity of the rule set, to compare with our own figure. The sets and groups must exist, so this
 * works once the rule set was applied.
 *
 * @throws WafRulesError `unresolved_reference` when they do not
 */
export async function checkCapacity(
  set: RuleSet,
  options: Pick<PublishOptions, 'client' | 'patience'>,
): Promise<number> {
  const patience = options.patience ?? realPatience;
  const published = await readPublished(options.client, set.name, patience);
  const { rules } = wantedPart(set, published, () => 'enforce');
  const missing = [...set.ipSets, ...set.groups].filter(
    ({ name }) => !published.ipSets.has(name) && !published.groups.has(name),
  );
  if (missing.length > 0) {
    throw new WafRulesError(
      'unresolved_reference',
      `AWS can only count rules whose sets exist; not there yet: ${missing.map((each) => each.name).join(', ')}.`,
    );
  }
  // Response bodies belong to an ACL and cost nothing, so the question is asked without them.
  const bare = rules.map((rule) => (rule.Action?.Block ? { ...rule, Action: { Block: {} } } : rule));
  const answer = await patiently('CheckCapacity', patience, () =>
    options.client.send(new CheckCapacityCommand({ Scope, Rules: bare })),
  );
  return answer.Capacity ?? 0;
}
