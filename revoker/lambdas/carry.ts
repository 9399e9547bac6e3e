import type { Ledger } from '../ledger/ledger.js';
import type { Target } from '../targets.js';
import { reconcile } from '../writer.js';
import { deferred } from './deferred.js';
import { TransientFault, type Handler } from './observe.js';

export interface CarryAnswer {
  /** Announced pieces of work that were looked at, and those that are finished now. */
  readonly jobs: number;
  readonly finished: number;
}

export interface CarryOptions {
  readonly ledger: Ledger;
  /** Every target there is: an announcement that names one left out would be taken for finished. */
  readonly targets: readonly Target[];
  /** Those that this step serves. */
  readonly serves: (target: Target) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * Carries everything announced in the ledger to the targets it serves. It asks the ledger what to do, not the workflow,
 * so it also finishes what a crashed step or another writer left behind, and doing it twice changes nothing.
 */
export function carry(options: CarryOptions): Handler<unknown, CarryAnswer> {
  const { ledger, targets, serves, now } = options;
  return async (_event, scope) => {
    const served = targets.filter(serves);
    const all = targets.map((target) => (serves(target) ? target : deferred(target)));
    const broken = new Map<string, string>();
    let jobs = 0;
    let finished = 0;
    // Revocations first: a key record that cannot be written (its secret is gone) must not keep them back.
    for (const withKeys of [false, true]) {
      const some: Ledger = {
        ...ledger,
        jobs: async () => (await ledger.jobs()).filter((job) => job.keys.length > 0 === withKeys),
      };
      const pass = await reconcile({ ledger: some, targets: all, now });
      jobs += pass.jobs;
      finished += pass.finished;
      for (const { name } of served) {
        const fault = pass.failed[name];
        if (fault !== undefined) broken.set(name, fault);
      }
    }
    scope.log('carried', { targets: served.map(({ name }) => name), jobs, finished });
    scope.count('jobs', jobs);
    if (broken.size > 0) throw new TransientFault([...broken].map(([name, fault]) => `${name}: ${fault}`).join('; '));
    return { jobs, finished };
  };
}

/** Targets that hold what the edge looks up, and others that take single entries but block no network. */
export const servesStores = (target: Target): boolean => target.kind !== 'network-blocker';
export const servesNetworks = (target: Target): boolean => target.kind === 'network-blocker';
