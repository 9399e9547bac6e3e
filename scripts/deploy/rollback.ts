// Goes back to what was before a deployment: the members it changed, the code it replaced, the things it made.
import {
  DeleteFunctionCommand,
  DeleteKeyValueStoreCommand,
  DeleteOriginRequestPolicyCommand,
  DescribeKeyValueStoreCommand,
  GetOriginRequestPolicyCommand,
  ListOriginRequestPoliciesCommand,
  PublishFunctionCommand,
  UpdateDistributionCommand,
  UpdateFunctionCommand,
  type CloudFrontClient,
  type DistributionConfig,
} from '@aws-sdk/client-cloudfront';
import { waitForDistribution, type DeployAccess } from './apply.js';
import { currentValue, nameOfArn, withValues, type BehaviourChange } from './behaviour-changes.js';
import { DeployError } from './errors.js';
import { canonicalJson, configurationHash } from './hashes.js';
import { errorName, readConfig, readStage } from './observe.js';
import type { DeploymentManifest, FunctionRecord } from './record.js';

export interface RollbackResult {
  readonly manifest: DeploymentManifest;
  /** The configuration is, by its hash, the one that was there before. */
  readonly exact: boolean;
  readonly notes: readonly string[];
}

export interface RollbackOptions {
  /** Write over changes that others made to the same members since. */
  readonly force?: boolean;
  /** Delete the KeyValueStore too, where the deployment made it: with the keys and revocations in it. */
  readonly deleteStore?: boolean;
}

type RollbackAccess = Pick<DeployAccess, 'cloudFront' | 'record' | 'wait' | 'note' | 'now'>;

/** The deployment that a rollback would undo: the newest that is not undone yet. */
export async function latestDeployment(
  access: Pick<DeployAccess, 'record'>,
  name: string,
): Promise<DeploymentManifest | undefined> {
  const all = await access.record.list(name);
  return all.filter((manifest) => manifest.state !== 'rolled-back').pop();
}

/**
 * Undoes the newest deployment. Interrupted, a second call completes it.
 *
 * @throws DeployError `nothing_to_roll_back`, `drifted`, `previous_code_missing`
 */
export async function rollBack(
  access: RollbackAccess,
  name: string,
  options: RollbackOptions = {},
): Promise<RollbackResult> {
  const found = await latestDeployment(access, name);
  if (!found) {
    throw new DeployError('nothing_to_roll_back', `No deployment of "${name}" is recorded that could be undone.`);
  }
  let manifest = found;
  const notes: string[] = [];
  const { cloudFront } = access;

  const restores = await codeToRestore(access, manifest);
  const first = await readConfig(cloudFront, manifest.distribution);
  if (!options.force) assertNotDrifted(first.config, manifest.changes);

  manifest = { ...manifest, state: 'rolling-back' };
  await access.record.put(manifest);

  // A function that stays attached goes on reading headers until its old code is back: those are taken away last.
  const restored = new Set(restores.map((item) => item.record.name));
  const stays = (change: BehaviourChange): boolean =>
    change.field === 'OriginRequestPolicyId' && keepsFunction(manifest.changes, first.config, change.pattern, restored);
  const later = manifest.changes.filter(stays);
  await revert(
    access,
    manifest.distribution,
    manifest.changes.filter((change) => !stays(change)),
    options,
  );
  for (const item of restores) {
    access.note(`publish the previous code of ${item.record.name} again`);
    await restoreCode(cloudFront, item.record, item.live, item.development);
  }
  await revert(access, manifest.distribution, later, options);

  for (const functionName of manifest.created.functions) {
    access.note(`delete the function ${functionName}`);
    await deleteFunction(cloudFront, functionName, notes);
  }
  for (const policyName of manifest.created.policies) {
    access.note(`delete the origin request policy ${policyName}`);
    await deletePolicy(cloudFront, policyName, notes);
  }
  if (manifest.created.store !== null) {
    if (options.deleteStore) await deleteStore(cloudFront, manifest.created.store, notes);
    else notes.push(`The KeyValueStore ${manifest.created.store} was left: it holds keys and revocations.`);
  }

  const { config } = await readConfig(cloudFront, manifest.distribution);
  const exact = configurationHash(config) === manifest.before.configurationSha256;
  if (!exact) notes.push('Other parts of the distribution were changed by others since; they were left as they are.');
  manifest = { ...manifest, state: 'rolled-back', finishedAt: access.now().toISOString() };
  await access.record.put(manifest);
  return { manifest, exact, notes };
}

interface CodeRestore {
  readonly record: FunctionRecord;
  readonly live: Uint8Array | undefined;
  readonly development: Uint8Array | undefined;
}

/** Functions whose code is not what it was; the old code is fetched before anything is touched. */
async function codeToRestore(access: RollbackAccess, manifest: DeploymentManifest): Promise<CodeRestore[]> {
  const restores: CodeRestore[] = [];
  for (const record of manifest.before.functions) {
    const live = await readStage(access.cloudFront, record.name, 'LIVE');
    const development = await readStage(access.cloudFront, record.name, 'DEVELOPMENT');
    const sameStores = canonicalJson(live?.stores ?? []) === canonicalJson(record.stores);
    if (
      live?.sha256 === (record.liveSha256 ?? undefined) &&
      development?.sha256 === record.developmentSha256 &&
      sameStores
    )
      continue;
    const fetch = async (hash: string | null): Promise<Uint8Array | undefined> => {
      if (hash === null) return undefined;
      const code = await access.record.getCode(hash);
      if (!code) {
        throw new DeployError(
          'previous_code_missing',
          `The code of ${record.name} that was live before (SHA-256 ${hash}) is not in the record; nothing was changed.`,
          {
            hint: 'Roll back from the machine that deployed, or configure deployment.record.table, or check the old version out and apply it.',
          },
        );
      }
      return code;
    };
    restores.push({ record, live: await fetch(record.liveSha256), development: await fetch(record.developmentSha256) });
  }
  return restores;
}

function assertNotDrifted(config: DistributionConfig, changes: readonly BehaviourChange[]): void {
  const drifted = changes.filter((change) => {
    const now = canonicalJson(currentValue(config, change));
    return now !== canonicalJson(change.after) && now !== canonicalJson(change.before);
  });
  if (drifted.length === 0) return;
  throw new DeployError('drifted', 'Others changed what the rollback would write over; nothing was changed.', {
    details: drifted.map((change) => `${change.pattern ?? 'distribution'}: ${change.field}`),
    hint: 'Look at them, then roll back with --force to write over them.',
  });
}

/** Will a function whose code is restored still run on the behaviour after the associations went back? */
function keepsFunction(
  changes: readonly BehaviourChange[],
  config: DistributionConfig,
  pattern: string | undefined,
  restored: ReadonlySet<string>,
): boolean {
  const change = changes.find((item) => item.pattern === pattern && item.field === 'FunctionAssociations');
  const associations = change ? change.before : currentValue(config, { pattern, field: 'FunctionAssociations' });
  const items = (associations as { Items?: { FunctionARN?: string }[] } | null)?.Items ?? [];
  return items.some((item) => restored.has(nameOfArn(item.FunctionARN ?? '')));
}

const updateAttempts = 5;

/** Sets the members back to what they were, whatever became of the rest of the configuration. */
async function revert(
  access: RollbackAccess,
  id: string,
  changes: readonly BehaviourChange[],
  options: RollbackOptions,
): Promise<void> {
  if (changes.length === 0) return;
  for (let attempt = 1; ; attempt += 1) {
    const { config, etag } = await readConfig(access.cloudFront, id);
    const open = changes.filter(
      (change) => canonicalJson(currentValue(config, change)) !== canonicalJson(change.before),
    );
    if (open.length === 0) break;
    if (!options.force) assertNotDrifted(config, open);
    access.note(`update the distribution: ${open.length} change${open.length === 1 ? '' : 's'} back`);
    const next = withValues(
      config,
      open.map((change) => ({ ...change, value: change.before })),
    );
    try {
      await access.cloudFront.send(new UpdateDistributionCommand({ Id: id, IfMatch: etag, DistributionConfig: next }));
      break;
    } catch (error) {
      if (errorName(error) !== 'PreconditionFailed' || attempt >= updateAttempts) throw error;
      await access.wait(1_000 * attempt);
    }
  }
  access.note('wait until the distribution is Deployed');
  await waitForDistribution(access, id);
}

async function restoreCode(
  client: CloudFrontClient,
  record: FunctionRecord,
  live: Uint8Array | undefined,
  development: Uint8Array | undefined,
): Promise<void> {
  const config = {
    Comment: 'Portcullis, restored by a rollback',
    Runtime: 'cloudfront-js-2.0' as const,
    KeyValueStoreAssociations: {
      Quantity: record.stores.length,
      ...(record.stores.length === 0 ? {} : { Items: record.stores.map((arn) => ({ KeyValueStoreARN: arn })) }),
    },
  };
  const upload = async (code: Uint8Array): Promise<string> => {
    const current = await readStage(client, record.name, 'DEVELOPMENT');
    const answer = await client.send(
      new UpdateFunctionCommand({
        Name: record.name,
        IfMatch: current?.etag,
        FunctionConfig: config,
        FunctionCode: code,
      }),
    );
    return answer.ETag as string;
  };
  if (live) await client.send(new PublishFunctionCommand({ Name: record.name, IfMatch: await upload(live) }));
  if (development && record.developmentSha256 !== record.liveSha256) await upload(development);
}

async function deleteFunction(client: CloudFrontClient, name: string, notes: string[]): Promise<void> {
  const present = await readStage(client, name, 'DEVELOPMENT');
  if (!present) return;
  try {
    await client.send(new DeleteFunctionCommand({ Name: name, IfMatch: present.etag }));
  } catch (error) {
    if (errorName(error) !== 'FunctionInUse') throw error;
    notes.push(`The function ${name} is attached elsewhere and was left.`);
  }
}

async function deletePolicy(client: CloudFrontClient, name: string, notes: string[]): Promise<void> {
  let marker: string | undefined;
  let id: string | undefined;
  do {
    const { OriginRequestPolicyList: page } = await client.send(
      new ListOriginRequestPoliciesCommand({ Type: 'custom', ...(marker === undefined ? {} : { Marker: marker }) }),
    );
    id ??= page?.Items?.find((item) => item.OriginRequestPolicy?.OriginRequestPolicyConfig?.Name === name)
      ?.OriginRequestPolicy?.Id;
    marker = page?.NextMarker || undefined;
  } while (marker !== undefined && id === undefined);
  if (id === undefined) return;
  const { ETag } = await client.send(new GetOriginRequestPolicyCommand({ Id: id }));
  try {
    await client.send(new DeleteOriginRequestPolicyCommand({ Id: id, IfMatch: ETag }));
  } catch (error) {
    if (errorName(error) !== 'OriginRequestPolicyInUse') throw error;
    notes.push(`The origin request policy ${name} is used elsewhere and was left.`);
  }
}

async function deleteStore(client: CloudFrontClient, name: string, notes: string[]): Promise<void> {
  try {
    const { ETag } = await client.send(new DescribeKeyValueStoreCommand({ Name: name }));
    await client.send(new DeleteKeyValueStoreCommand({ Name: name, IfMatch: ETag }));
  } catch (error) {
    if (errorName(error) === 'EntityNotFound') return;
    if (errorName(error) !== 'CannotDeleteEntityWhileInUse') throw error;
    notes.push(`The KeyValueStore ${name} is used by another function and was left.`);
  }
}
