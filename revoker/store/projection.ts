import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RevokerError } from '../errors.js';
import { bucketEntryOf, edgePlace, isActive } from '../ledger/entry.js';
import type { Ledger } from '../ledger/ledger.js';
import { inParallel } from '../parallel.js';
import { bucketKey, encodeBucket, parseBucketKey, type BucketEntry } from './buckets.js';
import { StaleStore, batchKeys, type KeyValueStore, type StoreDescription } from './key-value-store.js';

/** Reads, from the ledger and the secret store, what a key outside the buckets must hold; null: it must not exist. */
export type RecordSource = (key: string, store: KeyValueStore) => Promise<string | null>;

export interface ProjectionOptions {
  readonly ledger: Ledger;
  readonly records: RecordSource;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
}

export interface ProjectionTask {
  readonly buckets: readonly number[];
  readonly keys?: readonly string[];
  /**
   * True compares with what the store holds: writes only what differs and removes what should not be there. False, for
   * acts that only add, writes without looking; a continuation it may leave behind is never read by the edge.
   */
  readonly compare?: boolean;
  /** Called with the number of buckets and keys that the store now has. */
  readonly onProgress?: (count: number) => void;
}

export interface ProjectionResult {
  /** Batches written. */
  readonly updates: number;
  /** Batches refused because another writer was faster. */
  readonly conflicts: number;
  readonly store: StoreDescription;
}

/** From this many buckets on, one pass over the ledger is cheaper than a query for each. */
const ledgerPassBuckets = 2000;
/** From this many on, so is one pass over the store, 50 keys a page. */
const storePassBuckets = 256;
const parallelReads = 16;
const maxRefusals = 400;
const maxOutages = 8;
/** A turn ends by itself after so long, should its writer have died. */
const turnSeconds = 20;
/** Some 40 seconds of waiting for a turn, asked for ever more rarely: those who wait must not slow the one who writes. */
const turnWaits = 25;
const firstTurnWait = 250;
const longestTurnWait = 4000;
/** Answers in a row that may mean a stale ETag or a wrong batch. */
const maxDoubts = 20;

/**
 * Brings a store's keys to what the ledger says.
 *
 * The store's ETag is read before the ledger is, and the batch is written with that ETag: had another writer's update
 * come between, the write would be refused and the ledger read again. So whoever writes last has read every entry that
 * was in the ledger when the one before wrote, and no update is lost, without a lock.
 */
export async function projectToStore(
  store: KeyValueStore,
  task: ProjectionTask,
  options: ProjectionOptions,
): Promise<ProjectionResult> {
  const owner = randomUUID();
  const progress: Progress = { done: 0, updates: 0, refusals: 0, outages: 0, doubts: 0 };
  try {
    return await project(store, task, options, progress, owner);
  } finally {
    // Only a writer that met a conflict has taken a turn.
    if (progress.refusals > 0) await options.ledger.endTurn(store.name, owner).catch(() => undefined);
  }
}

interface Progress {
  done: number;
  updates: number;
  refusals: number;
  outages: number;
  doubts: number;
}

async function project(
  store: KeyValueStore,
  task: ProjectionTask,
  options: ProjectionOptions,
  progress: Progress,
  owner: string,
): Promise<ProjectionResult> {
  const units: Unit[] = [
    ...[...new Set(task.buckets)].map((bucket): Unit => ({ kind: 'bucket', bucket })),
    ...[...new Set(task.keys ?? [])].map((key): Unit => ({ kind: 'key', key })),
  ];
  let description: StoreDescription | undefined;
  let source: Source | undefined;
  while (progress.done < units.length || description === undefined) {
    try {
      description ??= await store.describe();
      source ??= await openSource(store, units.slice(progress.done), task.compare ?? false, progress.refusals, options);
      const batch = await nextBatch(units, progress.done, source);
      if (batch.puts.size + batch.deletes.length > 0) {
        description = await store.update(batch, description.etag);
        progress.updates += 1;
      }
      task.onProgress?.(batch.end - progress.done);
      progress.done = batch.end;
      progress.outages = 0;
      progress.doubts = 0;
    } catch (error) {
      count(progress, error, store);
      description = undefined;
      source = undefined;
      await beforeNextAttempt(store, options, progress, owner, error);
    }
  }
  return { updates: progress.updates, conflicts: progress.refusals, store: description };
}

/** Takes note of a failure that another attempt may cure; throws what none can. */
function count(progress: Progress, error: unknown, store: KeyValueStore): void {
  if (error instanceof StaleStore) {
    progress.refusals += 1;
    progress.doubts = error.doubtful ? progress.doubts + 1 : 0;
  } else if (error instanceof RevokerError && error.code === 'store_unavailable') progress.outages += 1;
  else throw error;
  const { refusals, outages, doubts } = progress;
  if (refusals <= maxRefusals && outages <= maxOutages && doubts <= maxDoubts) return;
  const cause = (error as Error).cause ?? error;
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new RevokerError('store_unavailable', `Store ${store.name} takes no writes: ${why}`, {
    cause: error,
    hint: 'The ledger has the change; portcullis revocations reconcile carries it to the store later.',
  });
}

/**
 * Waits a random time. After a conflict the writers take turns, for a refused attempt has read the ledger for nothing;
 * who has waited long enough goes ahead all the same, since the ETag alone keeps the store right.
 */
async function beforeNextAttempt(
  store: KeyValueStore,
  options: ProjectionOptions,
  { refusals, outages }: Progress,
  owner: string,
  error: unknown,
): Promise<void> {
  const { random = Math.random, sleep = pause } = options;
  if (!(error instanceof StaleStore)) {
    await sleep(random() * 200 * 2 ** outages);
    return;
  }
  await sleep(random() * Math.min(500, 25 * 2 ** Math.min(refusals, 5)));
  for (let wait = 0; wait < turnWaits; wait += 1) {
    if (await options.ledger.takeTurn(store.name, owner, Date.now() / 1000 + turnSeconds)) return;
    await sleep(random() * Math.min(longestTurnWait, firstTurnWait * 1.5 ** wait));
  }
}

type Unit = { readonly kind: 'bucket'; readonly bucket: number } | { readonly kind: 'key'; readonly key: string };

/** What keys must hold and, where asked, what they do hold; both read since the ETag in use was. */
interface Source {
  /** Reads ahead. */
  prepare(units: readonly Unit[]): Promise<void>;
  desired(unit: Unit): readonly (readonly [key: string, value: string])[];
  /** The value now in the store: undefined where there is none, null where nobody looked. */
  existing(key: string): string | undefined | null;
  /** Further keys of the unit that the store holds. */
  extraKeys(unit: Unit, from: number): readonly string[];
}

async function openSource(
  store: KeyValueStore,
  units: readonly Unit[],
  compare: boolean,
  refusals: number,
  options: ProjectionOptions,
): Promise<Source> {
  const now = Math.floor((options.now ?? Date.now)() / 1000);
  const bucketUnits = units.filter((unit) => unit.kind === 'bucket').length;
  // A snapshot is worth its price only while nobody else writes.
  const quiet = refusals < 3;
  const snapshot = quiet && bucketUnits >= ledgerPassBuckets ? await readLedger(options.ledger, now) : undefined;
  const stored = compare && quiet && bucketUnits >= storePassBuckets ? new Map(await collectPairs(store)) : undefined;
  const partsStored = stored && partsByBucket(stored.keys());
  const desired = new Map<string, readonly (readonly [string, string])[]>();
  const found = new Map<string, string | undefined>();

  async function look(key: string): Promise<string | undefined> {
    if (stored) return stored.get(key);
    if (!found.has(key)) found.set(key, await store.get(key));
    return found.get(key);
  }

  async function prepareUnit(unit: Unit): Promise<void> {
    const name = unitName(unit);
    if (desired.has(name)) return;
    const pairs = await desiredPairs(unit);
    const known = compare || pairs.length === 0;
    if (known && unit.kind === 'key') await look(unit.key);
    if (known && unit.kind === 'bucket') {
      // A value that starts with '+' goes on in the next part.
      for (let part = 0; ; part += 1) {
        const value = await look(bucketKey(unit.bucket, part));
        if (value === undefined || (!value.startsWith('+') && part >= pairs.length)) break;
      }
    }
    desired.set(name, pairs);
  }

  async function desiredPairs(unit: Unit): Promise<readonly (readonly [string, string])[]> {
    if (unit.kind === 'key') {
      const value = await options.records(unit.key, store);
      return value === null ? [] : [[unit.key, value]];
    }
    const entries = snapshot ? (snapshot.get(unit.bucket) ?? []) : await options.ledger.bucket(unit.bucket, now);
    return encodeBucket(unit.bucket, entries);
  }

  return {
    async prepare(list) {
      await inParallel(list, parallelReads, prepareUnit);
    },
    desired: (unit) => desired.get(unitName(unit)) ?? [],
    existing: (key) => (stored ? stored.get(key) : found.has(key) ? found.get(key) : null),
    extraKeys(unit, from) {
      if (unit.kind === 'key') return from === 0 && (stored ?? found).get(unit.key) !== undefined ? [unit.key] : [];
      if (partsStored)
        return (
          partsStored
            .get(unit.bucket)
            ?.filter((part) => part >= from)
            .map((part) => bucketKey(unit.bucket, part)) ?? []
        );
      const keys: string[] = [];
      for (let part = from; found.get(bucketKey(unit.bucket, part)) !== undefined; part += 1) {
        keys.push(bucketKey(unit.bucket, part));
      }
      return keys;
    },
  };
}

function partsByBucket(keys: Iterable<string>): Map<number, number[]> {
  const parts = new Map<number, number[]>();
  for (const key of keys) {
    const place = parseBucketKey(key);
    if (place) parts.set(place.bucket, [...(parts.get(place.bucket) ?? []), place.part]);
  }
  return parts;
}

function unitName(unit: Unit): string {
  return unit.kind === 'bucket' ? bucketKey(unit.bucket) : `key:${unit.key}`;
}

async function collectPairs(store: KeyValueStore): Promise<(readonly [string, string])[]> {
  const pairs: (readonly [string, string])[] = [];
  for await (const pair of store.list()) pairs.push(pair);
  return pairs;
}

/** All active entries by bucket; about 60 bytes of memory each. */
export async function readLedger(ledger: Ledger, now: number): Promise<Map<number, BucketEntry[]>> {
  const buckets = new Map<number, BucketEntry[]>();
  for await (const entry of ledger.scan({ states: ['active'] })) {
    const place = isActive(entry, now) ? edgePlace(entry) : undefined;
    const packed = place && bucketEntryOf(entry, place);
    if (!packed) continue;
    const bucket = buckets.get(place.bucket);
    if (bucket) bucket.push(packed);
    else buckets.set(place.bucket, [packed]);
  }
  return buckets;
}

interface PreparedBatch {
  readonly puts: Map<string, string>;
  readonly deletes: string[];
  /** Index of the first unit that is not in it. */
  readonly end: number;
}

/** As many units as fit one update. A bucket's parts are never split over two. */
async function nextBatch(units: readonly Unit[], start: number, source: Source): Promise<PreparedBatch> {
  const puts = new Map<string, string>();
  const deletes: string[] = [];
  let end = start;
  while (end < units.length) {
    const window = units.slice(end, end + batchKeys);
    await source.prepare(window);
    for (const unit of window) {
      const pairs = source.desired(unit);
      const changed = pairs.filter(([key, value]) => source.existing(key) !== value);
      const extra = source.extraKeys(unit, pairs.length);
      if (puts.size + deletes.length + changed.length + extra.length > batchKeys) {
        if (end > start) return { puts, deletes, end };
        throw new RevokerError('store_full', `${unitName(unit)} alone needs more keys than one update can carry.`);
      }
      for (const [key, value] of changed) puts.set(key, value);
      deletes.push(...extra);
      end += 1;
    }
  }
  return { puts, deletes, end };
}

/** Differences between a store and what the ledger wants of it. */
export interface Drift {
  /** Wanted and not in the store: a revoked token may pass. */
  readonly missing: readonly string[];
  /** In the store and not wanted: somebody may be refused for nothing. */
  readonly surplus: readonly string[];
  /** In both, with another value. */
  readonly different: readonly string[];
  /** Keys that the ledger does not manage, such as a key record put there by hand. */
  readonly unmanaged: readonly string[];
  readonly store: StoreDescription;
}

/** Compares every revocation bucket, and the given other keys, with the ledger. Changes nothing. */
export async function driftOf(
  store: KeyValueStore,
  keys: readonly string[],
  options: ProjectionOptions,
): Promise<Drift> {
  const now = Math.floor((options.now ?? Date.now)() / 1000);
  const description = await store.describe();
  const wanted = new Map<string, string>();
  for (const [bucket, entries] of await readLedger(options.ledger, now)) {
    for (const [key, value] of encodeBucket(bucket, entries)) wanted.set(key, value);
  }
  for (const key of keys) {
    const value = await options.records(key, store);
    if (value !== null) wanted.set(key, value);
  }
  const managed = new Set(keys);
  const found = new Map(await collectPairs(store));
  const different = [...wanted].filter(([key, value]) => found.has(key) && found.get(key) !== value);
  const others = [...found.keys()].filter((key) => !wanted.has(key));
  const isManaged = (key: string): boolean => managed.has(key) || parseBucketKey(key) !== undefined;
  return {
    missing: [...wanted.keys()].filter((key) => !found.has(key)),
    surplus: others.filter(isManaged),
    different: different.map(([key]) => key),
    unmanaged: others.filter((key) => !isManaged(key)),
    store: description,
  };
}
