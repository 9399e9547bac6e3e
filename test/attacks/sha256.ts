/**
 * SHA-256 continued from a digest (FIPS 180-4 6.2): what an attacker computes who knows a hash and the length of what was
 * hashed, but not the secret in front. Plain `SHA-256(secret ‖ message)` falls to it; HMAC does not.
 */

const primes: number[] = [];
for (let number = 2; primes.length < 64; number++) if (primes.every((prime) => number % prime)) primes.push(number);
const constants = primes.map((prime) => Math.floor((Math.cbrt(prime) % 1) * 2 ** 32) | 0);

const turned = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function compress(state: readonly number[], block: Buffer): number[] {
  const words = Array.from({ length: 16 }, (_, i) => block.readInt32BE(i * 4));
  const word = (i: number): number => words[i] as number;
  for (let i = 16; i < 64; i++) {
    const low = turned(word(i - 15), 7) ^ turned(word(i - 15), 18) ^ (word(i - 15) >>> 3);
    const high = turned(word(i - 2), 17) ^ turned(word(i - 2), 19) ^ (word(i - 2) >>> 10);
    words.push((word(i - 16) + low + word(i - 7) + high) | 0);
  }
  let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const first =
      (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + (constants[i] as number) + word(i)) |
      0;
    const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  return [a, b, c, d, e, f, g, h].map((value, i) => (value + (state[i] as number)) | 0);
}

/** The padding behind a message of so many bytes. */
export function padding(length: number): Buffer {
  const bytes = Buffer.alloc(((119 - (length % 64)) % 64) + 9);
  bytes[0] = 0x80;
  bytes.writeUInt32BE(length * 8, bytes.length - 4);
  return bytes;
}

/** The digest of `message ‖ padding ‖ more`, from the digest of a message of `length` bytes alone. */
export function extendedDigest(digest: Buffer, length: number, more: Buffer): Buffer {
  const before = length + padding(length).length;
  const rest = Buffer.concat([more, padding(before + more.length)]);
  let state = Array.from({ length: 8 }, (_, i) => digest.readInt32BE(i * 4));
  for (let at = 0; at < rest.length; at += 64) state = compress(state, rest.subarray(at, at + 64));
  const result = Buffer.alloc(32);
  state.forEach((value, i) => result.writeInt32BE(value, i * 4));
  return result;
}
