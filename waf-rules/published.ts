import {
  GetLoggingConfigurationCommand,
  GetWebACLCommand,
  ListIPSetsCommand,
  ListRuleGroupsCommand,
  ListWebACLsCommand,
  GetRuleGroupCommand,
  type LoggingConfiguration,
  type WAFV2Client,
  type WebACL,
} from '@aws-sdk/client-wafv2';
import { isMissing, patiently, type Patience } from './retry.js';

/** A set or group that exists. */
export interface PublishedThing {
  readonly name: string;
  readonly id: string;
  readonly arn: string;
  readonly lock: string;
}

/** What AWS holds of a rule set. */
export interface Published {
  readonly acl: WebACL | undefined;
  readonly lock: string | undefined;
  readonly ipSets: ReadonlyMap<string, PublishedThing>;
  readonly groups: ReadonlyMap<string, PublishedThing & { readonly capacity: number }>;
  readonly logging: LoggingConfiguration | undefined;
}

/** The part of the client that is used. */
export type WafClient = Pick<WAFV2Client, 'send'>;

const Scope = 'CLOUDFRONT' as const;

interface Page {
  readonly items: {
    Name?: string | undefined;
    Id?: string | undefined;
    ARN?: string | undefined;
    LockToken?: string | undefined;
  }[];
  readonly next: string | undefined;
}

async function listAll(
  what: string,
  patience: Patience,
  page: (marker: string | undefined) => Promise<Page>,
): Promise<PublishedThing[]> {
  const found: PublishedThing[] = [];
  let marker: string | undefined;
  do {
    const { items, next } = await patiently(what, patience, () => page(marker));
    for (const item of items) {
      found.push({ name: item.Name ?? '', id: item.Id ?? '', arn: item.ARN ?? '', lock: item.LockToken ?? '' });
    }
    marker = next === '' ? undefined : next;
  } while (marker !== undefined);
  return found;
}

const from = (marker: string | undefined): { NextMarker?: string } =>
  marker === undefined ? {} : { NextMarker: marker };

/** Reads everything of the name: the ACL, the sets and groups whose names begin with it, the logging configuration. */
export async function readPublished(client: WafClient, name: string, patience: Patience): Promise<Published> {
  const ours = (thing: PublishedThing): boolean => thing.name.startsWith(`${name}-`);
  const ipSets = await listAll('ListIPSets', patience, async (marker) => {
    const page = await client.send(new ListIPSetsCommand({ Scope, Limit: 100, ...from(marker) }));
    return { items: page.IPSets ?? [], next: page.NextMarker };
  });
  const groupList = await listAll('ListRuleGroups', patience, async (marker) => {
    const page = await client.send(new ListRuleGroupsCommand({ Scope, Limit: 100, ...from(marker) }));
    return { items: page.RuleGroups ?? [], next: page.NextMarker };
  });
  const groups = new Map<string, PublishedThing & { capacity: number }>();
  for (const group of groupList.filter(ours)) {
    const found = await patiently('GetRuleGroup', patience, () =>
      client.send(new GetRuleGroupCommand({ Scope, Name: group.name, Id: group.id })),
    );
    groups.set(group.name, { ...group, capacity: found.RuleGroup?.Capacity ?? 0 });
  }
  const { acl, lock } = await readAcl(client, name, patience);
  return {
    acl,
    lock,
    ipSets: new Map(ipSets.filter(ours).map((set) => [set.name, set])),
    groups,
    logging: acl ? await readLogging(client, acl.ARN ?? '', patience) : undefined,
  };
}

/** Reads the web ACL of a name, if there is one. */
export async function readAcl(
  client: WafClient,
  name: string,
  patience: Patience,
): Promise<{ acl: WebACL | undefined; lock: string | undefined }> {
  const acls = await listAll('ListWebACLs', patience, async (marker) => {
    const page = await client.send(new ListWebACLsCommand({ Scope, Limit: 100, ...from(marker) }));
    return { items: page.WebACLs ?? [], next: page.NextMarker };
  });
  const summary = acls.find((each) => each.name === name);
  if (!summary) return { acl: undefined, lock: undefined };
  const found = await patiently('GetWebACL', patience, () =>
    client.send(new GetWebACLCommand({ Scope, Name: name, Id: summary.id })),
  );
  return { acl: found.WebACL, lock: found.LockToken };
}

async function readLogging(
  client: WafClient,
  ResourceArn: string,
  patience: Patience,
): Promise<LoggingConfiguration | undefined> {
  try {
    const found = await patiently('GetLoggingConfiguration', patience, () =>
      client.send(new GetLoggingConfigurationCommand({ ResourceArn })),
    );
    return found.LoggingConfiguration;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
