// Continuous deployment: a copy of the distribution that some requests are sent to, by a header or by chance. It runs
// functions of its own, so that what is tried there changes nothing for anybody else.
import {
  CopyDistributionCommand,
  CreateContinuousDeploymentPolicyCommand,
  CreateFunctionCommand,
  DeleteContinuousDeploymentPolicyCommand,
  DeleteDistributionCommand,
  DeleteFunctionCommand,
  GetContinuousDeploymentPolicyCommand,
  GetDistributionCommand,
  ListContinuousDeploymentPoliciesCommand,
  ListDistributionsCommand,
  PublishFunctionCommand,
  UpdateDistributionCommand,
  type DistributionConfig,
  type TrafficConfig,
} from '@aws-sdk/client-cloudfront';
import { applyDeployment, waitForDistribution, type ApplyResult, type DeployAccess } from './apply.js';
import { settingsOf } from './behaviour-changes.js';
import { DeployError } from './errors.js';
import { errorName, readConfig, readStage } from './observe.js';
import { rollBack } from './rollback.js';
import type { DesiredState } from './state.js';

type CanaryAccess = DeployAccess;

export interface Canary {
  readonly staging: string;
  readonly policy: string;
  /** The header that selects the staging distribution; undefined where chance does. */
  readonly header: readonly [name: string, value: string] | undefined;
  readonly applied: ApplyResult;
  readonly viewerResponseSees: 'original' | 'modified' | undefined;
}

export interface CanaryOptions {
  /** Find out which request viewer-response is given; needs the header form. */
  readonly probe?: { readonly url: string; readonly path: string; readonly fetch?: typeof fetch };
}

const canaryName = (desired: Pick<DesiredState, 'name'>): string => `${desired.name}-canary`;
const callerReference = (desired: Pick<DesiredState, 'prefix' | 'name'>): string =>
  `${desired.prefix}-${desired.name}-canary`;

/** The same state for the staging distribution, with functions of its own. */
export function canaryState(desired: DesiredState, staging: string): DesiredState {
  const rename = (name: string): string => name.replace(/-viewer-(request|response)/, '-viewer-$1-canary');
  return {
    ...desired,
    distribution: staging,
    functions: desired.functions.map((item) => ({ ...item, name: rename(item.name) })),
    behaviours: desired.behaviours.map((behaviour) => ({
      ...behaviour,
      functions: Object.fromEntries(Object.entries(behaviour.functions).map(([event, name]) => [event, rename(name)])),
    })),
    accept: [
      ...desired.accept,
      { finding: 'staging_distribution', because: 'a canary runs on the staging distribution' },
      { finding: 'stage_skipped', because: 'a canary tries the stage on a few requests' },
      { finding: 'canary_http3', because: 'checked on the primary distribution' },
    ],
  };
}

/** Makes the staging distribution, deploys to it, and sends it the configured share of the requests. */
export async function startCanary(
  access: CanaryAccess,
  desired: DesiredState,
  options: CanaryOptions = {},
): Promise<Canary> {
  const { canary } = desired;
  if (canary === undefined) {
    throw new DeployError('not_found', 'The configuration has no deployment.canary.', {
      hint: 'Add { header: "aws-cf-cd-portcullis", value: "<any text>" } or { weight: 0.05 }.',
    });
  }
  const primary = await readConfig(access.cloudFront, desired.distribution);
  if ((primary.config.HttpVersion ?? '').includes('3')) {
    throw new DeployError(
      'plan_refused',
      'CloudFront does not do continuous deployment while the distribution speaks HTTP/3.',
    );
  }
  const staging = await stagingDistribution(access, desired, primary.etag);
  const header = 'header' in canary ? ([canary.header, canary.value] as const) : undefined;
  let viewerResponseSees: Canary['viewerResponseSees'];
  let policy: string | undefined;
  if (options.probe && header) {
    policy = await attachPolicy(access, desired, staging.domainName, {
      Type: 'SingleHeader',
      SingleHeaderConfig: { Header: header[0], Value: header[1] },
    });
    viewerResponseSees = await probeViewerResponse(access, desired, staging.id, header, options.probe);
  }
  access.note(`deploy to the staging distribution ${staging.id}`);
  const applied = await applyDeployment(
    { ...access, record: recordAs(access, canaryName(desired), desired.name) },
    canaryState(desired, staging.id),
  );
  policy ??= await attachPolicy(
    access,
    desired,
    staging.domainName,
    'weight' in canary
      ? { Type: 'SingleWeight', SingleWeightConfig: { Weight: canary.weight } }
      : { Type: 'SingleHeader', SingleHeaderConfig: { Header: canary.header, Value: canary.value } },
  );
  if (viewerResponseSees !== undefined) {
    await access.record.put({ ...applied.manifest, name: canaryName(desired), viewerResponseSees });
  }
  return { staging: staging.id, policy, header, applied, viewerResponseSees };
}

/** Canary deployments are recorded apart: a rollback of the primary must not meet them. */
function recordAs(access: CanaryAccess, canary: string, name: string): CanaryAccess['record'] {
  return {
    ...access.record,
    list: (asked) => access.record.list(asked === name ? canary : asked),
    put: (manifest) => access.record.put({ ...manifest, name: canary }),
  };
}

async function stagingDistribution(
  access: CanaryAccess,
  desired: DesiredState,
  etag: string,
): Promise<{ id: string; domainName: string }> {
  const found = await findStaging(access, desired);
  if (found) return found;
  access.note(`copy ${desired.distribution} to a staging distribution`);
  const { Distribution: made } = await access.cloudFront.send(
    new CopyDistributionCommand({
      PrimaryDistributionId: desired.distribution,
      IfMatch: etag,
      Staging: true,
      Enabled: true,
      CallerReference: callerReference(desired),
    }),
  );
  const id = made?.Id as string;
  await waitForDistribution(access, id);
  return { id, domainName: made?.DomainName as string };
}

async function findStaging(
  access: CanaryAccess,
  desired: DesiredState,
): Promise<{ id: string; domainName: string } | undefined> {
  let marker: string | undefined;
  do {
    const { DistributionList: page } = await access.cloudFront.send(
      new ListDistributionsCommand(marker === undefined ? {} : { Marker: marker }),
    );
    for (const item of page?.Items ?? []) {
      if (!item.Staging) continue;
      const { config } = await readConfig(access.cloudFront, item.Id as string);
      if (config.CallerReference === callerReference(desired)) {
        return { id: item.Id as string, domainName: item.DomainName as string };
      }
    }
    marker = page?.NextMarker || undefined;
  } while (marker !== undefined);
  return undefined;
}

async function attachPolicy(
  access: CanaryAccess,
  desired: DesiredState,
  stagingName: string,
  traffic: TrafficConfig,
): Promise<string> {
  const { ContinuousDeploymentPolicyList: list } = await access.cloudFront.send(
    new ListContinuousDeploymentPoliciesCommand({}),
  );
  let id = list?.Items?.find((item) =>
    item.ContinuousDeploymentPolicy?.ContinuousDeploymentPolicyConfig?.StagingDistributionDnsNames?.Items?.includes(
      stagingName,
    ),
  )?.ContinuousDeploymentPolicy?.Id;
  if (id === undefined) {
    access.note('create the continuous deployment policy');
    const made = await access.cloudFront.send(
      new CreateContinuousDeploymentPolicyCommand({
        ContinuousDeploymentPolicyConfig: {
          Enabled: true,
          StagingDistributionDnsNames: { Quantity: 1, Items: [stagingName] },
          TrafficConfig: traffic,
        },
      }),
    );
    id = made.ContinuousDeploymentPolicy?.Id as string;
  }
  await setPolicy(access, desired.distribution, id);
  return id;
}

const updateAttempts = 5;

/** Sets one member of a distribution's configuration, against whoever else writes to it. */
async function change(
  access: CanaryAccess,
  id: string,
  edit: (config: DistributionConfig) => DistributionConfig | undefined,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { config, etag } = await readConfig(access.cloudFront, id);
    const next = edit(structuredClone(config));
    if (next === undefined) break;
    try {
      await access.cloudFront.send(new UpdateDistributionCommand({ Id: id, IfMatch: etag, DistributionConfig: next }));
      break;
    } catch (error) {
      if (errorName(error) !== 'PreconditionFailed' || attempt >= updateAttempts) throw error;
      await access.wait(1_000 * attempt);
    }
  }
  await waitForDistribution(access, id);
}

function setPolicy(access: CanaryAccess, id: string, policy: string): Promise<void> {
  return change(access, id, (config) =>
    config.ContinuousDeploymentPolicyId === policy ? undefined : { ...config, ContinuousDeploymentPolicyId: policy },
  );
}

/** Ends the canary: everybody gets the primary distribution, and what was made for the canary is taken away. */
export async function endCanary(access: CanaryAccess, desired: DesiredState): Promise<void> {
  const { config } = await readConfig(access.cloudFront, desired.distribution);
  const policy = config.ContinuousDeploymentPolicyId;
  if (policy) {
    access.note('send every request to the primary distribution');
    await setPolicy(access, desired.distribution, '');
    const { ETag } = await access.cloudFront.send(new GetContinuousDeploymentPolicyCommand({ Id: policy }));
    await access.cloudFront.send(new DeleteContinuousDeploymentPolicyCommand({ Id: policy, IfMatch: ETag }));
  }
  const staging = await findStaging(access, desired);
  if (!staging) return;
  access.note(`take the staging distribution ${staging.id} away`);
  await rollBack({ ...access, record: recordAs(access, canaryName(desired), desired.name) }, desired.name, {
    force: true,
  }).catch((error: unknown) => {
    if (!(error instanceof DeployError) || error.code !== 'nothing_to_roll_back') throw error;
  });
  await change(access, staging.id, (found) => (found.Enabled ? { ...found, Enabled: false } : undefined));
  const { ETag } = await access.cloudFront.send(new GetDistributionCommand({ Id: staging.id }));
  await access.cloudFront.send(new DeleteDistributionCommand({ Id: staging.id, IfMatch: ETag }));
}

const probeRequest = `function handler(event) {
  event.request.headers['x-portcullis-probe-edited'] = { value: '1' };
  return event.request;
}
`;

const probeResponse = `function handler(event) {
  var edited = event.request.headers['x-portcullis-probe-edited'];
  event.response.headers['x-portcullis-probe'] = { value: edited ? 'modified' : 'original' };
  return event.response;
}
`;

/**
 * Which request is viewer-response given? AWS documents the one that the viewer sent; the functions work either way.
 * Two small functions on the staging distribution find out, and are taken away again.
 */
async function probeViewerResponse(
  access: CanaryAccess,
  desired: DesiredState,
  staging: string,
  header: readonly [string, string],
  probe: NonNullable<CanaryOptions['probe']>,
): Promise<'original' | 'modified' | undefined> {
  const guarded = desired.behaviours.find((behaviour) => behaviour.stage !== 'off')?.pattern;
  if (guarded === undefined) return undefined;
  access.note('probe what viewer-response sees');
  const names = {
    request: `${callerReference(desired)}-probe-request`,
    response: `${callerReference(desired)}-probe-response`,
  };
  const arns = {
    request: await publishProbe(access, names.request, probeRequest),
    response: await publishProbe(access, names.response, probeResponse),
  };
  let before: unknown;
  await change(access, staging, (config) => {
    const settings = settingsOf(config, guarded);
    if (!settings) return undefined;
    before = settings.FunctionAssociations;
    settings.FunctionAssociations = {
      Quantity: 2,
      Items: [
        { EventType: 'viewer-request', FunctionARN: arns.request },
        { EventType: 'viewer-response', FunctionARN: arns.response },
      ],
    };
    return config;
  });
  try {
    const response = await (probe.fetch ?? fetch)(new URL(probe.path, probe.url), {
      headers: { [header[0]]: header[1] },
      redirect: 'manual',
    });
    await response.arrayBuffer();
    const seen = response.headers.get('x-portcullis-probe');
    return seen === 'original' || seen === 'modified' ? seen : undefined;
  } finally {
    await change(access, staging, (config) => {
      const settings = settingsOf(config, guarded);
      if (settings) settings.FunctionAssociations = before as NonNullable<typeof settings.FunctionAssociations>;
      return config;
    });
    for (const name of Object.values(names)) {
      const present = await readStage(access.cloudFront, name, 'DEVELOPMENT');
      if (present) await access.cloudFront.send(new DeleteFunctionCommand({ Name: name, IfMatch: present.etag }));
    }
  }
}

async function publishProbe(access: CanaryAccess, name: string, code: string): Promise<string> {
  let present = await readStage(access.cloudFront, name, 'DEVELOPMENT');
  if (!present) {
    await access.cloudFront.send(
      new CreateFunctionCommand({
        Name: name,
        FunctionConfig: { Comment: 'Portcullis probe', Runtime: 'cloudfront-js-2.0' },
        FunctionCode: Buffer.from(code),
      }),
    );
    present = await readStage(access.cloudFront, name, 'DEVELOPMENT');
  }
  await access.cloudFront.send(new PublishFunctionCommand({ Name: name, IfMatch: present?.etag }));
  return present?.arn as string;
}
