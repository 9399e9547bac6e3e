import type { ReplayStore } from './proof.js';

/** Ids that one environment remembers: over a hundred proofs a second for the usual window, in a few megabytes. */
const MAXIMUM_PROOFS = 50_000;

/**
 * Ids of proofs in memory: for tests, and where a proof that comes again elsewhere within its window may pass. Every
 * execution environment has its own; `edge/replay` has one for all.
 *
 * A full memory forgets nothing before its time: it fails, and the request is refused.
 *
 * @param now Seconds since 1970.
 */
export function rememberedProofs(now: () => number, maximum = MAXIMUM_PROOFS): ReplayStore {
  const until = new Map<string, number>();
  const forget = (): void => {
    for (const [id, end] of until) if (end < now()) until.delete(id);
  };
  return {
    spend(id, end) {
      const known = until.get(id);
      if (known !== undefined && known >= now()) return Promise.resolve(false);
      if (until.size >= maximum) forget();
      if (until.size >= maximum) return Promise.reject(new Error('No room for more proofs.'));
      until.set(id, end);
      return Promise.resolve(true);
    },
  };
}
