import type { BucketEntry } from '../store/buckets.js';
import { placeOf } from '../store/buckets.js';
import { isEdgeScope, refText, type EntryRef, type Scope } from '../scopes.js';

/** `expired`: its `until` passed and `gc` has seen to it; `lifted`: somebody took it back. */
export type EntryState = 'active' | 'lifted' | 'expired';

/** One line of an entry's history: who did what, when and why. Times are epoch seconds. */
export interface Act {
  readonly at: number;
  readonly by: string;
  readonly action: 'revoked' | 'changed' | 'lifted' | 'expired';
  readonly reason: string;
  readonly until?: number;
  readonly cutoff?: number;
}

/** One revocation in the ledger. Times are epoch seconds. */
export interface LedgerEntry extends EntryRef {
  readonly state: EntryState;
  /** Counts writes; a write names the version it stands on. */
  readonly version: number;
  readonly by: string;
  readonly at: number;
  readonly reason: string;
  /** When the revocation ends by itself; absent: never. */
  readonly until?: number;
  /** Only tokens issued at or before this moment are meant; absent: all. */
  readonly cutoff?: number;
  /** Answer as `expired`, so that the player fetches a new token. Needs a cut-off. */
  readonly remint?: boolean;
  /** What the decision rests on: a link, a verdict, measured features. */
  readonly evidence?: unknown;
  /** The latest acts, oldest first. */
  readonly history: readonly Act[];
}

/** What somebody asks to be revoked. */
export interface RevocationRequest extends EntryRef {
  readonly reason: string;
  readonly until?: number;
  readonly cutoff?: number;
  readonly remint?: boolean;
  readonly evidence?: unknown;
}

/** Acts kept with an entry; older ones fall away. */
export const historyLength = 50;

export function isActive(entry: LedgerEntry | undefined, now: number): entry is LedgerEntry {
  return entry !== undefined && entry.state === 'active' && (entry.until === undefined || entry.until > now);
}

/** Where an entry is looked up at the edge; undefined for scopes that the edge does not look up. */
export function edgePlace(ref: EntryRef): { readonly bucket: number; readonly fingerprint: string } | undefined {
  return isEdgeScope(ref.scope) ? placeOf(ref.scope, ref.id) : undefined;
}

export function bucketEntryOf(
  entry: LedgerEntry,
  place: { readonly fingerprint: string } | undefined = edgePlace(entry),
): BucketEntry | undefined {
  if (!place) return undefined;
  const { fingerprint } = place;
  if (entry.cutoff === undefined) return { fingerprint };
  return { fingerprint, cutoff: entry.cutoff, ...(entry.remint ? { remint: true } : {}) };
}

/**
 * The entry after a revocation was asked for: the union of what holds and what is asked, never less. Returns undefined
 * where the standing entry already refuses as much for as long.
 */
export function afterRevoke(
  standing: LedgerEntry | undefined,
  request: RevocationRequest,
  act: { readonly by: string; readonly now: number },
): LedgerEntry | undefined {
  const active = isActive(standing, act.now) ? standing : undefined;
  const cutoff = active ? latest(active.cutoff, request.cutoff) : request.cutoff;
  const until = active ? latest(active.until, request.until) : request.until;
  const remint = cutoff !== undefined && (active ? Boolean(active.remint) && Boolean(request.remint) : request.remint);
  if (active && active.cutoff === cutoff && active.until === until && Boolean(active.remint) === Boolean(remint)) {
    return undefined;
  }
  const evidence = request.evidence ?? active?.evidence;
  return {
    scope: request.scope,
    id: request.id,
    state: 'active',
    version: (standing?.version ?? 0) + 1,
    by: act.by,
    at: act.now,
    reason: request.reason,
    ...(until === undefined ? {} : { until }),
    ...(cutoff === undefined ? {} : { cutoff }),
    ...(remint ? { remint: true } : {}),
    ...(evidence === undefined ? {} : { evidence }),
    history: withAct(standing, {
      at: act.now,
      by: act.by,
      action: active ? 'changed' : 'revoked',
      reason: request.reason,
      ...(until === undefined ? {} : { until }),
      ...(cutoff === undefined ? {} : { cutoff }),
    }),
  };
}

/** Of two moments of which absent means "for ever" or "all", the one that refuses more. */
function latest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}

/** The entry after it was lifted or has expired; undefined where it was not active. */
export function afterEnd(
  standing: LedgerEntry | undefined,
  end: { readonly state: 'lifted' | 'expired'; readonly by: string; readonly now: number; readonly reason: string },
): LedgerEntry | undefined {
  if (standing?.state !== 'active') return undefined;
  return {
    ...standing,
    state: end.state,
    version: standing.version + 1,
    by: end.by,
    at: end.now,
    reason: end.reason,
    history: withAct(standing, { at: end.now, by: end.by, action: end.state, reason: end.reason }),
  };
}

function withAct(standing: LedgerEntry | undefined, act: Act): Act[] {
  return [...(standing?.history ?? []), act].slice(-historyLength);
}

export function entryKey(ref: EntryRef): string {
  return refText(ref);
}

export type { EntryRef, Scope };
