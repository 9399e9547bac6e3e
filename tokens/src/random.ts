/** Fills an array with random bytes from a cryptographic source. */
export type RandomSource = (bytes: Uint8Array<ArrayBuffer>) => void;

const poolSize = 4096;

/**
 * Hands out `length` random bytes at a time from a pool, so that minting does not pay for one system call per token.
 * The view is good until the next call; no byte is handed out twice.
 */
export function createRandomPool(
  fill: RandomSource = (bytes) => void crypto.getRandomValues(bytes),
): (length: number) => Uint8Array<ArrayBuffer> {
  const pool = new Uint8Array(poolSize);
  let used = poolSize;
  return (length) => {
    if (used + length > poolSize) {
      fill(pool);
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  };
}
