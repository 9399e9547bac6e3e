// Reads what a plan needs to know. No call here changes anything.
import {
  DescribeFunctionCommand,
  DescribeKeyValueStoreCommand,
  GetCachePolicyCommand,
  GetDistributionCommand,
  GetDistributionConfigCommand,
  GetFunctionCommand,
  GetOriginRequestPolicyCommand,
  ListDistributionsCommand,
  ListOriginRequestPoliciesCommand,
  type CachePolicyConfig,
  type CloudFrontClient,
  type DistributionConfig,
  type FunctionStage,
  type OriginRequestPolicyConfig,
} from '@aws-sdk/client-cloudfront';
import { captureBody, lostElements, updateBody } from './configuration-loss.js';
import { DeployError } from './errors.js';
import { sha256 } from './hashes.js';
import { modeOf, type KeyValues } from './key-values.js';
import { behavioursOf } from './paths.js';
import { testKeyId } from './test-key.js';
import type {
  DesiredState,
  ModeRecord,
  ObservedFunction,
  ObservedStage,
  ObservedState,
  ObservedStore,
  OtherDistribution,
} from './state.js';

export interface ReadAccess {
  readonly cloudFront: CloudFrontClient;
  /** The data plane of a store, by its ARN. */
  keyValues(arn: string): KeyValues;
}

type ReadDesired = Pick<DesiredState, 'distribution' | 'prefix' | 'name' | 'storeName' | 'functions' | 'keyRecords'>;

/** The name of an error of the API, such as `PreconditionFailed`. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

async function unlessMissing<Value>(read: Promise<Value>, missing: readonly string[]): Promise<Value | undefined> {
  try {
    return await read;
  } catch (error) {
    if (missing.includes(errorName(error))) return undefined;
    throw error;
  }
}

/** Reads the distribution, the deployment's functions and store, and the policies in use. */
export async function observe(access: ReadAccess, desired: ReadDesired): Promise<ObservedState> {
  const { cloudFront } = access;
  const distribution = await readDistribution(cloudFront, desired.distribution);
  const behaviours = behavioursOf(distribution.config);
  const names = [...new Set(desired.functions.map((item) => item.name))];
  const functions = new Map<string, ObservedFunction>();
  for (const name of names) {
    const found = await readFunction(cloudFront, name);
    if (found) functions.set(name, found);
  }
  const cachePolicies = new Map<string, CachePolicyConfig>();
  for (const id of new Set(behaviours.map((item) => item.settings.CachePolicyId))) {
    if (!id) continue;
    const { CachePolicy } = await cloudFront.send(new GetCachePolicyCommand({ Id: id }));
    if (CachePolicy?.CachePolicyConfig) cachePolicies.set(id, CachePolicy.CachePolicyConfig);
  }
  const originRequestPolicies = await ownPolicies(cloudFront, `${desired.prefix}-${desired.name}-`);
  for (const id of new Set(behaviours.map((item) => item.settings.OriginRequestPolicyId))) {
    if (!id || originRequestPolicies.has(id)) continue;
    const { OriginRequestPolicy } = await cloudFront.send(new GetOriginRequestPolicyCommand({ Id: id }));
    if (OriginRequestPolicy?.OriginRequestPolicyConfig) {
      originRequestPolicies.set(id, OriginRequestPolicy.OriginRequestPolicyConfig);
    }
  }
  return {
    distribution,
    functions,
    store: await readStore(access, desired),
    cachePolicies,
    originRequestPolicies,
    otherDistributions: await otherDistributions(cloudFront, desired.distribution),
  };
}

async function readDistribution(client: CloudFrontClient, id: string): Promise<ObservedState['distribution']> {
  const found = await unlessMissing(client.send(new GetDistributionCommand({ Id: id })), ['NoSuchDistribution']);
  if (!found?.Distribution) {
    throw new DeployError('not_found', `There is no distribution ${id} in this account.`, {
      hint: 'Check deployment.distribution, and the credentials in use with: aws sts get-caller-identity',
    });
  }
  const { config, etag, xml } = await readConfig(client, id);
  return {
    id,
    arn: found.Distribution.ARN as string,
    domainName: found.Distribution.DomainName as string,
    deployed: found.Distribution.Status === 'Deployed',
    etag,
    config,
    unknownElements: lostElements(xml, await updateBody(client, config)),
  };
}

/** The configuration with its ETag, and the bytes it came in. */
export async function readConfig(
  client: CloudFrontClient,
  id: string,
): Promise<{ config: DistributionConfig; etag: string; xml: string }> {
  const command = new GetDistributionConfigCommand({ Id: id });
  let xml = '';
  captureBody(command.middlewareStack as never, (text) => {
    xml = text;
  });
  const answer = await client.send(command);
  return { config: answer.DistributionConfig as DistributionConfig, etag: answer.ETag as string, xml };
}

/** One stage of a function; undefined where it does not exist. */
export async function readStage(
  client: CloudFrontClient,
  name: string,
  stage: FunctionStage,
): Promise<(ObservedStage & { readonly arn: string; readonly code: Uint8Array }) | undefined> {
  const about = await unlessMissing(client.send(new DescribeFunctionCommand({ Name: name, Stage: stage })), [
    'NoSuchFunctionExists',
  ]);
  if (!about) return undefined;
  const { FunctionCode } = await client.send(new GetFunctionCommand({ Name: name, Stage: stage }));
  const code = FunctionCode ?? new Uint8Array();
  const associations = about.FunctionSummary?.FunctionConfig?.KeyValueStoreAssociations?.Items ?? [];
  return {
    arn: about.FunctionSummary?.FunctionMetadata?.FunctionARN as string,
    code,
    sha256: sha256(code),
    bytes: code.length,
    etag: about.ETag as string,
    stores: associations.map((item) => item.KeyValueStoreARN as string),
  };
}

async function readFunction(client: CloudFrontClient, name: string): Promise<ObservedFunction | undefined> {
  const development = await readStage(client, name, 'DEVELOPMENT');
  if (!development) return undefined;
  const live = await readStage(client, name, 'LIVE');
  const plain = (stage: typeof development | undefined): ObservedStage | undefined =>
    stage && { sha256: stage.sha256, bytes: stage.bytes, etag: stage.etag, stores: stage.stores };
  return { name, arn: development.arn, development: plain(development), live: plain(live) };
}

async function readStore(access: ReadAccess, desired: ReadDesired): Promise<ObservedStore | undefined> {
  const found = await unlessMissing(
    access.cloudFront.send(new DescribeKeyValueStoreCommand({ Name: desired.storeName })),
    ['EntityNotFound'],
  );
  const store = found?.KeyValueStore;
  if (!store) return undefined;
  const arn = store.ARN as string;
  const ready = store.Status === 'READY';
  const { keyRecords, modes } = ready
    ? await readRecords(access.keyValues(arn), desired)
    : { keyRecords: undefined, modes: [] };
  return { name: desired.storeName, arn, ready, keyRecords, modes };
}

/** A store full of revocations is not read whole for this. */
const recordPages = 20;

/** How many key records there are, and what records say about the mode. Values stay here: they may be keys. */
async function readRecords(
  values: KeyValues,
  desired: ReadDesired,
): Promise<{ keyRecords: number | undefined; modes: ModeRecord[] }> {
  const found: [key: string, value: string][] = [];
  let whole = desired.keyRecords.length > 0;
  for (const key of ['m:', ...desired.keyRecords]) {
    const value = await values.get(key);
    if (value !== undefined) found.push([key, value]);
  }
  if (desired.keyRecords.length === 0) {
    let pages = 0;
    whole = true;
    for await (const page of values.pages()) {
      pages += 1;
      for (const [key, value] of page) if (key.startsWith('k:') && key !== `k:${testKeyId}`) found.push([key, value]);
      if (pages === recordPages) {
        whole = false;
        break;
      }
    }
  }
  const keys = found.filter(([key]) => key !== 'm:').length;
  return {
    keyRecords: keys > 0 || whole ? keys : undefined,
    // A mode whose time is up has fallen back to enforce by itself.
    modes: found
      .flatMap(([key, value]) => modeOf(key, value) ?? [])
      .filter((record) => record.until === undefined || record.until * 1000 > Date.now()),
  };
}

async function ownPolicies(client: CloudFrontClient, prefix: string): Promise<Map<string, OriginRequestPolicyConfig>> {
  const found = new Map<string, OriginRequestPolicyConfig>();
  let marker: string | undefined;
  do {
    const { OriginRequestPolicyList: page } = await client.send(
      new ListOriginRequestPoliciesCommand({ Type: 'custom', ...(marker === undefined ? {} : { Marker: marker }) }),
    );
    for (const item of page?.Items ?? []) {
      const policy = item.OriginRequestPolicy;
      const config = policy?.OriginRequestPolicyConfig;
      if (policy?.Id && config?.Name?.startsWith(prefix)) found.set(policy.Id, config);
    }
    marker = page?.NextMarker || undefined;
  } while (marker !== undefined);
  return found;
}

async function otherDistributions(client: CloudFrontClient, own: string): Promise<OtherDistribution[]> {
  const found: OtherDistribution[] = [];
  let marker: string | undefined;
  do {
    const { DistributionList: page } = await client.send(
      new ListDistributionsCommand(marker === undefined ? {} : { Marker: marker }),
    );
    for (const item of page?.Items ?? []) {
      if (item.Id === own || !item.Enabled || item.Staging) continue;
      found.push({
        id: item.Id as string,
        originDomains: (item.Origins?.Items ?? []).map((origin) => origin.DomainName as string),
      });
    }
    marker = page?.NextMarker || undefined;
  } while (marker !== undefined);
  return found;
}
