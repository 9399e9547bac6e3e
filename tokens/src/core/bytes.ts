/**
 * What the core does with bytes. It has a module of its own because it touches `Buffer` as it loads, which a signer in a
 * worker or a browser does not have.
 */
export const isBytes = Buffer.isBuffer as (value: unknown) => value is Buffer;

export const toBase64 = (bytes: Buffer): string => bytes.toString('base64url');

export const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64url');

/**
 * Some bytes as text where they are few and each is of a range within ASCII; else undefined. For engines that compile: there a
 * call of `toString` costs as much as thirty bytes read this way, in njs as much as one.
 */
export const shortText = (
  bytes: Buffer,
  from: number,
  to: number,
  lowest: number,
  highest: number,
): string | undefined => {
  if (to - from > 32 || to > bytes.length) return undefined;
  let text = '';
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number;
    if (byte < lowest || byte > highest) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
};
