// Is the gate still closed? From what a distribution should be like and what it is like, the ways in which it was
// disarmed. Pure; the command line and the scheduled watch share it.
import type {
  CacheBehavior,
  CachePolicyConfig,
  DefaultCacheBehavior,
  DistributionConfig,
  OriginRequestPolicyConfig,
} from '@aws-sdk/client-cloudfront';
import { missingHeaders } from './delivered-headers.js';

/** What a guarded behaviour must be like. */
export interface GateExpectation {
  readonly distribution: string;
  /** The KeyValueStore's name. */
  readonly store: string;
  readonly behaviours: readonly {
    readonly pattern: string;
    readonly functions: readonly string[];
    readonly enforced: boolean;
  }[];
  /** CloudFront headers that the functions read. */
  readonly headers: readonly string[];
}

export interface GateFacts {
  readonly config: DistributionConfig;
  readonly storeArn: string | undefined;
  /** ARNs of the stores that a function's LIVE stage is associated with; absent where nothing is LIVE. */
  readonly liveStores: ReadonlyMap<string, readonly string[]>;
  readonly cachePolicies: ReadonlyMap<string, CachePolicyConfig>;
  readonly originRequestPolicies: ReadonlyMap<string, OriginRequestPolicyConfig>;
}

/** What the functions did over some time. */
export interface GateTraffic {
  readonly function: string;
  readonly enforced: boolean;
  readonly invocations: number;
  readonly errors: number;
  readonly throttles: number;
  /** Undefined where the log could not be read. */
  readonly refusals: number | undefined;
}

export interface GateAlarm {
  readonly code:
    | 'function_detached'
    | 'store_association_lost'
    | 'headers_detached'
    | 'function_errors'
    | 'function_throttled'
    | 'refusals_at_zero';
  readonly subject: string;
  readonly message: string;
}

function settingsOf(config: DistributionConfig, pattern: string): DefaultCacheBehavior | CacheBehavior | undefined {
  return pattern === 'default'
    ? config.DefaultCacheBehavior
    : config.CacheBehaviors?.Items?.find((item) => item.PathPattern === pattern);
}

/** The ways in which the configuration no longer guards what it should. */
export function configurationAlarms(expected: GateExpectation, facts: GateFacts): GateAlarm[] {
  const alarms: GateAlarm[] = [];
  const names = new Set<string>();
  for (const behaviour of expected.behaviours) {
    const settings = settingsOf(facts.config, behaviour.pattern);
    const attached = (settings?.FunctionAssociations?.Items ?? []).map((item) =>
      (item.FunctionARN ?? '').replace(/^.*\//, ''),
    );
    for (const name of behaviour.functions) {
      names.add(name);
      if (attached.includes(name)) continue;
      alarms.push({
        code: 'function_detached',
        subject: behaviour.pattern,
        message: `${behaviour.pattern} does not run ${name}: it serves without a gate.`,
      });
    }
    const missing = missingHeaders(
      expected.headers,
      facts.cachePolicies.get(settings?.CachePolicyId ?? ''),
      facts.originRequestPolicies.get(settings?.OriginRequestPolicyId ?? ''),
    );
    if (missing.length > 0) {
      alarms.push({
        code: 'headers_detached',
        subject: behaviour.pattern,
        message: `${behaviour.pattern} does not deliver ${missing.join(', ')}: what a viewer types under these names is believed.`,
      });
    }
  }
  for (const name of names) {
    const stores = facts.liveStores.get(name);
    if (stores === undefined || facts.storeArn === undefined || !stores.includes(facts.storeArn)) {
      alarms.push({
        code: 'store_association_lost',
        subject: name,
        message: `${name} in LIVE is not associated with the KeyValueStore ${expected.store}: it cannot read keys or revocations.`,
      });
    }
  }
  return alarms;
}

/** Fewer requests than this say nothing about refusals. */
export const meaningfulInvocations = 10_000;

/** The ways in which the functions' behaviour says that something is wrong. */
export function trafficAlarms(traffic: readonly GateTraffic[]): GateAlarm[] {
  return traffic.flatMap((item) => {
    const alarms: GateAlarm[] = [];
    const alarm = (code: GateAlarm['code'], message: string): void => {
      alarms.push({ code, subject: item.function, message });
    };
    if (item.errors > 0) {
      alarm(
        'function_errors',
        `${item.function} failed ${item.errors} times: those viewers got an error, not a verdict.`,
      );
    }
    if (item.throttles > 0) alarm('function_throttled', `${item.function} was throttled ${item.throttles} times.`);
    if (item.enforced && item.refusals === 0 && item.invocations >= meaningfulInvocations) {
      alarm(
        'refusals_at_zero',
        `${item.function} refused nobody in ${item.invocations} requests: some are always refused, so it probably decides nothing.`,
      );
    }
    return alarms;
  });
}
