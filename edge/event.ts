import { queryWithoutToken } from '@portcullis/tokens/core/evaluate';
import type { Placements } from '@portcullis/tokens/core/placement';
import type { EventRequest, EventValue } from '@portcullis/tokens/core/request';

/** One header line as Lambda@Edge has it. */
export interface LambdaHeader {
  /** The name as it was sent, or as it is to be sent; absent: the lower-case one. */
  readonly key?: string;
  readonly value: string;
}

/** Header lines by lower-case name. */
export type LambdaHeaders = Record<string, LambdaHeader[]>;

/** A request in a Lambda@Edge event ("Lambda@Edge event structure", Amazon CloudFront Developer Guide). */
export interface LambdaRequest {
  /** The viewer's address; a proxy's, where the viewer has one. */
  readonly clientIp: string;
  readonly method: string;
  /** The raw path: on origin-request as viewer-request functions left it. */
  uri: string;
  /** The query as sent, without `?`; `''` where there is none. */
  querystring: string;
  headers: LambdaHeaders;
  /** Only on origin events. */
  origin?: LambdaOrigin;
  /** Only where the association includes the body. */
  readonly body?: { readonly action: string; readonly data: string; readonly encoding: string };
}

/** The origin that an origin-request may change. */
export interface LambdaOrigin {
  custom?: {
    customHeaders: LambdaHeaders;
    domainName: string;
    readonly [setting: string]: unknown;
  };
  s3?: {
    customHeaders: LambdaHeaders;
    domainName: string;
    readonly [setting: string]: unknown;
  };
}

/** An answer in place of the origin's. A status is text here. */
export interface LambdaResponse {
  readonly status: string;
  readonly statusDescription?: string;
  readonly headers?: LambdaHeaders;
  readonly body?: string;
  readonly bodyEncoding?: 'text' | 'base64';
}

export type LambdaEventType = 'viewer-request' | 'origin-request' | 'origin-response' | 'viewer-response';

export interface LambdaEventConfig {
  /** `d111111abcdef8.cloudfront.net` */
  readonly distributionDomainName: string;
  readonly distributionId?: string;
  readonly eventType: LambdaEventType;
  /** The same on all events of one request, and what `x-edge-request-id` logs. */
  readonly requestId: string;
}

/** What Lambda@Edge calls a handler with; always one record. */
export interface LambdaEvent {
  readonly Records: readonly [
    { readonly cf: { readonly config: LambdaEventConfig; readonly request: LambdaRequest } },
    ...unknown[],
  ];
}

/** What a viewer-request or origin-request handler gives back: the request to go on with, or the answer. */
export type LambdaResult = LambdaRequest | LambdaResponse;

/** CloudFront's own headers, which viewer-request does not have yet: what comes under their names is typed. */
const CLOUDFRONT = 'cloudfront-';
/** What our functions say to each other, each in its own way; whatever else comes under these names is typed, too. */
const OURS = 'x-portcullis-';

/** Adds a value as CloudFront Functions events have it: the first by itself, all of them where there are several. */
const add = (into: Record<string, EventValue>, name: string, value: string): void => {
  const known = into[name];
  if (!known) into[name] = { value };
  else (known.multiValue ??= [{ value: known.value }]).push({ value });
};

/** Objects whose names viewers choose have no prototype to be mistaken for one. */
const byName = (): Record<string, EventValue> => new (Names as unknown as new () => Record<string, EventValue>)();
/** Made anew where `Object.create(null)` makes a hash table, which is dear to fill. */
const Names = function () {} as () => void;
Names.prototype = Object.create(null) as object;

export interface ConversionOptions {
  /** Where the handler runs: on viewer-request, `CloudFront-*` headers are what the viewer typed, and left out. */
  readonly eventType: 'viewer-request' | 'origin-request';
  /** The host that the viewer asked; origin-request mostly has the origin's in its place. Absent: the `Host` header. */
  readonly host?: string | undefined;
}

/**
 * A Lambda@Edge request in the form that the evaluator reads, which is that of CloudFront Functions: query and cookies
 * taken apart as they were sent, nothing decoded, repeated names in `multiValue`.
 *
 * @example
 * const request = toEventRequest(event.Records[0].cf.request, { eventType: 'origin-request', host: 'cdn.example' });
 */
export function toEventRequest(request: LambdaRequest, options: ConversionOptions): EventRequest {
  const headers = byName();
  const cookies = byName();
  const querystring = byName();
  const untrusted = options.eventType === 'viewer-request';
  for (const name in request.headers) {
    if (name.startsWith(OURS) || (untrusted && name.startsWith(CLOUDFRONT))) continue;
    const lines = request.headers[name] as LambdaHeader[];
    if (name !== 'cookie') for (const line of lines) add(headers, name, line.value);
    else {
      for (const line of lines)
        for (const pair of line.value.split(';')) {
          const equals = pair.indexOf('=');
          if (equals > 0) add(cookies, pair.slice(0, equals).trim(), pair.slice(equals + 1).trim());
        }
    }
  }
  if (options.host !== undefined) headers['host'] = { value: options.host };
  const raw = request.querystring;
  if (raw !== '')
    for (const part of raw.split('&')) {
      const equals = part.indexOf('=');
      if (part !== '')
        add(querystring, equals < 0 ? part : part.slice(0, equals), equals < 0 ? '' : part.slice(equals + 1));
    }
  return { method: request.method, uri: request.uri, querystring, headers, cookies, rawQueryString: () => raw };
}

/**
 * The request to go on with: what the evaluator left of it, in Lambda@Edge's form. Everything else stays as it came:
 * the spelling of header names, the origin, the body, the host.
 *
 * @param event What `toEventRequest` made of `request`, after the tokens were taken out.
 */
export function toLambdaRequest(
  event: EventRequest,
  request: LambdaRequest,
  placements: Placements,
  eventType: ConversionOptions['eventType'],
): LambdaRequest {
  const headers: LambdaHeaders = {};
  const forged = eventType === 'viewer-request';
  for (const name in request.headers) {
    const lines = request.headers[name] as LambdaHeader[];
    if (name === 'cookie') {
      const left = lines.flatMap((line) => {
        const value = cookiesWithout(line.value, placements.cookie);
        return value === '' ? [] : [{ ...line, value }];
      });
      if (left.length > 0) headers[name] = left;
    } else if (name === 'host' || (event.headers[name] && !(forged && name.startsWith(CLOUDFRONT))))
      headers[name] = lines;
  }
  return {
    ...request,
    uri: event.uri,
    querystring: request.querystring && queryWithoutToken(event, placements),
    headers,
  };
}

/** A cookie line without the token's cookie; as it was where it has none. */
function cookiesWithout(line: string, name: string | undefined): string {
  if (name === undefined || !line.includes(name)) return line;
  return line
    .split(';')
    .filter((pair) => {
      const equals = pair.indexOf('=');
      return equals <= 0 || pair.slice(0, equals).trim() !== name;
    })
    .join(';')
    .trim();
}
