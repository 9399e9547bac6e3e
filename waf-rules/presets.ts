import type { CustomResponseBody } from '@aws-sdk/client-wafv2';
import { shortDigest } from './canonical.js';
import { capacityOf } from './capacity.js';
import { parseWafConfig, type WafConfigInput } from './config.js';
import { WafRulesError } from './errors.js';
import { ruleLimits } from './limits.js';
import { dataProtectionsOf, loggingOf, tokenCarriers } from './logging.js';
import {
  bodyKey,
  groupDefinition,
  stagedRules,
  toApiGroupRules,
  toApiRules,
  type RuleDefinition,
  type RuleGroupDefinition,
  type RuleSet,
} from './rule-set.js';
import {
  challengeRules,
  clientWafHeaders,
  exceptionRules,
  exceptionSets,
  fingerprintRules,
  hygieneRules,
  listedNetworkRules,
  mintRules,
  placeRules,
  rateRules,
  tokenRules,
} from './rules.js';
import { settingsOf, type WafSettings } from './settings.js';
import { validateRuleSet } from './validate.js';

const reasons: Readonly<Record<string, string>> = {
  forged_header: 'A header that only the firewall may set.',
  address_blocked: 'This address is blocked.',
  network_refused: 'This network is not admitted.',
  place_refused: 'Not available in your location.',
  fingerprint_refused: 'This client is not admitted.',
  method_refused: 'Method not allowed.',
  body_refused: 'Request body not admitted.',
  too_long: 'Request too long.',
  ambiguous_path: 'The path cannot be read in one way only.',
  missing_token: 'A token is needed.',
  malformed_token: 'The token cannot be read.',
  rate_limited: 'Too many requests.',
};

/** The body for a reason: the same JSON the edge function answers with, the id being WAF's request id. */
function bodyFor(reason: string): CustomResponseBody {
  return {
    ContentType: 'APPLICATION_JSON',
    Content: JSON.stringify({ error: reason, message: reasons[reason] ?? '', id: '${awswaf:request_id:}' }),
  };
}

/** The group in which revocation keeps its sets; its rules belong to the address blocker. */
export const blockedGroupName = (name: string): string => `${name}-blocked`;

/**
 * Builds the rule set of a configuration: preset, settings on top, checked against AWS's limits and the chosen
 * capacity ceiling.
 *
 * @throws WafRulesError `invalid_configuration`, `invalid_rule_set`, `invalid_regex` or `capacity_exceeded`
 * @example buildRuleSet({ preset: 'live-event', protectedPaths: ['/live/'], mint: { path: '/token' } })
 */
export function buildRuleSet(config: WafConfigInput): RuleSet {
  return ruleSetOf(settingsOf(parseWafConfig(config)));
}

/** The rule set of settings that are already put together. */
export function ruleSetOf(settings: WafSettings): RuleSet {
  const blocked: RuleGroupDefinition = {
    name: blockedGroupName(settings.name),
    capacity: settings.blockedCapacity,
    rules: [],
    keeper: 'addresses',
  };
  const hygieneDefinitions = hygieneRules(settings);
  const draft = (rules: RuleDefinition[], groups: RuleGroupDefinition[]): RuleSet => ({
    preset: settings.preset,
    name: settings.name,
    rules,
    groups,
    ipSets: [
      ...([4, 6] as const).map((family) => ({
        name: `${settings.name}-blocked-v${family}-1`,
        family,
        description: 'Portcullis: addresses cut off by revocation',
      })),
      ...Object.values(exceptionSets(settings)).flat(),
    ],
    bodies: bodiesFor(rules),
    cors: settings.cors,
    // A path token cannot be protected in samples (API:FieldToProtect has no path), so there are none then.
    sampling: !tokenCarriers(settings).path,
    dataProtections: dataProtectionsOf(settings),
    logging: loggingOf(
      settings,
      rules.flatMap((rule) => rule.labels.filter((name) => name.startsWith('deny:'))),
    ),
    firstPriority: settings.firstPriority,
    ceiling: settings.ceiling,
    observeOnly: settings.preset === 'observe',
    remarks: [],
  });
  const probe: RuleGroupDefinition = { name: 'probe', capacity: 0, rules: hygieneDefinitions, keeper: 'content' };
  const content = toApiGroupRules(probe, draft([], []));
  // The name holds a digest of the content: a group is made anew and never changed, so one update of the ACL switches
  // everything at once, and going back finds the old group as it was.
  const hygiene: RuleGroupDefinition = {
    ...probe,
    name: `${settings.name}-hygiene-${shortDigest([content, settings.cors])}`,
    capacity: capacityOf(content).wcu,
  };
  const { rules, remarks } = fitRateLimits([
    clientWafHeaders(),
    ...exceptionRules(settings),
    groupDefinition(blocked, 'blocked', 'Addresses and networks cut off by revocation.'),
    ...placeRules(settings),
    ...fingerprintRules(settings),
    ...listedNetworkRules(settings),
    groupDefinition(hygiene, 'hygiene', 'Requests that no player makes.'),
    ...tokenRules(settings),
    ...mintRules(settings),
    ...challengeRules(settings),
    ...rateRules(settings),
  ]);
  const set: RuleSet = { ...draft(rules, [blocked, hygiene]), remarks };
  validateRuleSet(set);
  const total = ruleSetCapacity(set).wcu;
  if (total > settings.ceiling) {
    throw new WafRulesError(
      'capacity_exceeded',
      `The rule set needs ${total} capacity units, more than the chosen ceiling of ${settings.ceiling}. ` +
        'Leave out rules, or raise waf.capacity.ceiling (above 1,500 the web ACL costs more).',
      { wcu: total, ceiling: settings.ceiling },
    );
  }
  return set;
}

/** Rate limits that go first where the ten of an ACL do not suffice, least missed first. */
const dispensable = [
  'rate-token-authorization',
  'rate-token-common-access-token',
  'mint-rate-agent',
  'rate-listed-network',
] as const;

/** Keeps to AWS's ten rate limits per ACL; what is left out is said, never silent. */
function fitRateLimits(rules: readonly RuleDefinition[]): { rules: RuleDefinition[]; remarks: string[] } {
  const kept = [...rules];
  const remarks: string[] = [];
  const count = (): number => kept.filter((rule) => rule.statement.RateBasedStatement).length;
  for (const id of dispensable) {
    if (count() <= ruleLimits.rateBasedPerAcl) break;
    const at = kept.findIndex((rule) => rule.id === id);
    if (at < 0) continue;
    kept.splice(at, 1);
    remarks.push(
      `${id} is left out: a web ACL takes ${ruleLimits.rateBasedPerAcl} rate limits. Turn off another (waf.rates, waf.mint) to have it.`,
    );
  }
  return { rules: kept, remarks };
}

function bodiesFor(rules: readonly RuleDefinition[]): Record<string, CustomResponseBody> {
  const bodies: Record<string, CustomResponseBody> = { [bodyKey('address_blocked')]: bodyFor('address_blocked') };
  const collect = (definitions: readonly RuleDefinition[]): void => {
    for (const { enforcement } of definitions) {
      if (enforcement.kind === 'block') bodies[bodyKey(enforcement.reason)] = bodyFor(enforcement.reason);
      if (enforcement.kind === 'group') collect(enforcement.rules);
    }
  };
  collect(rules);
  return bodies;
}

/** The capacity of the ACL's rules, rule groups at their fixed figure; everything enforced, which is never cheaper. */
export function ruleSetCapacity(set: RuleSet): ReturnType<typeof capacityOf> {
  const capacities = new Map(set.groups.map((group) => [group.name, group.capacity]));
  return capacityOf(
    toApiRules(set, () => 'enforce'),
    { ruleGroup: (name) => capacities.get(name) },
  );
}

/** What a preset keeps out, by the rule that does it. */
export function threatsOf(set: RuleSet): { rule: string; threat: string }[] {
  return stagedRules(set).map((rule) => ({ rule: rule.id, threat: rule.threat }));
}
