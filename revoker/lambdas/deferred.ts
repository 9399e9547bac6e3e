import type { RevokerConfig } from '../config.js';
import type { Target } from '../targets.js';

/** What the target of blocked networks is called in announcements. */
export const wafTargetName = 'waf';

const later = (): Promise<never> => Promise.reject(new Error('waits for its own step'));

/**
 * A target that takes nothing yet. A writer with deferred targets records its entries and leaves the announcement of the
 * work open under the targets' names, which is what a later step, or the reconciliation, finishes.
 */
export function deferred({ name, kind, needsEntries }: Target): Target {
  return { name, kind, needsEntries, apply: later };
}

/**
 * The targets that a configuration names, deferred, without a connection to any: a function that only announces work
 * needs no permission on them. The names are those that `connectRevoker` gives.
 */
export function deferredTargets(config: RevokerConfig, options: { readonly waf: boolean }): Target[] {
  const last = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);
  return [
    ...config.stores.map(({ name, arn }) => ({ name: name ?? last(arn), kind: 'store' as const, needsEntries: false })),
    ...(options.waf ? [{ name: wafTargetName, kind: 'network-blocker' as const, needsEntries: true }] : []),
    ...config.targets.ivs.map(({ name, channelArn }) => ({
      name: name ?? `ivs:${last(channelArn)}`,
      kind: 'ivs' as const,
      needsEntries: true,
    })),
    ...config.targets.webhooks.map(({ name }) => ({ name, kind: 'webhook' as const, needsEntries: true })),
  ].map((shape) => ({ ...shape, apply: later }));
}
