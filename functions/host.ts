import cf from 'cloudfront';
import type { GateHost } from '@portcullis/tokens/core/gate';

/** Reads from the KeyValueStore; undefined where there is no such key. Throws when that cannot be told. */
async function read(key: string): Promise<string | undefined> {
  const store = cf.kvs();
  try {
    return await store.get(key);
  } catch (_) {
    // A rejection may be a missing key or a fault; only `exists` tells which, when it answers.
    const there = await store.exists(key).catch(() => true);
    if (there !== false) throw 0;
  }
  return undefined;
}

/** The CloudFront Functions runtime as the gate's host: the KeyValueStore, HMAC and SHA-256. */
export const host: GateHost & { random?: () => number } = {
  read: read,
  mac: (secret, pieces) => {
    const hmac = runtimeCrypto.createHmac('sha256', secret);
    pieces.forEach((piece) => hmac.update(piece));
    return hmac.digest();
  },
  digest: (text) => runtimeCrypto.createHash('sha256').update(text).digest(),
  now: () => Date.now() / 1000,
};
if (FEATURES.catpor) host.random = () => Math.random();
