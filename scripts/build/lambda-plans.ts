import { createKeyRing, type KeySource } from '../../edge/keys.js';
import type { AnswerSettings } from '../../edge/answer.js';
import type { GuardConfig } from '../../edge/guard/guard.js';
import type { ProofSettings } from '../../edge/proof.js';
import type { GatePolicy } from '@portcullis/tokens/core/gate';
import type { FunctionsConfig } from '../config/functions-config.js';
import type { PortcullisConfig } from '../config/schema.js';
import type { LambdaEventName, LambdaPlan } from './lambda.js';
import { functionPlan, type FunctionPlan } from './plan.js';
import { startSettings } from './start-settings.js';

/** What of the viewer functions' settings holds at Lambda@Edge, too. */
export interface EdgeSettings {
  readonly policy: GatePolicy;
  readonly settings: AnswerSettings;
  /** The share of admitted requests that are logged. */
  readonly sample: number;
}

/** The evaluator's policy and the answers as a plan has them for the viewer functions. */
export function edgeSettings({ build, features }: FunctionPlan): EdgeSettings {
  const { pathBefore, pathKeep, ...policy } = build.policy;
  const { sample, status, reasonHeader, exposed, corsOrigins, corsCredentials, preflight, retryAfter } = build.settings;
  return {
    policy: {
      ...policy,
      // A function with a single place for path tokens has it in other words.
      path: policy.path ?? (pathBefore === undefined ? undefined : [{ before: pathBefore, keep: pathKeep ?? '' }]),
    },
    settings: {
      status,
      reasonHeader,
      cors: features.cors,
      exposed,
      corsOrigins,
      corsCredentials,
      preflight,
      retryAfter,
    },
    sample,
  };
}

/** The same from a configuration, with everything understood that the functions leave out for their size. */
function edgePolicy(config: FunctionsConfig): EdgeSettings {
  const { policy, ...rest } = edgeSettings(functionPlan(config));
  const contentId = config.contentId === undefined ? undefined : new RegExp(config.contentId);
  return { ...rest, policy: { ...policy, contentId, blackoutMode: config.blackoutMode } };
}

/** What a guard needs besides what the functions have. */
export interface GuardOptions {
  readonly event: LambdaEventName;
  readonly keys: readonly KeySource[];
  readonly hosts?: readonly string[] | undefined;
  readonly proof?: ProofSettings | undefined;
}

/** A handler that guards every request of a behaviour by itself. */
export function guardPlan(config: FunctionsConfig, options: GuardOptions): LambdaPlan {
  const { event, ...edge } = options;
  const baked: GuardConfig = { ...edgePolicy(config), ...edge, eventType: event };
  return {
    name: 'guard',
    event,
    module: 'edge/handlers/guard.ts',
    factory: 'guardHandler',
    config: baked,
    answers: baked.settings,
  };
}

/**
 * The Lambda@Edge handlers that a configuration asks for.
 *
 * @throws TypeError where a key source could never work, which is better said here than by a cold start.
 */
export function lambdaPlans(config: PortcullisConfig): LambdaPlan[] {
  const { lambda } = config;
  if (!lambda) return [];
  // Everything that a handler looks at when it starts.
  createKeyRing(lambda.keys, { readSecret: () => Promise.reject(new Error('Secrets are read at the edge.')) });
  const plans: LambdaPlan[] = [];
  const start = startSettings(config);
  if (start)
    plans.push({
      name: 'start',
      event: 'origin-request',
      module: 'edge/handlers/start.ts',
      factory: 'startHandler',
      config: start,
      answers: start.config.validator.settings,
    });
  if (lambda.guard) {
    const { event } = lambda.guard;
    plans.push(guardPlan(config, { event, keys: lambda.keys, hosts: lambda.hosts, proof: lambda.proof }));
  }
  if (lambda.originSecret)
    plans.push({
      name: 'origin-secret',
      event: 'origin-request',
      module: 'edge/handlers/origin-secret.ts',
      factory: 'originSecretHandler',
      config: lambda.originSecret,
    });
  return plans;
}
