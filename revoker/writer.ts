import { randomBytes } from 'node:crypto';
import { RevokerError } from './errors.js';
import {
  afterEnd,
  afterRevoke,
  edgePlace,
  entryKey,
  type EntryRef,
  type LedgerEntry,
  type RevocationRequest,
} from './ledger/entry.js';
import type { Job, Ledger } from './ledger/ledger.js';
import { chunks, inParallel } from './parallel.js';
import { canonicalRef } from './scopes.js';
import type { StoreDescription } from './store/key-value-store.js';
import type { Target } from './targets.js';

export interface RevokerOptions {
  readonly ledger: Ledger;
  readonly targets: readonly Target[];
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Entries recorded and projected in one go. Default 20,000; 2,000 where a target takes them one by one. */
  readonly chunkSize?: number;
}

export type ActKind = 'revoked' | 'unchanged' | 'lifted' | 'expired' | 'not_found';

/** What became of one request. */
export interface Outcome {
  readonly scope: EntryRef['scope'];
  readonly id: string;
  readonly result: ActKind;
  /** The entry as the ledger has it now; left out of bulk runs. */
  readonly entry?: LedgerEntry;
  /** By target: `done`, or why it is still to come. The ledger has the act in either case. */
  readonly targets: Readonly<Record<string, string>>;
}

export interface ActOptions {
  /** Who acts; kept with every entry. */
  readonly by: string;
  /** Called with the number of entries finished. */
  readonly onProgress?: (count: number) => void;
}

export interface RevokeOptions extends ActOptions {
  /** Takes the requests that cannot be recorded, one by one. Without it, one of them fails the call. */
  readonly setAside?: (request: RevocationRequest, error: RevokerError) => void;
}

/** Takes revocations to the ledger and to every target. */
export interface Revoker {
  /**
   * Revokes. Resolves when the ledger has every entry and every target was tried; a target that failed is named in the
   * outcomes and finished by {@link reconcile}.
   * @throws RevokerError `invalid_request` before anything is written, unless those are set aside
   */
  revoke(requests: readonly RevocationRequest[], options: RevokeOptions): Promise<Outcome[]>;
  /** Takes revocations back. */
  lift(refs: readonly EntryRef[], options: ActOptions & { readonly reason: string }): Promise<Outcome[]>;
  /** Ends every revocation whose `until` has passed and gives its bytes back. */
  expire(options: ActOptions): Promise<{ readonly expired: number }>;
  /** Announces work on store keys outside the buckets, does it, and takes the announcement back. */
  project(
    keys: readonly string[],
    options: { readonly by: string; readonly write: () => Promise<void> },
  ): Promise<Readonly<Record<string, string>>>;
  /** What each store held after the last write to it. */
  stores(): ReadonlyMap<string, StoreDescription>;
}

/** Seconds that an unfinished job is taken for alive. */
const leaseSeconds = 120;

type Request =
  | { readonly kind: 'revoke'; readonly request: RevocationRequest }
  | { readonly kind: 'end'; readonly ref: EntryRef; readonly state: 'lifted' | 'expired'; readonly reason: string };

interface Pending {
  readonly request: Request;
  readonly key: string;
  readonly by: string;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes a writer. Calls made at the same time share one job, one round of ledger writes and one round of store updates.
 *
 * The order is: announce the job, write the ledger, update the targets, withdraw the job. A crash at any point leaves
 * the job, and {@link reconcile} finishes it.
 *
 * @example
 * const revoker = createRevoker({ ledger, targets: [storeTarget(store, { ledger, records })] });
 * await revoker.revoke([{ scope: 'session', id: handle, reason: 're-broadcast' }], { by: 'ops@example.com' });
 */
export function createRevoker(options: RevokerOptions): Revoker {
  const { ledger, targets } = options;
  const now = options.now ?? Date.now;
  // A job that lists its entries must fit an item of the ledger.
  const chunkSize = options.chunkSize ?? (targets.some((target) => target.needsEntries) ? 2000 : 20_000);
  const storeStates = new Map<string, StoreDescription>();
  const waiting: Pending[] = [];
  let running: Promise<void> | undefined;

  function submit(request: Request, key: string, by: string): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      waiting.push({ request, key, by, resolve, reject });
      running ??= drain();
    });
  }

  async function drain(): Promise<void> {
    // Lets every call of this turn of the event loop join the first round.
    await Promise.resolve();
    while (waiting.length > 0) {
      const round = takeRound();
      try {
        await runRound(round);
      } catch (error) {
        for (const pending of round) pending.reject(error);
      }
    }
    // In the same turn as the check above: a call between the two would wait for ever.
    running = undefined;
  }

  /** The next requests, none of them about the same entry: those keep their order over several rounds. */
  function takeRound(): Pending[] {
    const round: Pending[] = [];
    const later: Pending[] = [];
    const keys = new Set<string>();
    for (const pending of waiting) {
      if (round.length < chunkSize && !keys.has(pending.key)) round.push(pending);
      else later.push(pending);
      keys.add(pending.key);
    }
    waiting.splice(0, waiting.length, ...later);
    return round;
  }

  async function runRound(round: readonly Pending[]): Promise<void> {
    const refs = round.map(({ request }) => (request.kind === 'revoke' ? request.request : request.ref));
    const buckets = [...new Set(refs.flatMap((ref) => edgePlace(ref)?.bucket ?? []))];
    const needsEntries = targets.some((target) => target.needsEntries);
    const started = Math.floor(now() / 1000);
    let job: Job = {
      id: jobId(now()),
      by: round[0]?.by ?? '',
      at: started,
      leaseUntil: started + leaseSeconds,
      buckets,
      keys: [],
      refs: needsEntries ? refs.map(({ scope, id }) => ({ scope, id })) : [],
      pending: Object.fromEntries(targets.map((target) => [target.name, ''])),
      kinds: Object.fromEntries(targets.map((target) => [target.name, target.kind])),
    };
    await ledger.putJob(job);
    const keepLease = async (): Promise<void> => {
      const at = Math.floor(now() / 1000);
      if (at < job.leaseUntil - leaseSeconds / 2) return;
      job = { ...job, leaseUntil: at + leaseSeconds };
      await ledger.putJob(job);
    };

    const recorded = await record(round, keepLease);
    const removes = round.some(({ request }) => request.kind === 'end');
    // Also where nothing changed: who revokes again may do it because a store has lost it.
    const states = await applyTargets(job, recorded, removes);
    for (const pending of round) {
      const { result, entry } = recorded.get(pending.key) as Recorded;
      const { scope, id } = pending.request.kind === 'revoke' ? pending.request.request : pending.request.ref;
      pending.resolve({ scope, id, result, targets: states, ...(entry && round.length <= 1000 ? { entry } : {}) });
    }
  }

  async function applyTargets(
    job: Job,
    recorded: ReadonlyMap<string, Recorded>,
    compare: boolean,
  ): Promise<Record<string, string>> {
    const entries = job.refs.length === 0 ? [] : [...recorded.values()].flatMap(({ entry }) => entry ?? []);
    const states: Record<string, string> = {};
    await Promise.all(
      targets
        .filter((target) => target.name in job.pending)
        .map(async (target) => {
          try {
            const { store } = await target.apply({ job, entries, compare });
            if (store) storeStates.set(target.name, store);
            states[target.name] = 'done';
          } catch (error) {
            states[target.name] = (error as Error).message;
          }
        }),
    );
    const failed = Object.entries(states).filter(([, state]) => state !== 'done');
    if (failed.length === 0) await ledger.deleteJob(job.id);
    else await ledger.putJob({ ...job, leaseUntil: 0, pending: Object.fromEntries(failed) });
    return states;
  }

  interface Recorded {
    readonly result: ActKind;
    readonly entry?: LedgerEntry;
  }

  async function record(round: readonly Pending[], keepLease: () => Promise<void>): Promise<Map<string, Recorded>> {
    const recorded = new Map<string, Recorded>();
    const refs = round.map(({ request }) => (request.kind === 'revoke' ? request.request : request.ref));
    const standing = new Map((await ledger.getMany(refs)).map((entry) => [entryKey(entry), entry]));
    const fresh: LedgerEntry[] = [];
    const single: Pending[] = [];
    for (const pending of round) {
      // A handful is written with a condition each; of many, those that exist already are.
      if (round.length <= 25 || standing.has(pending.key) || pending.request.kind === 'end') single.push(pending);
      else {
        const entry = changeOf(pending, undefined) as LedgerEntry;
        fresh.push(entry);
        recorded.set(pending.key, { result: 'revoked', entry });
      }
    }
    for (const page of chunks(fresh, 500)) {
      await keepLease();
      await ledger.writeMany(page);
    }
    await inParallel(single, 16, async (pending) => {
      await keepLease();
      recorded.set(pending.key, await recordOne(pending, standing.get(pending.key)));
    });
    return recorded;
  }

  async function recordOne(pending: Pending, first: LedgerEntry | undefined): Promise<Recorded> {
    const { request } = pending;
    let standing = first;
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const entry = changeOf(pending, standing);
      if (!entry) {
        if (request.kind === 'end') return { result: 'not_found', ...(standing ? { entry: standing } : {}) };
        return { result: 'unchanged', ...(standing ? { entry: standing } : {}) };
      }
      if (await ledger.write(entry)) return { result: request.kind === 'end' ? request.state : 'revoked', entry };
      standing = await ledger.get(entry);
    }
    const { scope } = request.kind === 'revoke' ? request.request : request.ref;
    throw new RevokerError('ledger_conflict', `${pending.key} is being changed by others all the time.`, {
      anonymous: `A ${scope} is being changed by others all the time.`,
    });
  }

  function changeOf(pending: Pending, standing: LedgerEntry | undefined): LedgerEntry | undefined {
    const at = Math.floor(now() / 1000);
    const { request, by } = pending;
    if (request.kind === 'revoke') return afterRevoke(standing, request.request, { by, now: at });
    // What somebody prolonged in the meantime has not expired.
    const stillRuns = standing?.until === undefined || standing.until > at;
    if (request.state === 'expired' && stillRuns) return undefined;
    return afterEnd(standing, { state: request.state, by, now: at, reason: request.reason });
  }

  async function submitAll(requests: readonly Request[], { by, onProgress }: ActOptions): Promise<Outcome[]> {
    const results: Outcome[] = [];
    // Pages keep the promises of a large import from piling up.
    for (const page of chunks(requests, chunkSize)) {
      const outcomes = await Promise.all(
        page.map((request) => {
          const ref = request.kind === 'revoke' ? request.request : request.ref;
          return submit(request, entryKey(ref), by);
        }),
      );
      results.push(...outcomes);
      onProgress?.(page.length);
    }
    return results;
  }

  return {
    async revoke(requests, act) {
      const at = Math.floor(now() / 1000);
      const checked = requests.flatMap((request): Request[] => {
        try {
          return [{ kind: 'revoke', request: checkedRequest(request, at) }];
        } catch (error) {
          if (!act.setAside || !(error instanceof RevokerError)) throw error;
          act.setAside(request, error);
          return [];
        }
      });
      return submitAll(checked, act);
    },
    async lift(refs, act) {
      const checked = refs.map((ref): Request => ({
        kind: 'end',
        ref: canonicalRef(ref),
        state: 'lifted',
        reason: act.reason,
      }));
      return submitAll(checked, act);
    },
    async expire(act) {
      const at = Math.floor(now() / 1000);
      let expired = 0;
      let page: Request[] = [];
      const flush = async (): Promise<void> => {
        const outcomes = await submitAll(page, act);
        expired += outcomes.filter(({ result }) => result === 'expired').length;
        page = [];
      };
      for await (const entry of ledger.scan({ states: ['active'] })) {
        if (entry.until === undefined || entry.until > at) continue;
        page.push({
          kind: 'end',
          ref: { scope: entry.scope, id: entry.id },
          state: 'expired',
          reason: 'its time was up',
        });
        if (page.length === chunkSize) await flush();
      }
      await flush();
      return { expired };
    },
    async project(keys, { by, write }) {
      const at = Math.floor(now() / 1000);
      const job: Job = {
        id: jobId(now()),
        by,
        at,
        leaseUntil: at + leaseSeconds,
        buckets: [],
        keys,
        refs: [],
        pending: Object.fromEntries(targets.filter(({ kind }) => kind === 'store').map(({ name }) => [name, ''])),
        kinds: Object.fromEntries(targets.map(({ name, kind }) => [name, kind])),
      };
      await ledger.putJob(job);
      await write();
      return applyTargets(job, new Map(), true);
    },
    stores: () => storeStates,
  };
}

function checkedRequest(request: RevocationRequest, now: number): RevocationRequest {
  const ref = canonicalRef(request);
  if (request.reason.trim() === '') throw new RevokerError('invalid_request', 'A revocation needs a reason.');
  for (const name of ['until', 'cutoff'] as const) {
    const value = request[name];
    if (value !== undefined && !(Number.isFinite(value) && value >= 0 && value < 1e11)) {
      throw new RevokerError('invalid_request', `${name} must be epoch seconds, not ${value}.`);
    }
  }
  if (request.until !== undefined && request.until <= now) {
    throw new RevokerError(
      'invalid_request',
      `The revocation of ${request.scope} ${request.id} would end in the past.`,
      { anonymous: `The revocation of a ${request.scope} would end in the past.` },
    );
  }
  if (request.remint && request.cutoff === undefined) {
    throw new RevokerError('invalid_request', 'To make players fetch a new token a cut-off moment is needed.');
  }
  return {
    ...request,
    ...ref,
    ...(request.until === undefined ? {} : { until: Math.ceil(request.until) }),
    ...(request.cutoff === undefined ? {} : { cutoff: Math.floor(request.cutoff) }),
  };
}

/** Sorts by time; unique. */
function jobId(now: number): string {
  return `${Math.floor(now).toString(36).padStart(9, '0')}-${randomBytes(6).toString('base64url')}`;
}

export interface ReconcileResult {
  /** Unfinished jobs found. */
  readonly jobs: number;
  /** Jobs that are finished now. */
  readonly finished: number;
  readonly buckets: number;
  /** By target that still fails: why. */
  readonly failed: Readonly<Record<string, string>>;
  /** By target that this process does not reach: announcements that are kept for who does. */
  readonly left: Readonly<Record<string, number>>;
}

/**
 * Finishes what was interrupted: every announced job is projected again from the ledger, to the targets that have not
 * confirmed it. Safe to run at any time, also beside live writers: a job whose lease runs is projected but kept.
 */
export async function reconcile(options: {
  readonly ledger: Ledger;
  readonly targets: readonly Target[];
  /** Names of stores that exist and are not among the targets: what is announced for them is left for others. */
  readonly elsewhere?: readonly string[];
  readonly now?: () => number;
  readonly onProgress?: (count: number) => void;
  /** Called with the error of a target that fails. */
  readonly onFailure?: (target: string, error: unknown) => void;
}): Promise<ReconcileResult> {
  const { ledger, targets } = options;
  const at = Math.floor((options.now ?? Date.now)() / 1000);
  const jobs = await ledger.jobs();
  const failed: Record<string, string> = {};
  const isHere = (name: string): boolean => targets.some((target) => target.name === name);
  // Only a store can be made up for by others, and only where nobody says that it exists: what was announced for the
  // WAF's sets, a webhook or IVS is lost to them when it goes.
  const isGone = (job: Job, name: string): boolean =>
    !isHere(name) && !options.elsewhere?.includes(name) && kindOf(job, name) === 'store';
  const confirmed = new Map<string, Set<string>>();
  await Promise.all(
    targets.map(async (target) => {
      // Work for a store of an unknown name, perhaps one that was renamed, is done for every store.
      const mine = jobs.filter(
        (job) =>
          target.name in job.pending ||
          (target.kind === 'store' && Object.keys(job.pending).some((name) => isGone(job, name))),
      );
      if (mine.length === 0) return;
      const refs = new Map(mine.flatMap((job) => job.refs).map((ref) => [entryKey(ref), ref]));
      const job: Job = {
        ...(mine[0] as Job),
        buckets: [...new Set(mine.flatMap((one) => one.buckets))],
        keys: [...new Set(mine.flatMap((one) => one.keys))],
        refs: [...refs.values()],
      };
      try {
        const entries = target.needsEntries ? await ledger.getMany(job.refs) : [];
        await target.apply({
          job,
          entries,
          compare: true,
          ...(options.onProgress ? { onProgress: options.onProgress } : {}),
        });
        confirmed.set(target.name, new Set(mine.map(({ id }) => id)));
      } catch (error) {
        failed[target.name] = (error as Error).message;
        options.onFailure?.(target.name, error);
      }
    }),
  );
  let finished = 0;
  const left: Record<string, number> = {};
  for (const job of jobs) {
    const open = Object.keys(job.pending).filter((name) => !confirmed.get(name)?.has(job.id));
    if (job.leaseUntil > at) continue;
    const waitingFor = open.filter((name) => !isGone(job, name));
    for (const name of waitingFor) if (!isHere(name)) left[name] = (left[name] ?? 0) + 1;
    if (waitingFor.length === 0) {
      await ledger.deleteJob(job.id);
      finished += 1;
    } else {
      await ledger.putJob({
        ...job,
        pending: Object.fromEntries(waitingFor.map((name) => [name, failed[name] ?? job.pending[name] ?? ''])),
      });
    }
  }
  const buckets = new Set(jobs.flatMap((job) => job.buckets)).size;
  return { jobs: jobs.length, finished, buckets, failed, left };
}

/** What an announced target is. Announcements of earlier versions do not say it; their names do, by default. */
function kindOf({ kinds }: Job, name: string): Target['kind'] {
  const byName = name === 'waf' ? 'network-blocker' : name.startsWith('ivs:') ? 'ivs' : 'store';
  return kinds?.[name] ?? byName;
}
