/** How long a fetched value is good for; all in seconds. */
export interface CachedValueOptions {
  /** Age from which it is fetched again while the old one serves. */
  readonly refreshAfter: number;
  /**
   * Age from which a caller waits for the new one: between invocations an execution environment is frozen, and one that
   * was idle must not go on with what has long been replaced. The old one serves on where fetching fails. Default: never.
   */
  readonly waitAfter?: number | undefined;
  /** Age until which it serves while fetching fails. Default: for ever. */
  readonly staleFor?: number | undefined;
  /** Time after a failure before the next fetch, longer each time, a minute at most. Default 5. */
  readonly retryAfter?: number | undefined;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  readonly onFault?: ((error: unknown) => void) | undefined;
}

/** Seconds between attempts at a source that stays down. */
const LONGEST_REST = 60;

/**
 * A value that is fetched once, refreshed in the background, and kept through an outage. Only the first fetch is waited
 * for, and those that come too late; callers at the same time share them.
 *
 * @throws what fetching throws, from the returned function, as long as there is no value that may be used.
 */
export function cachedValue<T>(fetchValue: () => Promise<T>, options: CachedValueOptions): () => Promise<T> {
  const { refreshAfter, waitAfter = Infinity, staleFor = Infinity, retryAfter = 5, onFault } = options;
  const seconds = (): number => (options.now ?? Date.now)() / 1000;
  let known: { readonly value: T; readonly at: number } | undefined;
  let running: Promise<T> | undefined;
  let failure: { readonly error: unknown; readonly until: number } | undefined;
  let failures = 0;

  const refresh = (): Promise<T> => {
    if (running) return running;
    // As old as the question: the answer may lie frozen for an hour before it is read.
    const at = seconds();
    return (running = fetchValue()
      .then(
        (value) => {
          known = { value, at };
          failure = undefined;
          failures = 0;
          return value;
        },
        (error: unknown) => {
          failure = { error, until: seconds() + Math.min(retryAfter * 2 ** failures++, LONGEST_REST) };
          onFault?.(error);
          throw error;
        },
      )
      .finally(() => {
        running = undefined;
      }));
  };

  return async () => {
    const now = seconds();
    const resting = failure !== undefined && now < failure.until;
    const age = now - (known?.at ?? -Infinity);
    if (!known || age >= staleFor) {
      if (resting) throw failure?.error;
      return refresh();
    }
    if (age >= refreshAfter && !resting) {
      const wasRunning = running !== undefined;
      const refreshed = refresh().catch(() => undefined);
      if (age >= waitAfter) {
        await refreshed;
        // What had been asked for before the environment was frozen tells what was true then.
        if (wasRunning && seconds() - known.at >= waitAfter) await refresh().catch(() => undefined);
      }
    }
    return known.value;
  };
}
