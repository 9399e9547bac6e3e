// The plan: from what is wanted and what was found to an ordered list of steps. Pure; the same input gives the same plan.
import type { OriginRequestPolicyConfig } from '@aws-sdk/client-cloudfront';
import {
  currentValue,
  functionOn,
  nameOfArn,
  settingsOf,
  withFunction,
  withOriginRequestLambda,
  type BehaviourChange,
} from './behaviour-changes.js';
import { findingsOf, isOwnFunction, type Finding, type SelectionProof } from './findings.js';
import { canonicalJson, sha256 } from './hashes.js';
import { viewerEvents, type DesiredFunction, type DesiredState, type ObservedState } from './state.js';
import { extendPolicy, missingHeaders } from './viewer-headers.js';

/** Stands for the id or ARN of something that a step before makes: `{{policy:<name>}}`, `{{function:<name>}}`. */
export const pendingPolicy = (name: string): string => `{{policy:${name}}}`;
export const pendingFunction = (name: string): string => `{{function:${name}}}`;

export type Step =
  | { readonly kind: 'createStore'; readonly name: string }
  | { readonly kind: 'waitForStore'; readonly name: string }
  | {
      readonly kind: 'createPolicy';
      readonly name: string;
      readonly config: OriginRequestPolicyConfig;
      readonly headers: readonly string[];
      readonly behaviours: readonly string[];
    }
  | {
      readonly kind: 'publishFunction';
      readonly name: string;
      readonly event: DesiredFunction['event'];
      readonly stage: DesiredFunction['stage'];
      readonly bytes: number;
      readonly sha256: string;
      /** What is LIVE now; undefined where nothing is. */
      readonly liveSha256: string | undefined;
      /** DEVELOPMENT holds the code already: an earlier run got that far. */
      readonly uploaded: boolean;
      /** Why the LIVE one does not do, in words. */
      readonly reason: 'new' | 'code' | 'association';
    }
  | {
      readonly kind: 'updateDistribution';
      /** `headers`: only what functions that run already need, before new code that reads it is published. */
      readonly phase: 'headers' | 'attach';
      readonly changes: readonly BehaviourChange[];
    }
  | { readonly kind: 'waitForDistribution' };

export interface Plan {
  readonly distribution: string;
  readonly name: string;
  readonly steps: readonly Step[];
  readonly findings: readonly Finding[];
  readonly proofs: readonly SelectionProof[];
}

export interface PlanOptions {
  /** Going back from `enforce` is meant. */
  readonly disarm?: boolean;
}

/** Makes the plan. A plan without steps means that everything is as it should be. */
export function makePlan(desired: DesiredState, observed: ObservedState, options: PlanOptions = {}): Plan {
  const { findings, proofs } = findingsOf(desired, observed, options);
  const attached = desired.behaviours.some((behaviour) => behaviour.stage !== 'off');
  const policies = policyPlans(desired, observed);
  const functions = attached ? functionSteps(desired, observed) : [];
  const changes = behaviourChanges(desired, observed, policies);
  const published = new Set(functions.map((step) => step.name));
  const first = changes.filter(
    (change) => change.field === 'OriginRequestPolicyId' && runsFunctionOf(observed, change.pattern, published),
  );
  const rest = changes.filter((change) => !first.includes(change));
  const steps: Step[] = [];
  if (attached && !observed.store) steps.push({ kind: 'createStore', name: desired.storeName });
  if (attached && !observed.store?.ready) steps.push({ kind: 'waitForStore', name: desired.storeName });
  steps.push(...policies.steps);
  if (first.length > 0) {
    steps.push({ kind: 'updateDistribution', phase: 'headers', changes: first }, { kind: 'waitForDistribution' });
  }
  steps.push(...functions);
  if (rest.length > 0) steps.push({ kind: 'updateDistribution', phase: 'attach', changes: rest });
  if (rest.length > 0 || !observed.distribution.deployed) steps.push({ kind: 'waitForDistribution' });
  return { distribution: desired.distribution, name: desired.name, steps, findings, proofs };
}

/** Does the behaviour run, now, a function whose LIVE code a later step replaces? */
function runsFunctionOf(observed: ObservedState, pattern: string | undefined, names: ReadonlySet<string>): boolean {
  const settings = pattern === undefined ? undefined : settingsOf(observed.distribution.config, pattern);
  if (!settings) return false;
  return viewerEvents.some((event) => {
    const arn = functionOn(settings, event);
    return arn !== undefined && names.has(nameOfArn(arn));
  });
}

interface PolicyPlans {
  readonly steps: readonly Extract<Step, { kind: 'createPolicy' }>[];
  /** By behaviour pattern: the id, or a placeholder for one that a step makes. */
  readonly idOf: ReadonlyMap<string, string>;
}

/** Policies are never edited, since others may use them: a behaviour gets a new one that delivers more. */
function policyPlans(desired: DesiredState, observed: ObservedState): PolicyPlans {
  const steps = new Map<string, Extract<Step, { kind: 'createPolicy' }>>();
  const idOf = new Map<string, string>();
  for (const behaviour of desired.behaviours) {
    const settings =
      behaviour.stage === 'off' ? undefined : settingsOf(observed.distribution.config, behaviour.pattern);
    if (!settings?.CachePolicyId) continue;
    const current = settings.OriginRequestPolicyId
      ? observed.originRequestPolicies.get(settings.OriginRequestPolicyId)
      : undefined;
    const missing = missingHeaders(desired.headers, observed.cachePolicies.get(settings.CachePolicyId), current);
    const extended = missing.length === 0 ? undefined : extendPolicy(current, missing);
    if (!extended?.possible) continue;
    const name = `${desired.prefix}-${desired.name}-headers-${sha256(canonicalJson(extended.config)).slice(0, 8)}`;
    const present = [...observed.originRequestPolicies].find(([, config]) => config.Name === name);
    idOf.set(behaviour.pattern, present ? present[0] : pendingPolicy(name));
    if (present) continue;
    const known = steps.get(name);
    steps.set(name, {
      kind: 'createPolicy',
      name,
      config: { ...extended.config, Name: name } as OriginRequestPolicyConfig,
      headers: missing,
      behaviours: [...(known?.behaviours ?? []), behaviour.pattern],
    });
  }
  return { steps: [...steps.values()], idOf };
}

function functionSteps(desired: DesiredState, observed: ObservedState): Extract<Step, { kind: 'publishFunction' }>[] {
  return desired.functions.flatMap((wanted) => {
    const found = observed.functions.get(wanted.name);
    const storeArn = observed.store?.arn;
    const associated = (stores: readonly string[] | undefined): boolean =>
      storeArn !== undefined && stores?.length === 1 && stores[0] === storeArn;
    const sameCode = found?.live?.sha256 === wanted.sha256;
    if (sameCode && associated(found?.live?.stores)) return [];
    return [
      {
        kind: 'publishFunction' as const,
        name: wanted.name,
        event: wanted.event,
        stage: wanted.stage,
        bytes: wanted.bytes,
        sha256: wanted.sha256,
        liveSha256: found?.live?.sha256,
        uploaded: found?.development?.sha256 === wanted.sha256 && associated(found.development.stores),
        reason: !found?.live ? ('new' as const) : sameCode ? ('association' as const) : ('code' as const),
      },
    ];
  });
}

function behaviourChanges(desired: DesiredState, observed: ObservedState, policies: PolicyPlans): BehaviourChange[] {
  const { config } = observed.distribution;
  const changes: BehaviourChange[] = [];
  const change = (pattern: string | undefined, field: BehaviourChange['field'], after: unknown): void => {
    const before = currentValue(config, { pattern, field });
    if (canonicalJson(before) !== canonicalJson(after ?? null)) {
      changes.push({ pattern, field, before, after: after ?? null });
    }
  };
  for (const behaviour of desired.behaviours) {
    const settings = settingsOf(config, behaviour.pattern);
    if (!settings) continue;
    const policy = policies.idOf.get(behaviour.pattern);
    if (policy !== undefined) change(behaviour.pattern, 'OriginRequestPolicyId', policy);
    let associations = settings.FunctionAssociations;
    for (const event of viewerEvents) {
      const name = behaviour.functions[event];
      const present = functionOn(settings, event);
      const own = present !== undefined && isOwnFunction(desired, nameOfArn(present));
      if (name !== undefined) {
        associations = withFunction(associations, event, observed.functions.get(name)?.arn ?? pendingFunction(name));
      } else if (own) associations = withFunction(associations, event, undefined);
    }
    change(behaviour.pattern, 'FunctionAssociations', associations);
    if (behaviour.originRequestLambda !== undefined && behaviour.stage !== 'off') {
      change(
        behaviour.pattern,
        'LambdaFunctionAssociations',
        withOriginRequestLambda(settings.LambdaFunctionAssociations, behaviour.originRequestLambda),
      );
    }
  }
  if (desired.webAcl !== undefined && desired.webAcl !== config.WebACLId) change(undefined, 'WebACLId', desired.webAcl);
  return changes;
}
