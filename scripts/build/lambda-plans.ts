import type { AnswerSettings } from '../../edge/answer.js';
import type { GuardConfig } from '../../edge/guard/guard.js';
import type { KeySource } from '../../edge/keys.js';
import type { ProofSettings } from '../../edge/proof.js';
import type { GatePolicy } from '@portcullis/tokens/core/gate';
import type { FunctionsConfig } from '../config/functions-config.js';
import type { LambdaEventName, LambdaPlan } from './lambda.js';
import { functionPlan } from './plan.js';

/** The evaluator's policy and the answers of Lambda@Edge: what the viewer functions have, with every claim understood. */
export function edgePolicy(config: FunctionsConfig): {
  readonly policy: GatePolicy;
  readonly settings: AnswerSettings;
  readonly sample: number;
} {
  const { build, features } = functionPlan(config);
  const { pathBefore, pathKeep, ...policy } = build.policy;
  const { sample, status, reasonHeader, exposed, corsOrigins, corsCredentials, preflight, retryAfter } = build.settings;
  return {
    policy: {
      ...policy,
      // A function with a single place for path tokens has it in other words.
      path: policy.path ?? (pathBefore === undefined ? undefined : [{ before: pathBefore, keep: pathKeep ?? '' }]),
      contentId: config.contentId === undefined ? undefined : new RegExp(config.contentId),
      blackoutMode: config.blackoutMode,
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
  return { name: 'guard', event, entry: 'edge/guard/handler.ts', config: baked };
}
