// A signing key of a minute's life, so that a deployment can be tried without anybody's real key: made at random, put
// into the store for the test paths alone, and taken out again. Nothing else ever holds it.
import { randomBytes } from 'node:crypto';
import { bucketKey, decodeBucket, encodeBucket, placeOf } from '../../revoker/store/buckets.js';
import type { KeyValues } from './key-values.js';

/** Fixed, so that what an interrupted run left behind is found and replaced by the next one. */
export const testKeyId = 'portcullis-deploy-test';

export interface TestKey {
  readonly kid: string;
  readonly secret: Uint8Array<ArrayBuffer>;
}

const recordKey = `k:${testKeyId}`;

/** Holds the id of the revoked test token; no function reads it. With it, the revocation is found again. */
const markerKey = testKeyId;

export function makeTestKey(): TestKey {
  return { kid: testKeyId, secret: new Uint8Array(randomBytes(32)) };
}

/**
 * Puts the test key into the store and revokes one of its tokens, in one batch: all of it is there, or nothing.
 *
 * @param paths what the key may sign for
 */
export async function installTestKey(
  values: KeyValues,
  key: TestKey,
  paths: readonly string[],
  revokedTokenId: string,
): Promise<void> {
  const record = JSON.stringify({ alg: 'HS256', k: Buffer.from(key.secret).toString('base64url'), paths });
  await values.update(async () => {
    const bucket = await bucketChange(values, revokedTokenId, (entries, own) => [...entries, own]);
    return {
      puts: [[recordKey, record], [markerKey, revokedTokenId], ...bucket.puts],
      deletes: bucket.deletes,
    };
  });
}

/** Takes out the test key and the revocation of its test token, also those that an interrupted run left. */
export async function removeTestKey(values: KeyValues): Promise<void> {
  await values.update(async () => {
    const tokenId = await values.get(markerKey);
    if (tokenId === undefined) return { puts: [], deletes: [] };
    const bucket = await bucketChange(values, tokenId, (entries, own) =>
      entries.filter((entry) => entry.fingerprint !== own.fingerprint),
    );
    return { puts: bucket.puts, deletes: [...bucket.deletes, recordKey, markerKey] };
  });
}

/** Whether an interrupted run left its test key behind. */
export async function testKeyLeft(values: KeyValues): Promise<boolean> {
  return (await values.get(markerKey)) !== undefined;
}

type Entries = ReturnType<typeof decodeBucket>;

async function bucketChange(
  values: KeyValues,
  tokenId: string,
  change: (entries: Entries, own: Entries[number]) => Entries,
): Promise<{ puts: (readonly [string, string])[]; deletes: string[] }> {
  const { bucket, fingerprint } = placeOf('token', tokenId);
  const before: string[] = [];
  for (;;) {
    const value = await values.get(bucketKey(bucket, before.length));
    if (value === undefined) break;
    before.push(value);
    if (!value.startsWith('+')) break;
  }
  const puts = encodeBucket(bucket, change(decodeBucket(before), { fingerprint }));
  const kept = new Set(puts.map(([key]) => key));
  const deletes = before.map((_, part) => bucketKey(bucket, part)).filter((key) => !kept.has(key));
  return { puts, deletes };
}
