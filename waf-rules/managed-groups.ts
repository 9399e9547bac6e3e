/** One rule of a managed group, as far as its documentation says. */
export interface ManagedRule {
  readonly name: string;
  readonly action: 'Block' | 'Count';
  readonly label: string;
}

/** What AWS documents of a managed rule group. */
export interface ManagedGroup {
  readonly name: string;
  readonly wcu: number;
  /** The page of the AWS WAF Developer Guide that states it. */
  readonly source: string;
  readonly labelNamespace?: string;
  /** The rules we override or model; absent where this project uses the group as it is. */
  readonly rules?: readonly ManagedRule[];
}

const rule = (namespace: string, name: string, action: ManagedRule['action']): ManagedRule => ({
  name,
  action,
  label: `${namespace}${name}`,
});

const anonymous = 'awswaf:managed:aws:anonymous-ip-list:';
const reputation = 'awswaf:managed:aws:amazon-ip-list:';

/** AWS's managed groups that this project knows: capacity, rules and labels. */
export const managedGroups = {
  anonymousIps: {
    name: 'AWSManagedRulesAnonymousIpList',
    wcu: 50,
    source: 'aws-managed-rule-groups-ip-rep',
    labelNamespace: anonymous,
    rules: [rule(anonymous, 'AnonymousIPList', 'Block'), rule(anonymous, 'HostingProviderIPList', 'Block')],
  },
  ipReputation: {
    name: 'AWSManagedRulesAmazonIpReputationList',
    wcu: 25,
    source: 'aws-managed-rule-groups-ip-rep',
    labelNamespace: reputation,
    rules: [
      rule(reputation, 'AWSManagedIPReputationList', 'Block'),
      rule(reputation, 'AWSManagedReconnaissanceList', 'Block'),
      rule(reputation, 'AWSManagedIPDDoSList', 'Count'),
    ],
  },
  common: { name: 'AWSManagedRulesCommonRuleSet', wcu: 700, source: 'aws-managed-rule-groups-baseline' },
  knownBadInputs: {
    name: 'AWSManagedRulesKnownBadInputsRuleSet',
    wcu: 200,
    source: 'aws-managed-rule-groups-baseline',
  },
  botControl: { name: 'AWSManagedRulesBotControlRuleSet', wcu: 50, source: 'aws-managed-rule-groups-bot' },
} as const satisfies Record<string, ManagedGroup>;

const byName = new Map<string, ManagedGroup>(Object.values(managedGroups).map((group) => [group.name, group]));

/** The group of that name, if AWS is its vendor and we know it. */
export const findManagedGroup = (vendor: string | undefined, name: string | undefined): ManagedGroup | undefined =>
  vendor === 'AWS' ? byName.get(name ?? '') : undefined;
