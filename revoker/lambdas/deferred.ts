import type { Target } from '../targets.js';

/**
 * A target that takes nothing yet. A writer with deferred targets records its entries and leaves the announcement of the
 * work open under the targets' names, which is what a later step, or the reconciliation, finishes.
 */
export function deferred(target: Target): Target {
  return {
    name: target.name,
    kind: target.kind,
    needsEntries: target.needsEntries,
    apply: () => Promise.reject(new Error('waits for its own step')),
  };
}
