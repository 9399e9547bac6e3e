/** Fills an array with random bytes from a cryptographic source. */
export type RandomSource = (bytes: Uint8Array<ArrayBuffer>) => void;

const poolSize = 4096;

/**
 * Hands out `length` random bytes at a time from a pool, so that minting does not pay for one system call per token.
 * Bytes are used once and wiped.
 */
export function createRandomPool(
  fill: RandomSource = (bytes) => void crypto.getRandomValues(bytes),
): (length: number) => Uint8Array<ArrayBuffer> {
  const pool = new Uint8Array(poolSize);
  let used = poolSize;
  return (length) => {
    if (length > poolSize) {
      const bytes = new Uint8Array(length);
      fill(bytes);
      return bytes;
    }
    if (used + length > poolSize) {
      fill(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + length);
    pool.fill(0, used, used + length);
    used += length;
    return bytes;
  };
}
