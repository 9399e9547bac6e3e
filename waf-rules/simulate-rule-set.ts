import { addressTable, parseRange, type AddressRange, type AddressTable } from './addresses.js';
import { blockedGroupRules } from './blocked-group.js';
import { managedGroups } from './managed-groups.js';
import { toApiGroupRules, toApiRules, type RuleSet, type StageOf } from './rule-set.js';
import { readReference } from './statements.js';
import { createSimulator, type AddressFacts, type SimulationEnvironment, type Simulator } from './simulator.js';

/** The lists that stand in for AWS's managed groups and for what revocation put into the sets. */
export interface SimulationLists {
  /** VPN, proxy and Tor ranges: rule AnonymousIPList. */
  readonly anonymous?: readonly AddressRange[];
  /** Hosting providers' ranges: rule HostingProviderIPList. */
  readonly hosting?: readonly AddressRange[];
  /** Ranges of bad repute: AWSManagedIPReputationList. */
  readonly reputation?: readonly AddressRange[];
  /** Scanners: AWSManagedReconnaissanceList. */
  readonly reconnaissance?: readonly AddressRange[];
  /** Flooders: AWSManagedIPDDoSList. */
  readonly ddos?: readonly AddressRange[];
  /** Addresses revocation has cut off. */
  readonly blocked?: readonly AddressRange[];
}

export interface RuleSetSimulation {
  readonly lists?: SimulationLists;
  /** Default: everything enforced, since the question is what would be blocked. */
  readonly stageOf?: StageOf;
  readonly locate?: (address: string) => AddressFacts | undefined;
  readonly promptRates?: boolean;
}

const listOfRule: Readonly<Record<string, keyof SimulationLists>> = {
  [managedGroups.anonymousIps.rules[0].name]: 'anonymous',
  [managedGroups.anonymousIps.rules[1].name]: 'hosting',
  [managedGroups.ipReputation.rules[0].name]: 'reputation',
  [managedGroups.ipReputation.rules[1].name]: 'reconnaissance',
  [managedGroups.ipReputation.rules[2].name]: 'ddos',
};

/**
 * A simulator of a rule set, without AWS: sets and groups of the set itself, managed groups from lists.
 *
 * @example simulatorOf(buildRuleSet({ preset: 'strict' }), { lists: { anonymous: parseRangeList(text) } })
 */
export function simulatorOf(set: RuleSet, options: RuleSetSimulation = {}): Simulator {
  const stageOf = options.stageOf ?? (() => 'enforce');
  const tables = new Map<string, AddressTable>();
  for (const ipSet of set.ipSets) {
    const ranges = ipSet.addresses
      ? ipSet.addresses.map(parseRange)
      : (options.lists?.blocked ?? []).filter((range) => range.family === ipSet.family);
    tables.set(ipSet.name, addressTable(ranges));
  }
  const lists = new Map<string, AddressTable>();
  for (const [rule, list] of Object.entries(listOfRule)) {
    const ranges = options.lists?.[list];
    if (ranges) lists.set(rule, addressTable(ranges));
  }
  const environment: SimulationEnvironment = {
    ipSet: (arn) => tables.get(readReference(arn)?.name ?? arn),
    ruleGroup: (arn) => {
      const name = readReference(arn)?.name ?? arn;
      const group = set.groups.find((each) => each.name === name);
      if (!group) return undefined;
      return { name, rules: group.keeper === 'addresses' ? blockedRules(set) : toApiGroupRules(group, set) };
    },
    managedList: (_vendor, _group, rule) => lists.get(rule),
    ...(options.locate ? { locate: options.locate } : {}),
    promptRates: options.promptRates ?? false,
  };
  return createSimulator({ name: set.name, rules: toApiRules(set, stageOf) }, environment);
}

/** The rule that the address blocker keeps in its group, over the sets the rule set knows. */
function blockedRules(set: RuleSet): ReturnType<typeof toApiGroupRules> {
  const sets = set.ipSets.filter((each) => each.addresses === undefined).map((each) => each.name);
  return blockedGroupRules(
    sets.map((name) => `portcullis:ip-set:${name}`),
    [],
    set.cors,
  );
}
