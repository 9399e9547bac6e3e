/** How long a fetched value is good for; all in seconds. */
export interface CachedValueOptions {
  /** Age from which it is fetched again while the old one serves. */
  readonly refreshAfter: number;
  /** Age until which it serves while fetching fails. Default: for ever. */
  readonly staleFor?: number | undefined;
  /** Time after a failure before the next fetch. Default 5. */
  readonly retryAfter?: number | undefined;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  readonly onFault?: ((error: unknown) => void) | undefined;
}

/**
 * A value that is fetched once, refreshed in the background, and kept through an outage. Only the first fetch is waited
 * for; callers at the same time share it.
 *
 * @throws what fetching throws, from the returned function, as long as there is no value that may be used.
 */
export function cachedValue<T>(fetchValue: () => Promise<T>, options: CachedValueOptions): () => Promise<T> {
  const { refreshAfter, staleFor = Infinity, retryAfter = 5, onFault } = options;
  const seconds = (): number => (options.now ?? Date.now)() / 1000;
  let known: { readonly value: T; readonly at: number } | undefined;
  let running: Promise<T> | undefined;
  let failure: { readonly error: unknown; readonly at: number } | undefined;

  const refresh = (): Promise<T> =>
    (running ??= fetchValue()
      .then(
        (value) => {
          known = { value, at: seconds() };
          failure = undefined;
          return value;
        },
        (error: unknown) => {
          failure = { error, at: seconds() };
          onFault?.(error);
          throw error;
        },
      )
      .finally(() => {
        running = undefined;
      }));

  return async () => {
    const now = seconds();
    const resting = failure !== undefined && now - failure.at < retryAfter;
    if (known && now - known.at < staleFor) {
      if (now - known.at >= refreshAfter && !resting) void refresh().catch(() => undefined);
      return known.value;
    }
    if (resting) throw failure?.error;
    return refresh();
  };
}
