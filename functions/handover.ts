import { toBase64 } from '@portcullis/tokens/core/basics';
import { lookUp, parseKeyRecord, parseToken, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import type { FoundToken, Place } from '@portcullis/tokens/core/placement';
import { headerText } from '@portcullis/tokens/core/request';
import { isBelow } from '@portcullis/tokens/core/uri';
import { policy } from 'portcullis:settings';
import type { ViewerEvent } from './event.js';
import { host } from './host.js';

/**
 * The header by which viewer-request hands the token to viewer-response, for the case that the latter sees the request
 * as changed instead of as the viewer sent it (the documentation says the viewer's; nobody has promised it).
 */
export const HANDOVER = 'x-portcullis-handover';

/**
 * Place, header name and text of a token, with a MAC that binds them to this one request: its id is the same on both
 * events, and no viewer knows it beforehand.
 */
export const sealed = (found: FoundToken, record: KeyRecord, event: ViewerEvent): string => {
  const text = found.place + ' ' + (found.name || '') + ' ' + found.text;
  return text + ' ' + toBase64(host.mac(record.secret as Buffer, ['handover ' + event.context.requestId + text]));
};

/** The token that viewer-request handed over; undefined where there is none or the seal is not ours. */
export async function takeHandover(event: ViewerEvent): Promise<FoundToken | undefined> {
  const header = headerText(event.request, HANDOVER);
  if (!header) return undefined;
  const parts = header.split(' ');
  const found: FoundToken = {
    place: +(parts[0] as string) as Place,
    name: parts[1] as string,
    text: parts[2] as string,
  };
  const json = await lookUp(host, 'k:' + parseToken(found.text).kid);
  // Compared by their hashes: how long that takes tells nothing of the seal.
  return json && host.digest(header).equals(host.digest(sealed(found, parseKeyRecord(json), event)))
    ? found
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
