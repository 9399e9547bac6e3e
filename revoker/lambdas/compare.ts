import type { KeyValueStore } from '../store/key-value-store.js';
import type { ProjectionOptions } from '../store/projection.js';
import { rebuildStore, storeDrift } from '../maintenance.js';
import type { Handler } from './observe.js';

export interface StoreDrift {
  readonly store: string;
  readonly missing: number;
  readonly surplus: number;
  readonly different: number;
  /** Keys that the ledger does not manage; they are left alone. */
  readonly unmanaged: number;
}

export interface CompareOptions extends ProjectionOptions {
  readonly stores: readonly KeyValueStore[];
}

/** Says where stores differ from the ledger; changes nothing. */
export function compare(
  options: CompareOptions,
): Handler<unknown, { readonly keys: number; readonly stores: readonly StoreDrift[] }> {
  return async (_event, scope) => {
    const stores: StoreDrift[] = [];
    for (const store of options.stores) {
      const { missing, surplus, different, unmanaged, store: held } = await storeDrift(store, options);
      stores.push({
        store: store.name,
        missing: missing.length,
        surplus: surplus.length,
        different: different.length,
        unmanaged: unmanaged.length,
      });
      scope.count('storeBytes', held.bytes);
    }
    const keys = stores.reduce((sum, one) => sum + one.missing + one.surplus + one.different, 0);
    scope.log('compared', { stores });
    scope.count('driftingKeys', keys);
    return { keys, stores };
  };
}

/** Brings every store to what the ledger says, writing only what differs. */
export function repair(options: CompareOptions): Handler<unknown, { readonly updates: number }> {
  return async (_event, scope) => {
    let updates = 0;
    for (const store of options.stores) updates += (await rebuildStore(store, options)).updates;
    scope.log('repaired', { updates });
    return { updates };
  };
}
