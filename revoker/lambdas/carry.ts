import { z } from 'zod';
import type { Ledger } from '../ledger/ledger.js';
import type { Target } from '../targets.js';
import { reconcile } from '../writer.js';
import { deferred } from './deferred.js';
import { PermanentFault, TransientFault, named, type Handler } from './observe.js';

const event = z.looseObject({ compare: z.boolean().default(false) });

export interface CarryAnswer {
  /** Announced pieces of work that were looked at, and those that are finished now. */
  readonly jobs: number;
  readonly finished: number;
  /** Updates that the comparison took, where one was asked for. */
  readonly repaired?: number;
}

export interface CarryOptions {
  readonly ledger: Ledger;
  /** Every target there is: an announcement that names one left out would be taken for finished. */
  readonly targets: readonly Target[];
  /** Those that this step serves. */
  readonly serves: (target: Target) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Compares what is served with the ledger, announced or not; gives the number of updates that took. */
  readonly compare?: () => Promise<number>;
}

/**
 * Carries everything announced in the ledger to the targets it serves. It asks the ledger what to do, not the workflow,
 * so it also finishes what a crashed step or another writer left behind, and doing it twice changes nothing.
 */
export function carry(options: CarryOptions): Handler<unknown, CarryAnswer> {
  const { ledger, targets, serves, now } = options;
  return async (given, scope) => {
    const { compare } = event.parse(given);
    const served = targets.filter(serves);
    const all = targets.map((target) => (serves(target) ? target : deferred(target)));
    const broken: { readonly name: string; readonly fault: Error }[] = [];
    let jobs = 0;
    let finished = 0;
    // Revocations first: a key record that cannot be written (its secret is gone) must not keep them back.
    for (const withKeys of [false, true]) {
      const some: Ledger = {
        ...ledger,
        jobs: async () => (await ledger.jobs()).filter((job) => job.keys.length > 0 === withKeys),
      };
      const pass = await reconcile({
        ledger: some,
        targets: all,
        now,
        onFailure(name, error) {
          // Targets of other steps wait on purpose.
          if (served.some((target) => target.name === name)) broken.push({ name, fault: named(error) });
        },
      });
      jobs += pass.jobs;
      finished += pass.finished;
    }
    scope.log('carried', { targets: served.map(({ name }) => name), jobs, finished });
    scope.count('jobs', jobs);
    if (broken.length > 0) {
      const text = broken.map(({ name, fault }) => `${name}: ${fault.message}`).join('; ');
      // As long as one of them may get better, it is worth another attempt.
      const passes = broken.some(({ fault }) => fault instanceof TransientFault);
      throw passes ? new TransientFault(text) : new PermanentFault(text);
    }
    if (!compare || !options.compare) return { jobs, finished };
    const repaired = await options.compare();
    scope.log('compared', { targets: served.map(({ name }) => name), repaired });
    return { jobs, finished, repaired };
  };
}

/** Targets that hold what the edge looks up, and others that take single entries but block no network. */
export const servesStores = (target: Target): boolean => target.kind !== 'network-blocker';
export const servesNetworks = (target: Target): boolean => target.kind === 'network-blocker';
