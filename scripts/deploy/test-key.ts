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

/** Puts a fresh test key into the store. `paths` limits what it may sign for. */
export async function installTestKey(values: KeyValues, paths: readonly string[]): Promise<TestKey> {
  const secret = new Uint8Array(randomBytes(32));
  const record = JSON.stringify({ alg: 'HS256', k: Buffer.from(secret).toString('base64url'), paths });
  await values.update(async () => ({ puts: [[recordKey, record]], deletes: [] }));
  return { kid: testKeyId, secret };
}

/** Takes the test key out, and the revocation of its test token with it. */
export async function removeTestKey(values: KeyValues, revokedTokenId?: string): Promise<void> {
  await values.update(async () => {
    const present = (await values.get(recordKey)) !== undefined;
    const bucket =
      revokedTokenId === undefined
        ? { puts: [], deletes: [] }
        : await bucketChange(values, revokedTokenId, (entries, own) =>
            entries.filter((entry) => entry.fingerprint !== own.fingerprint),
          );
    return { puts: bucket.puts, deletes: [...bucket.deletes, ...(present ? [recordKey] : [])] };
  });
}

/** Revokes a token of the test key, beside whatever else its bucket holds. */
export async function revokeTestToken(values: KeyValues, tokenId: string): Promise<void> {
  await values.update(() => bucketChange(values, tokenId, (entries, own) => [...entries, own]));
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
