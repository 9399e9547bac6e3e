import { toBase64 } from '@portcullis/tokens/core/bytes';
import { lookUp, parseKeyRecord, parseToken, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import type { FoundToken, Place } from '@portcullis/tokens/core/placement';
import { headerText, type EventRequest } from '@portcullis/tokens/core/request';
import { isBelow } from '@portcullis/tokens/core/uri';
import { policy } from 'portcullis:settings';
import type { ViewerEvent } from './event.js';
import { host } from './host.js';

/**
 * The header by which viewer-request hands the token to viewer-response, for the case that the latter sees the request
 * as changed instead of as the viewer sent it (the documentation says the viewer's; nobody has promised it).
 */
export const HANDOVER = 'x-portcullis-handover';

/** A token and the URL it came with, as viewer-request found them. */
export interface Handover {
  readonly found: FoundToken;
  /** Path and query as the viewer sent them, for a redirect to the same with another token. */
  readonly url: string;
}

/** What the viewer asked for. */
export const urlOf = (uri: string, request: EventRequest): string => {
  const query = request.rawQueryString();
  return uri + (query && '?' + query);
};

/**
 * Place, header name and text of a token and its URL, with a MAC that binds them to this one request: its id is the same
 * on both events, and no viewer knows it beforehand.
 */
export const sealed = (handover: Handover, record: KeyRecord, event: ViewerEvent): string => {
  const found = handover.found;
  const text = [found.place, found.name, found.text, handover.url].join(' ');
  return text + ' ' + toBase64(host.mac(record.secret as Buffer, ['handover ' + event.context.requestId + text]));
};

/** What viewer-request handed over; undefined where there is nothing or the seal is not ours. */
export async function takeHandover(event: ViewerEvent): Promise<Handover | undefined> {
  const header = headerText(event.request, HANDOVER);
  if (!header) return undefined;
  const parts = header.split(' ');
  const handover: Handover = {
    found: { place: +(parts[0] as string) as Place, name: parts[1] as string, text: parts[2] as string },
    url: parts[3] as string,
  };
  const json = await lookUp(host, 'k:' + parseToken(handover.found.text).kid);
  // Compared by their hashes: how long that takes tells nothing of the seal.
  return json && host.digest(header).equals(host.digest(sealed(handover, parseKeyRecord(json), event)))
    ? handover
    : undefined;
}

/** The header by which viewer-request tells Lambda@Edge what it decided of a start: see `edge/exchange/seal.ts`. */
export const START = 'x-portcullis-start';

/**
 * What Lambda@Edge has to know of a start that passed here: the sealing key's kid, the mode, how the token was found good
 * (`signed` means that its signature is yet to be checked), the path that its key is entitled to, the token, and a MAC
 * over these and the request's id. No viewer can make or replay one.
 */
export async function sealedStart(verdict: Verdict, event: ViewerEvent): Promise<string> {
  const json = await lookUp(host, 'k:' + policy.startKid);
  const key = parseKeyRecord(json as string);
  const record = verdict.record;
  const text = [
    policy.startKid,
    verdict.mode,
    verdict.reason ? '-' : verdict.deferred ? 'signed' : verdict.genuine ? 'mac' : '-',
    (FEATURES.keyScope && record && record.paths && record.paths.find((path) => isBelow(verdict.cleanPath, [path]))) ||
      '/',
    (verdict.found && verdict.found.text) || '-',
  ].join(' ');
  return text + ' ' + toBase64(host.mac(key.secret as Buffer, ['start ' + event.context.requestId + ' ' + text]));
}
