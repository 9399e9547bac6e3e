// The edits that a deployment makes to a distribution's configuration, and their undoing. Everything else in the
// configuration is carried through untouched.
import type {
  CacheBehavior,
  DefaultCacheBehavior,
  DistributionConfig,
  FunctionAssociations,
  LambdaFunctionAssociations,
} from '@aws-sdk/client-cloudfront';
import { defaultPattern } from './paths.js';

/** The members of a behaviour (and the one of the distribution) that a deployment writes. */
export type ChangedField = 'FunctionAssociations' | 'LambdaFunctionAssociations' | 'OriginRequestPolicyId' | 'WebACLId';

/**
 * One member before and after. The values are resource names alone (ARNs and ids), so a change may be recorded.
 * `null`: the member was absent.
 */
export interface BehaviourChange {
  /** Absent for a member of the distribution itself. */
  readonly pattern?: string | undefined;
  readonly field: ChangedField;
  readonly before: unknown;
  readonly after: unknown;
}

type Settings = DefaultCacheBehavior | CacheBehavior;

export function settingsOf(config: DistributionConfig, pattern: string): Settings | undefined {
  return pattern === defaultPattern
    ? config.DefaultCacheBehavior
    : config.CacheBehaviors?.Items?.find((item) => item.PathPattern === pattern);
}

/** The value of a changed member in a configuration; `null` where it is absent. */
export function currentValue(config: DistributionConfig, change: Pick<BehaviourChange, 'pattern' | 'field'>): unknown {
  const owner = change.pattern === undefined ? config : settingsOf(config, change.pattern);
  return (owner as Record<string, unknown> | undefined)?.[change.field] ?? null;
}

/** A copy of the configuration with the values set; `null` removes the member. */
export function withValues(
  config: DistributionConfig,
  values: readonly { readonly pattern?: string | undefined; readonly field: ChangedField; readonly value: unknown }[],
): DistributionConfig {
  const copy = structuredClone(config);
  for (const { pattern, field, value } of values) {
    const owner = (pattern === undefined ? copy : settingsOf(copy, pattern)) as Record<string, unknown> | undefined;
    if (!owner) continue;
    if (value === null) delete owner[field];
    else owner[field] = structuredClone(value);
  }
  return copy;
}

/** The associations with one event's function set, or taken off where `arn` is undefined; the others as they were. */
export function withFunction(
  current: FunctionAssociations | undefined,
  event: 'viewer-request' | 'viewer-response',
  arn: string | undefined,
): FunctionAssociations | undefined {
  const items = current?.Items ?? [];
  const present = items.find((item) => item.EventType === event);
  if (present?.FunctionARN === arn) return current;
  const wanted = { FunctionARN: arn, EventType: event };
  const next = present
    ? items.flatMap((item) => (item !== present ? [item] : arn === undefined ? [] : [wanted]))
    : [...items, wanted];
  return next.length === 0 ? { Quantity: 0 } : { Quantity: next.length, Items: next };
}

/** The associations with a function version on origin-request. */
export function withOriginRequestLambda(
  current: LambdaFunctionAssociations | undefined,
  arn: string,
): LambdaFunctionAssociations | undefined {
  const items = current?.Items ?? [];
  const present = items.find((item) => item.EventType === 'origin-request');
  if (present?.LambdaFunctionARN === arn) return current;
  const wanted = { LambdaFunctionARN: arn, EventType: 'origin-request' as const, IncludeBody: false };
  const next = present ? items.map((item) => (item === present ? wanted : item)) : [...items, wanted];
  return { Quantity: next.length, Items: next };
}

/** The ARN of the CloudFront Function on an event. */
export function functionOn(settings: Settings, event: 'viewer-request' | 'viewer-response'): string | undefined {
  return settings.FunctionAssociations?.Items?.find((item) => item.EventType === event)?.FunctionARN;
}

/** The ARN of the Lambda@Edge function on an event. */
export function lambdaOn(
  settings: Settings,
  event: 'viewer-request' | 'viewer-response' | 'origin-request' | 'origin-response',
): string | undefined {
  return settings.LambdaFunctionAssociations?.Items?.find((item) => item.EventType === event)?.LambdaFunctionARN;
}

/** `arn:aws:cloudfront::…:function/<name>` → `<name>`. */
export function nameOfArn(arn: string): string {
  return arn.slice(arn.lastIndexOf('/') + 1);
}
