import { KeyError } from '../errors.js';
import type { SigningKey } from '../keys.js';
import type { KeyProvider } from '../signer.js';

/** How a provider that fetches its key keeps it. */
export interface RefreshOptions {
  /** Seconds after which the key is fetched again, in the background. Default 300. */
  readonly refreshAfter?: number;
  /** Seconds after the last successful fetch at which the key is refused: an outage is survived this long. Default 86,400. */
  readonly refuseAfter?: number;
  /** Seconds between attempts while fetching fails. Default 10. */
  readonly retryAfter?: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
  /** Told of each failed fetch; signing goes on with the last good key meanwhile. */
  readonly onRefreshError?: (error: unknown) => void;
}

/** A provider that keeps its key fresh without making anybody wait, once the first key is there. */
export interface RefreshingKeyProvider extends KeyProvider {
  /** Fetches now, for the moment after a rotation. Rejects when that fails; the last good key stays. */
  refresh(): Promise<void>;
}

/**
 * Caches what `fetch` gives. While the key is fresh nothing is fetched; when it ages, the old one signs on and one
 * fetch runs in the background; only a key that could not be refreshed for `refuseAfter` seconds is refused.
 */
export function refreshingKey(
  fetch: () => Promise<SigningKey>,
  source: string,
  options: RefreshOptions,
): RefreshingKeyProvider {
  const { refreshAfter = 300, refuseAfter = 86_400, retryAfter = 10, clock = Date.now, onRefreshError } = options;
  let key: SigningKey | undefined;
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  let pending: Promise<SigningKey> | undefined;

  function load(): Promise<SigningKey> {
    triedAt = clock();
    pending ??= fetch()
      .then((fetched) => {
        fetchedAt = clock();
        // The same object as long as the key is the same: preparation is cached by identity.
        if (!key || !sameKey(key, fetched)) key = fetched;
        return key;
      })
      .finally(() => (pending = undefined));
    return pending;
  }

  return {
    signingKey() {
      const now = clock();
      if (!key) return load().catch((cause: unknown) => unavailable(source, cause, onRefreshError));
      if (now - fetchedAt < refreshAfter * 1000) return key;
      if (now - fetchedAt >= refuseAfter * 1000) {
        return load().catch((cause: unknown) => {
          onRefreshError?.(cause);
          throw new KeyError(
            'stale_key',
            `The key from ${source} could not be refreshed for ${refuseAfter} seconds and is refused.`,
            { cause },
          );
        });
      }
      if (now - triedAt >= retryAfter * 1000) load().catch((error: unknown) => onRefreshError?.(error));
      return key;
    },
    async refresh() {
      await load();
    },
  };
}

function unavailable(source: string, cause: unknown, report: ((error: unknown) => void) | undefined): never {
  report?.(cause);
  if (cause instanceof KeyError) throw cause;
  throw new KeyError('key_unavailable', `The key could not be fetched from ${source}.`, { cause });
}

function sameKey(a: SigningKey, b: SigningKey): boolean {
  return fingerprint(a) === fingerprint(b);
}

/** Compared in memory only. */
function fingerprint(key: SigningKey): string {
  return JSON.stringify({
    ...key,
    ...('secret' in key && key.secret instanceof Uint8Array ? { secret: [...key.secret] } : {}),
  });
}
