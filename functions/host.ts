import cf from 'cloudfront';
import { must } from '@portcullis/tokens/core/basics';
import type { GateHost } from '@portcullis/tokens/core/gate';

/** A rejection may be a missing key or a fault; only `exists` tells which, when it answers. */
async function missing(key: string): Promise<void> {
  // Whatever `must` makes of a failure, it is not `false`.
  const there: unknown = await cf.kvs().exists(key).catch(must);
  if (there !== false) throw 0;
}

/** The CloudFront Functions runtime as the gate's host: the KeyValueStore, HMAC and SHA-256. */
export const host: GateHost & { random?: () => number } = {
  read: (key) => cf.kvs().get(key),
  missing: missing,
  mac: (secret, pieces) => {
    const hmac = runtimeCrypto.createHmac('sha256', secret);
    pieces.forEach((piece) => hmac.update(piece));
    return hmac.digest();
  },
  digest: (text) => runtimeCrypto.createHash('sha256').update(text).digest(),
  now: () => Date.now() / 1000,
};
if (FEATURES.catpor) host.random = () => Math.random();
