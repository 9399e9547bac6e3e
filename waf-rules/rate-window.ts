/** Counts requests per key over a sliding window, the way a rate-based rule does. */
export interface RateWindow {
  /** Counts one request and tells whether its key is limited now. */
  hit(key: string, time: number): boolean;
  /** Keys held. */
  readonly size: number;
}

interface Instance {
  /** Per slice, cyclic; absent while everything counted lies in one slice, as for most keys. */
  counts: Uint32Array | undefined;
  last: number;
  total: number;
  limited: boolean;
}

/**
 * AWS estimates rates about every ten seconds and starts and ends limiting with some lag
 * (waf-rule-statement-type-rate-based-caveats). This model counts exactly in slices of ten seconds, over a window of
 * them, and decides at the beginning of each slice; with `prompt` it decides on every request. Keys that fell silent
 * are dropped, so memory stays bounded by the keys of one window.
 */
export function createRateWindow(limit: number, windowSeconds: number, prompt: boolean): RateWindow {
  const sliceMilliseconds = 10_000;
  const slices = Math.max(1, Math.round(windowSeconds / 10));
  const instances = new Map<string, Instance>();
  let sweepAt = 100_000;
  let latest = 0;
  const sweep = (): void => {
    for (const [key, instance] of instances) if (instance.last <= latest - slices) instances.delete(key);
    sweepAt = Math.max(100_000, instances.size * 2);
  };
  /** Moves a key to a later slice: what left the window is forgotten, the new slice decided on the window before it. */
  const advance = (instance: Instance, slice: number): void => {
    const gap = slice - instance.last;
    if (gap > slices) {
      instance.limited = false;
      instance.total = 0;
      instance.counts = undefined;
    } else if (!instance.counts) {
      instance.limited = instance.total > limit;
      if (gap === slices) instance.total = 0;
      else {
        instance.counts = new Uint32Array(slices);
        instance.counts[instance.last % slices] = instance.total;
      }
    } else {
      for (let at = instance.last + 1; at <= slice; at++) {
        if (at === slice) instance.limited = instance.total > limit;
        instance.total -= instance.counts[at % slices] as number;
        instance.counts[at % slices] = 0;
      }
    }
    instance.last = slice;
  };
  return {
    get size() {
      return instances.size;
    },
    hit(key, time) {
      const slice = Math.floor(time / sliceMilliseconds);
      if (slice > latest) latest = slice;
      let instance = instances.get(key);
      if (!instance) {
        if (instances.size >= sweepAt) sweep();
        instance = { counts: undefined, last: slice, total: 0, limited: false };
        instances.set(key, instance);
      }
      if (slice > instance.last) advance(instance, slice);
      // Records of a log arrive a little out of order: late ones still count in their own slice.
      else if (slice <= instance.last - slices) return instance.limited;
      if (!instance.counts && slice < instance.last) {
        instance.counts = new Uint32Array(slices);
        instance.counts[instance.last % slices] = instance.total;
      }
      if (instance.counts) instance.counts[slice % slices] = (instance.counts[slice % slices] as number) + 1;
      instance.total++;
      return prompt ? instance.total > limit : instance.limited;
    },
  };
}
