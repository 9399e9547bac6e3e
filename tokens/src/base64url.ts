interface Buffered extends Uint8Array {
  toString(encoding?: 'base64url', start?: number, end?: number): string;
}

interface BufferLike {
  from(data: ArrayBufferLike | string, offset?: number | 'base64url', length?: number): Buffered;
  isBuffer(bytes: Uint8Array): boolean;
}

/** Node, Bun, Deno and Workers with Node compatibility have one; browsers do not. */
const NodeBuffer = (globalThis as { Buffer?: BufferLike }).Buffer;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const values = /* @__PURE__ */ (() => {
  const table = new Int8Array(128).fill(-1);
  for (let i = 0; i < 64; i++) table[alphabet.charCodeAt(i)] = i;
  return table;
})();

/** Base64url without padding (RFC 4648 5). */
export function encodeBase64url(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (NodeBuffer) {
    // A view of the bytes costs as much as writing them.
    const view = NodeBuffer.isBuffer(bytes)
      ? (bytes as Buffered)
      : NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return view.toString('base64url', start, end);
  }
  let text = '';
  for (let i = start; i < end; i += 3) {
    const a = bytes[i] as number;
    const b = i + 1 < end ? (bytes[i + 1] as number) : 0;
    const c = i + 2 < end ? (bytes[i + 2] as number) : 0;
    text += alphabet.charAt(a >> 2) + alphabet.charAt(((a & 3) << 4) | (b >> 4));
    if (i + 1 < end) text += alphabet.charAt(((b & 15) << 2) | (c >> 6));
    if (i + 2 < end) text += alphabet.charAt(c & 63);
  }
  return text;
}

/** Strict base64url, padded or not; `undefined` for anything else, including stray bits after the last byte. */
export function decodeBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  let length = text.length;
  if (length % 4 === 0 && text.endsWith('==')) length -= 2;
  else if (length % 4 === 0 && text.endsWith('=')) length -= 1;
  const rest = length % 4;
  if (rest === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let at = 0;
  let bits = 0;
  let count = 0;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? (values[code] as number) : -1;
    if (value < 0) return undefined;
    bits = (bits << 6) | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[at++] = (bits >> count) & 255;
      bits &= (1 << count) - 1;
    }
  }
  return bits === 0 ? bytes : undefined;
}
