import { has, isList, must } from './basics.js';
import { headerText, type EventRequest } from './request.js';

/** Places by what CloudFront's headers say of them. */
export interface Places {
  /** `US` */
  readonly country?: readonly string[];
  /** `US-CA` */
  readonly region?: readonly string[];
  /** US metro (DMA) codes: `807` */
  readonly metro?: readonly string[];
  /** `94110` */
  readonly postal?: readonly string[];
}

/** A blackout record of the store, `b:<content id>`. */
export interface BlackoutRecord {
  /** Blacked out where any of these matches. */
  readonly deny?: Places;
  /** Blacked out unless one of these matches. */
  readonly allow?: Places;
  /** Seconds since 1970. */
  readonly from?: number;
  readonly until?: number;
  /** What happens to viewers whose place is not known; default `refuse`. */
  readonly onUnknown?: 'refuse' | 'allow';
  /** A path that playlist requests are answered from instead of a refusal. */
  readonly slate?: string;
}

/** Whether a viewer is blacked out at a moment. Throws when the record is malformed. */
export const isBlackedOut = (record: BlackoutRecord, request: EventRequest, now: number): boolean => {
  if (now < (record.from as number) || now >= (record.until as number)) return false;
  const places = (record.deny || record.allow) as Places;
  const viewer = (name: string): string | undefined => headerText(request, 'cloudfront-viewer-' + name);
  const country = viewer('country');
  const region = viewer('country-region');
  let unknown = false;
  let inside = false;
  const look = (
    list: readonly string[] | undefined,
    value: string | undefined,
    elsewhere: (code: string) => unknown,
  ): void => {
    must(isList(list || []));
    if (list && has(list, value)) inside = true;
    // Who is elsewhere needs no finer place to be known as not meant.
    if (list && !value && !(country && list.every(elsewhere))) unknown = true;
  };
  look(places.country, country, () => false);
  look(places.region, region && country + '-' + region, (code) => !code.startsWith(country + '-'));
  // Only the United States have metro codes.
  look(places.metro, viewer('metro-code'), () => country !== 'US');
  look(places.postal, viewer('postal-code'), () => false);
  return !inside && unknown ? record.onUnknown !== 'allow' : inside === !!record.deny;
};
