import type { Pair } from './event.js';

/** An answer that is kept. */
export interface CachedAnswer {
  readonly status: number;
  readonly pairs: readonly Pair[];
  readonly body: Buffer;
}

/** The cache of the behaviours that have a Lambda@Edge function on origin-request, which runs when it misses. */
export interface EdgeCache {
  find(key: string): CachedAnswer | undefined;
  /** Keeps an answer for as long as its Cache-Control says; not at all where it says nothing. */
  keep(key: string, answer: CachedAnswer): void;
}

/** Answers that are kept at most: the stand-in is for one person. */
const room = 500;

/**
 * A cache with CloudFront's defaults for what matters here: the key is host, path and query as the viewer-request function
 * left them, and the headers that the behaviour's cache policy lists; answers that say `no-store`, `no-cache` or
 * `private`, that set cookies, or that have no lifetime are not kept.
 */
export function createCache(now: () => number): EdgeCache {
  const answers = new Map<string, { readonly answer: CachedAnswer; readonly until: number }>();
  return {
    find(key) {
      const found = answers.get(key);
      return found && now() < found.until ? found.answer : undefined;
    },
    keep(key, answer) {
      const lifetime = lifetimeOf(answer);
      answers.delete(key);
      if (lifetime <= 0) return;
      answers.set(key, { answer, until: now() + lifetime * 1000 });
      const oldest = answers.size > room ? answers.keys().next().value : undefined;
      if (oldest !== undefined) answers.delete(oldest);
    },
  };
}

function lifetimeOf({ status, pairs }: CachedAnswer): number {
  const values = (wanted: string): string =>
    pairs
      .filter(([name]) => name.toLowerCase() === wanted)
      .map(([, value]) => value)
      .join(',');
  const control = values('cache-control');
  if (status !== 200 || values('set-cookie') !== '' || /no-store|no-cache|private/i.test(control)) return 0;
  return Number(/s-maxage=(\d+)/i.exec(control)?.[1] ?? /max-age=(\d+)/i.exec(control)?.[1] ?? 0);
}
