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
    const { jobs, finished, failed } = await reconcile({
      ledger,
      targets: targets.map((target) => (serves(target) ? target : deferred(target))),
      now,
    });
    const broken = served.filter((target) => target.name in failed);
    scope.log('carried', { targets: served.map(({ name }) => name), jobs, finished });
    scope.count('jobs', jobs);
    if (broken.length > 0) {
      throw new TransientFault(broken.map(({ name }) => `${name}: ${failed[name]}`).join('; '));
    }
    return { jobs, finished };
  };
}

/** Targets that hold what the edge looks up, and others that take single entries but block no network. */
export const servesStores = (target: Target): boolean => target.kind !== 'network-blocker';
export const servesNetworks = (target: Target): boolean => target.kind === 'network-blocker';
