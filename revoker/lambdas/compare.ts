import type { Ledger } from '../ledger/ledger.js';
import { bucketCount } from '../store/buckets.js';
import type { KeyValueStore } from '../store/key-value-store.js';
import { driftOf, projectToStore, type ProjectionOptions } from '../store/projection.js';
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

/** Keys outside the buckets that the ledger answers for. */
async function managedKeys(ledger: Ledger): Promise<string[]> {
  const keys = await ledger.records('key');
  const blackouts = await ledger.records('blackout');
  return ['m:', ...keys.map(({ id }) => `k:${id}`), ...blackouts.map(({ id }) => `b:${id}`)];
}

/** Says where stores differ from the ledger; changes nothing. */
export function compare(
  options: CompareOptions,
): Handler<unknown, { readonly keys: number; readonly stores: readonly StoreDrift[] }> {
  return async (_event, scope) => {
    const keys = await managedKeys(options.ledger);
    const stores: StoreDrift[] = [];
    for (const store of options.stores) {
      const { missing, surplus, different, unmanaged, store: held } = await driftOf(store, keys, options);
      stores.push({
        store: store.name,
        missing: missing.length,
        surplus: surplus.length,
        different: different.length,
        unmanaged: unmanaged.length,
      });
      scope.count('storeBytes', held.bytes);
    }
    const drift = stores.reduce((sum, one) => sum + one.missing + one.surplus + one.different, 0);
    scope.log('compared', { stores });
    scope.count('driftingKeys', drift);
    return { keys: drift, stores };
  };
}

/** Brings every store to what the ledger says, writing only what differs. */
export function repair(options: CompareOptions): Handler<unknown, { readonly updates: number }> {
  return async (_event, scope) => {
    const keys = await managedKeys(options.ledger);
    let updates = 0;
    for (const store of options.stores) {
      const buckets = Array.from({ length: bucketCount }, (_, bucket) => bucket);
      updates += (await projectToStore(store, { buckets, keys, compare: true }, options)).updates;
    }
    scope.log('repaired', { updates });
    return { updates };
  };
}
