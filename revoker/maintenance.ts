import { RevokerError } from './errors.js';
import type { BlackoutValue } from './blackouts/rule.js';
import type { KeyValue } from './keys/records.js';
import type { Ledger } from './ledger/ledger.js';
import { bucketCount, encodeBucket, parseBucketKey } from './store/buckets.js';
import {
  driftOf,
  projectToStore,
  readLedger,
  type Drift,
  type ProjectionOptions,
  type ProjectionResult,
} from './store/projection.js';
import { storeBytes, type KeyValueStore, type StoreDescription } from './store/key-value-store.js';

/** Every key outside the buckets that the ledger wants, or once wanted, in a store. */
export async function managedKeys(ledger: Ledger): Promise<string[]> {
  const keys = await ledger.records<KeyValue>('key');
  const blackouts = await ledger.records<BlackoutValue>('blackout');
  return [...keys.map(({ id }) => `k:${id}`), ...blackouts.map(({ id }) => `b:${id}`), 'm:'];
}

/** Compares a store with the ledger. */
export async function storeDrift(store: KeyValueStore, options: ProjectionOptions): Promise<Drift> {
  const drift = await driftOf(store, await managedKeys(options.ledger), options);
  // A blackout that only the store knows is one that was cleared while the store was away.
  const isBlackout = (key: string): boolean => key.startsWith('b:');
  return {
    ...drift,
    surplus: [...drift.surplus, ...drift.unmanaged.filter(isBlackout)],
    unmanaged: drift.unmanaged.filter((key) => !isBlackout(key)),
  };
}

/**
 * Makes a store what the ledger says, whatever it held: every bucket, key record, blackout and mode. Key records that
 * the ledger does not know stay. Nothing that should be in the store is missing at any moment of it.
 */
export async function rebuildStore(
  store: KeyValueStore,
  options: ProjectionOptions & { readonly onProgress?: (count: number) => void },
): Promise<ProjectionResult> {
  const stored: string[] = [];
  for await (const [key] of store.list()) if (key.startsWith('b:')) stored.push(key);
  const buckets = Array.from({ length: bucketCount }, (_, i) => i);
  const keys = [...new Set([...(await managedKeys(options.ledger)), ...stored])];
  return projectToStore(
    store,
    { buckets, keys, compare: true, ...(options.onProgress ? { onProgress: options.onProgress } : {}) },
    options,
  );
}

export interface Quota {
  readonly store: string;
  readonly items: number;
  readonly bytes: number;
  readonly limitBytes: number;
  /** 0 to 1. */
  readonly used: number;
  /** Token and session revocations that still fit, about. */
  readonly roomFor: number;
  readonly warning?: string;
}

/** Bytes of a revocation without a moment, and of one with. */
export const entryBytes = { plain: 8, timed: 15 } as const;

/** How full a store is. Warns from 80 %. */
export function quotaOf(store: string, description: StoreDescription): Quota {
  const { items, bytes } = description;
  const used = bytes / storeBytes;
  const roomFor = Math.max(0, Math.floor((storeBytes - bytes) / entryBytes.plain));
  const percent = Math.round(used * 100);
  return {
    store,
    items,
    bytes,
    limitBytes: storeBytes,
    used,
    roomFor,
    ...(used < 0.8
      ? {}
      : {
          warning: `Store ${store} is ${percent} % full, room for about ${roomFor} more revocations: run portcullis revocations gc, and prefer subject or content revocations to many single tokens.`,
        }),
  };
}

/**
 * Refuses an import that would not fit, before anything is written.
 * @throws RevokerError `store_full`
 */
export function checkRoom(quota: Quota, counts: { readonly plain: number; readonly timed: number }): void {
  const needed = counts.plain * entryBytes.plain + counts.timed * entryBytes.timed;
  if (quota.bytes + needed <= quota.limitBytes) return;
  throw new RevokerError(
    'store_full',
    `These revocations need up to ${needed} bytes; store ${quota.store} has ${quota.limitBytes - quota.bytes} left of ${quota.limitBytes}.`,
    {
      hint: 'Let expired ones go (portcullis revocations gc), or revoke subjects or content instead of single tokens.',
    },
  );
}

/** What the ledger would take in a store, in bytes of keys and values. */
export async function ledgerFootprint(
  ledger: Ledger,
  now: number,
): Promise<{ readonly entries: number; readonly bytes: number }> {
  let entries = 0;
  let bytes = 0;
  for (const [bucket, list] of await readLedger(ledger, now)) {
    entries += list.length;
    for (const [key, value] of encodeBucket(bucket, list)) bytes += key.length + value.length;
  }
  return { entries, bytes };
}

export { parseBucketKey };
