import type { Ledger } from '../ledger/ledger.js';
import type { Target } from '../targets.js';
import { createRevoker } from '../writer.js';
import { deferred } from './deferred.js';
import type { Handler } from './observe.js';

export interface ExpireOptions {
  readonly ledger: Ledger;
  readonly targets: readonly Target[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Ends in the ledger what has an `until` in the past; the targets follow in steps of their own. */
export function expire({ ledger, targets, now }: ExpireOptions): Handler<unknown, { readonly expired: number }> {
  return async (_event, scope) => {
    const revoker = createRevoker({ ledger, targets: targets.map(deferred), now });
    const { expired } = await revoker.expire({ by: 'expire' });
    scope.log('expired', { expired });
    scope.count('expired', expired);
    return { expired };
  };
}
