import type { CacheSettings, KeysById } from './keys.js';
import type { EdgeKey } from './signature.js';

export interface CachedKeysOptions {
  /** Reads the whole source anew, in bounded time. */
  readonly load: () => Promise<KeysById>;
  readonly settings: CacheSettings;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly onFault: (message: string) => void;
}

/** Seconds between attempts at a source that stays down. */
const LONGEST_WAIT = 60;

/**
 * The keys of a source that is somewhere else: kept, read again in the background, and served on while the source is
 * down. Whatever is asked for, the source is read by one request at a time, and not before its time has come.
 *
 * Between invocations an execution environment is frozen, and what runs in the background with it. Where a background
 * read has not come back in twice its time, a request waits for one.
 */
export function createCachedKeys({ load, settings, now, onFault }: CachedKeysOptions): {
  peek(kid: string): EdgeKey | undefined;
  seek(kid: string): Promise<EdgeKey | undefined>;
} {
  const { refreshAfter = 300, staleFor = 86_400, unknownKidInterval = 30, retryAfter = 5 } = settings;
  let keys: KeysById | undefined;
  let loadedAt = -Infinity;
  let nextAttempt = -Infinity;
  let failures = 0;
  let pending: Promise<void> | undefined;

  /** The keys as long as they may serve. */
  const current = (): KeysById | undefined => (now() - loadedAt < staleFor ? keys : (keys = undefined));

  /** Reads the source, unless it was read just now. Never rejects. */
  const refresh = (): Promise<void> => {
    if (pending) return pending;
    if (now() < nextAttempt) return Promise.resolve();
    // As old as the question: the answer may lie frozen for an hour before it is read.
    const askedAt = now();
    nextAttempt = askedAt + retryAfter;
    pending = load()
      .then(
        (loaded) => {
          keys = loaded;
          loadedAt = askedAt;
          failures = 0;
        },
        (error: unknown) => {
          // Counted from the end, and longer each time: a slow source must not take up every request.
          nextAttempt = now() + Math.min(retryAfter * 2 ** failures++, LONGEST_WAIT);
          onFault(error instanceof Error ? error.message : String(error));
        },
      )
      .finally(() => (pending = undefined));
    return pending;
  };

  return {
    peek(kid) {
      const known = current();
      const age = now() - loadedAt;
      if (!known || age >= 2 * refreshAfter) return undefined;
      if (age >= refreshAfter) void refresh();
      return known.get(kid);
    },
    async seek(kid) {
      const known = current();
      const age = now() - loadedAt;
      if (!known || age >= 2 * refreshAfter) {
        const wasPending = pending !== undefined;
        await refresh();
        // What had been asked for before the environment was frozen tells what was true then.
        if (wasPending && now() - loadedAt >= 2 * refreshAfter) await refresh();
      }
      // A key that was made since: worth one read for all such requests together.
      else if (!known.has(kid) && age >= unknownKidInterval) await refresh();
      const found = current();
      if (!found) throw new Error('No keys: the source has not answered.');
      return found.get(kid);
    },
  };
}
