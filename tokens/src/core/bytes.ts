/**
 * What the core does with bytes. It has a module of its own because it touches `Buffer` as it loads, which a signer in a
 * worker or a browser does not have.
 */
export const isBytes = Buffer.isBuffer as (value: unknown) => value is Buffer;

export const toBase64 = (bytes: Buffer): string => bytes.toString('base64url');

export const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64url');
