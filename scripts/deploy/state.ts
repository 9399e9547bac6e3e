// What the distribution is to be, and what it was found to be: the two inputs of the plan.
import type { Placement } from '@portcullis/tokens';
import type { CachePolicyConfig, DistributionConfig, OriginRequestPolicyConfig } from '@aws-sdk/client-cloudfront';
import type { DeploymentConfig, Stage } from './config.js';
import { sha256 } from './hashes.js';

/** Not adjustable (CloudFront quotas, "Quotas on CloudFront Functions"). */
export const maximumFunctionBytes = 10_240;

export const viewerEvents = ['viewer-request', 'viewer-response'] as const;
export type ViewerEvent = (typeof viewerEvents)[number];

/** Stages in which a function is attached; each has its own compiled code, with its mode as the default. */
export type AttachedStage = Exclude<Stage, 'off'>;

/** One function as it must be in LIVE. */
export interface DesiredFunction {
  readonly name: string;
  readonly event: ViewerEvent;
  readonly stage: AttachedStage;
  readonly code: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface DesiredBehaviour {
  readonly pattern: string;
  readonly stage: Stage;
  /** The paths served through it, once the token is out. */
  readonly content: readonly string[];
  /** Function names by event; none at stage `off`. */
  readonly functions: Partial<Record<ViewerEvent, string>>;
  readonly originRequestLambda: string | undefined;
}

export interface DesiredState {
  readonly name: string;
  readonly prefix: string;
  readonly distribution: string;
  readonly storeName: string;
  readonly functions: readonly DesiredFunction[];
  readonly behaviours: readonly DesiredBehaviour[];
  readonly placements: readonly Placement[];
  /** CloudFront headers that the compiled features read. */
  readonly headers: readonly string[];
  /** Browsers send preflight requests: OPTIONS must get through. */
  readonly cors: boolean;
  readonly webAcl: string | undefined;
  readonly open: readonly string[];
  readonly accept: DeploymentConfig['accept'];
  readonly canary: DeploymentConfig['canary'];
  /** The store's keys of the configured signing keys (`k:<kid>`), to tell whether they are there. */
  readonly keyRecords: readonly string[];
}

/** What compiling the configuration gives for one stage. */
export interface CompiledFunctions {
  readonly viewerRequest: string;
  readonly viewerResponse?: string | undefined;
}

/** What the rest of the configuration tells the deployment. */
export interface PolicyFacts {
  readonly placements: readonly Placement[];
  readonly headers: readonly string[];
  readonly cors: boolean;
  /** The configuration renews tokens, so that viewer-response has work to do. */
  readonly renewal: boolean;
  /** `k:<kid>` of every configured signing key. */
  readonly keyRecords: readonly string[];
}

/** `portcullis-production-viewer-request`; the stage `log` has functions of its own, so that moving on to `enforce` is
 * one change of the distribution and going back is one too. */
export function functionName(
  config: Pick<DeploymentConfig, 'prefix' | 'name'>,
  event: ViewerEvent,
  stage: AttachedStage,
): string {
  return `${config.prefix}-${config.name}-${event}${stage === 'log' ? '-log' : ''}`;
}

/** The state that a configuration asks for. `compile` is called once for each stage in use. */
export async function desiredState(
  config: DeploymentConfig,
  facts: PolicyFacts,
  compile: (stage: AttachedStage) => Promise<CompiledFunctions>,
): Promise<DesiredState> {
  const withResponse = config.viewerResponse ?? facts.renewal;
  const stagesInUse = [...new Set(config.behaviours.map((behaviour) => behaviour.stage))]
    .filter((stage): stage is AttachedStage => stage !== 'off')
    .sort();
  const functions: DesiredFunction[] = [];
  for (const stage of stagesInUse) {
    const compiled = await compile(stage);
    const add = (event: ViewerEvent, code: string): void => {
      functions.push({
        name: functionName(config, event, stage),
        event,
        stage,
        code,
        sha256: sha256(code),
        bytes: Buffer.byteLength(code),
      });
    };
    add('viewer-request', compiled.viewerRequest);
    if (withResponse && compiled.viewerResponse !== undefined) add('viewer-response', compiled.viewerResponse);
  }
  return {
    name: config.name,
    prefix: config.prefix,
    distribution: config.distribution,
    storeName: config.keyValueStore ?? `${config.prefix}-${config.name}`,
    functions,
    behaviours: config.behaviours.map((behaviour) => ({
      pattern: behaviour.pattern,
      stage: behaviour.stage,
      content: behaviour.content ?? [behaviour.pattern],
      functions: Object.fromEntries(
        functions.filter((item) => item.stage === behaviour.stage).map((item) => [item.event, item.name]),
      ),
      originRequestLambda: behaviour.originRequestLambda,
    })),
    placements: facts.placements,
    headers: facts.headers,
    cors: facts.cors,
    webAcl: config.webAcl,
    open: config.open,
    accept: config.accept,
    canary: config.canary,
    keyRecords: facts.keyRecords,
  };
}

/** One stage of a function as CloudFront has it. */
export interface ObservedStage {
  readonly sha256: string;
  readonly bytes: number;
  readonly etag: string;
  /** ARNs of the associated KeyValueStores. */
  readonly stores: readonly string[];
}

export interface ObservedFunction {
  readonly name: string;
  readonly arn: string;
  readonly development: ObservedStage | undefined;
  readonly live: ObservedStage | undefined;
}

/** A record of the store that says something other than the configuration about the mode. */
export interface ModeRecord {
  /** `m:` or `k:<kid>`; never the record itself, which may hold a key. */
  readonly key: string;
  readonly mode: string;
  readonly until: number | undefined;
}

export interface ObservedStore {
  readonly name: string;
  readonly arn: string;
  readonly ready: boolean;
  /** Key records in it, the deployment's own aside; undefined where it is not ready, or too large to be read for this. */
  readonly keyRecords: number | undefined;
  readonly modes: readonly ModeRecord[];
}

export interface ObservedPolicy<Config> {
  readonly id: string;
  readonly config: Config;
}

/** Another distribution of the account, as far as it could serve the same objects. */
export interface OtherDistribution {
  readonly id: string;
  readonly originDomains: readonly string[];
}

export interface ObservedState {
  readonly distribution: {
    readonly id: string;
    readonly arn: string;
    readonly domainName: string;
    readonly deployed: boolean;
    readonly etag: string;
    readonly config: DistributionConfig;
    /** Elements of the answer that this SDK does not know: an update would drop them. */
    readonly unknownElements: readonly string[];
  };
  readonly functions: ReadonlyMap<string, ObservedFunction>;
  readonly store: ObservedStore | undefined;
  readonly cachePolicies: ReadonlyMap<string, CachePolicyConfig>;
  /** Those the behaviours use, and every one of this deployment's own. */
  readonly originRequestPolicies: ReadonlyMap<string, OriginRequestPolicyConfig>;
  readonly otherDistributions: readonly OtherDistribution[];
}
