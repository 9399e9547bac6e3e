import { bucketCount, encodeBucket, placeOf, type BucketEntry } from '../../revoker/store/buckets.js';
import { storeBytes } from '../../revoker/store/key-value-store.js';
import type { BenchFigure } from './figure.js';

const measured = 400_000;
const fitStep = 20_000;

function bytesOf(buckets: readonly BucketEntry[][]): number {
  let bytes = 0;
  buckets.forEach((entries, bucket) => {
    for (const [key, value] of encodeBucket(bucket, entries)) bytes += key.length + value.length;
  });
  return bytes;
}

/** How much room revocations take in a KeyValueStore, keys included, with real digests. */
export function bench(): Promise<BenchFigure[]> {
  const buckets = Array.from({ length: bucketCount }, (): BucketEntry[] => []);
  let count = 0;
  const addUpTo = (total: number): number => {
    for (; count < total; count += 1) {
      const { bucket, fingerprint } = placeOf('session', `session-${count}`);
      buckets[bucket]?.push({ fingerprint });
    }
    return bytesOf(buckets);
  };
  const started = performance.now();
  const bytes = addUpTo(measured);
  const perSecond = measured / ((performance.now() - started) / 1000);
  let fits = measured;
  while (addUpTo(fits + fitStep) <= storeBytes) fits += fitStep;

  return Promise.resolve([
    {
      name: 'store.bytesPerRevocation',
      value: round(bytes / measured),
      unit: 'bytes',
      budget: storeBytes / measured,
      note: `at ${measured} revocations, keys included`,
    },
    {
      name: 'store.revocations',
      value: fits,
      unit: 'revocations',
      budget: measured,
      higherIsBetter: true,
      note: `in ${storeBytes} bytes, in steps of ${fitStep}`,
    },
    {
      name: 'store.packing',
      value: Math.round(perSecond),
      unit: 'revocations/s',
      note: 'hashing and packing, one core',
    },
  ]);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
