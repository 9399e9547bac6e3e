import { createHmac } from 'node:crypto';
import { sameText } from './seal.js';

/**
 * The query parameter that a start URL comes back with after a cookie was set: whoever sees it sets no second one, so that
 * a player without cookies is not sent round for ever.
 */
export const MARKER = 'portcullis-start';

/** Seconds in which a start may come back. */
const LIFETIME = 60;

/** What a marker is bound to. */
export interface MarkerBinding {
  readonly secret: Buffer;
  /** Names the token: see `replayId`. */
  readonly tokenId: string;
  readonly address: string;
}

/** A marker for the way back: `<end>.<MAC>`. */
export function makeMarker(now: number, binding: MarkerBinding): string {
  const end = (Math.floor(now) + LIFETIME).toString(36);
  return `${end}.${macOf(end, binding)}`;
}

/** Whether a marker was made here for this token and this viewer, less than a minute ago. */
export function isMarker(text: string, now: number, binding: MarkerBinding): boolean {
  const [end = '', mac = ''] = text.split('.');
  return /^[\da-z]{1,9}$/.test(end) && sameText(mac, macOf(end, binding)) && now < parseInt(end, 36);
}

function macOf(end: string, { secret, tokenId, address }: MarkerBinding): string {
  return createHmac('sha256', secret).update(`marker ${end} ${address} ${tokenId}`).digest('base64url').slice(0, 22);
}

/** Takes the marker out of a query: both what is left, and the marker's text, if there is one. */
export function takeMarker(query: string): { readonly query: string; readonly marker: string | undefined } {
  const parts = query === '' ? [] : query.split('&');
  const marked = parts.find((part) => part.startsWith(`${MARKER}=`));
  return {
    query: parts.filter((part) => part !== MARKER && !part.startsWith(`${MARKER}=`)).join('&'),
    marker: marked?.slice(MARKER.length + 1),
  };
}
