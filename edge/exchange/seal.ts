import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Mode } from '@portcullis/tokens/core/gate';
import type { LambdaRequest } from '../event.js';

/** The header that the viewer-request function seals (`functions/handover.ts`). */
export const START_HEADER = 'x-portcullis-start';

/** What the viewer-request function decided of a request on the start path. */
export interface Start {
  readonly mode: Mode;
  /**
   * `signed`: everything holds but the signature, which is yet to be checked. `mac`: the token is one that the function
   * checks by itself, and good. `none`: no good token; let through by the mode.
   */
  readonly kind: 'signed' | 'mac' | 'none';
  /** The path that the token's key is entitled to in the function's store; `/` for any. */
  readonly entitled: string;
  readonly token: string;
}

const kinds: Readonly<Record<string, Start['kind']>> = { signed: 'signed', mac: 'mac', '-': 'none' };

/**
 * Opens the header that the viewer-request function sealed for this very request.
 *
 * @param requestId The same in the function's event and in the Lambda's.
 * @param secretOf The sealing key's secret by kid; undefined for a kid that seals nothing here.
 * @returns Undefined where there is no such header, or it was not made for this request: then no function stood before us.
 * @throws whatever `secretOf` throws.
 */
export async function openSeal(
  request: LambdaRequest,
  requestId: string,
  secretOf: (kid: string) => Promise<Buffer | undefined>,
): Promise<Start | undefined> {
  const lines = request.headers[START_HEADER];
  const parts = lines?.length === 1 && lines[0] ? lines[0].value.split(' ') : [];
  if (parts.length !== 6) return undefined;
  const [kid, mode, kind, entitled, token, seal] = parts as [string, string, string, string, string, string];
  const secret = await secretOf(kid);
  if (!secret) return undefined;
  const text = parts.slice(0, 5).join(' ');
  const expected = createHmac('sha256', secret).update(`start ${requestId} ${text}`).digest('base64url');
  if (!sameText(expected, seal) || kinds[kind] === undefined) return undefined;
  return { mode: mode as Mode, kind: kinds[kind], entitled, token };
}

/** Compared by their hashes: neither the time nor the lengths tell anything. */
export function sameText(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
