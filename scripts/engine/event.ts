/** A value of CloudFront's event structure; `multiValue` is there when the name came more than once. */
export interface EventValue {
  value: string;
  multiValue?: { value: string }[];
  attributes?: string;
}
export type EventValues = Record<string, EventValue>;

/** `event.request` as a CloudFront Function gets it. */
export interface FunctionRequest {
  method: string;
  uri: string;
  querystring: EventValues;
  headers: EventValues;
  cookies: EventValues;
  /** The query as the viewer sent it. A method in the runtime; the harness carries its answer. */
  rawQueryString?: () => string;
}

/** What a function returns to answer by itself, and `event.response` of a viewer-response function. */
export interface FunctionResponse {
  statusCode: number;
  statusDescription?: string;
  headers?: EventValues;
  cookies?: EventValues;
  body?: unknown;
}

/** The event of runtime `cloudfront-js-2.0`. */
export interface FunctionEvent {
  version: '1.0';
  context: {
    distributionDomainName: string;
    distributionId: string;
    endpoint: string;
    eventType: 'viewer-request' | 'viewer-response';
    requestId: string;
  };
  viewer: { ip: string };
  request: FunctionRequest;
  response?: FunctionResponse;
}

/** What a viewer sends, before CloudFront makes an event of it. */
export interface RequestParts {
  /** Default `GET`. */
  readonly method?: string;
  /** The path as sent, not decoded; may carry `?query`, which then stands for `query`. */
  readonly uri?: string;
  /** The query as sent, without `?`. */
  readonly query?: string;
  /** Names in any case; a list is several lines of that name. `undefined` takes a default header out. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** One `Cookie` header as sent (`a=1; b=2`), or pairs. */
  readonly cookies?: string | readonly (readonly [string, string])[];
  readonly ip?: string;
  readonly requestId?: string;
  readonly distributionDomainName?: string;
}

export interface ResponseParts {
  /** Default 200. */
  readonly statusCode?: number;
  readonly statusDescription?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Cookies the origin sets: name, value, attributes (`Path=/; Secure`). */
  readonly cookies?: readonly (readonly [string, string, string?])[];
}

/**
 * The event of a viewer's request, shaped as AWS documents it: header names in lower case, query values as sent, cookies
 * apart from the headers, `multiValue` for what came twice.
 *
 * @example viewerRequestEvent({ uri: '/live/a.m3u8?CAT=x', headers: { 'CloudFront-Viewer-Country': 'SE' } })
 */
export function viewerRequestEvent(parts: RequestParts = {}): FunctionEvent {
  const [path, ...queryInUri] = (parts.uri ?? '/').split('?');
  const query = parts.query ?? queryInUri.join('?');
  return {
    version: '1.0',
    context: {
      distributionDomainName: parts.distributionDomainName ?? 'd111111abcdef8.cloudfront.net',
      distributionId: 'EDFDVBD6EXAMPLE',
      endpoint: parts.distributionDomainName ?? 'd111111abcdef8.cloudfront.net',
      eventType: 'viewer-request',
      requestId: parts.requestId ?? 'EXAMPLEntjQpEXAMPLE_SG5Z-EXAMPLEPmPfEXAMPLEu3EqEXAMPLE==',
    },
    viewer: { ip: parts.ip ?? '203.0.113.9' },
    request: {
      method: parts.method ?? 'GET',
      uri: path!,
      querystring: collect(queryPairs(query)),
      headers: collect(headerPairs(withHost(parts.headers ?? {}))),
      cookies: collect(typeof parts.cookies === 'string' ? cookiePairs(parts.cookies) : (parts.cookies ?? [])),
      rawQueryString: () => query,
    },
  };
}

/** The event of a viewer-response function: the request it answers, and the origin's response. */
export function viewerResponseEvent(request: RequestParts = {}, response: ResponseParts = {}): FunctionEvent {
  const event = viewerRequestEvent(request);
  event.context.eventType = 'viewer-response';
  const cookies: EventValues = {};
  for (const [name, value, attributes] of response.cookies ?? []) {
    cookies[name] = attributes === undefined ? { value } : { value, attributes };
  }
  event.response = {
    statusCode: response.statusCode ?? 200,
    statusDescription: response.statusDescription ?? 'OK',
    headers: collect(headerPairs(response.headers ?? {})),
    cookies,
  };
  return event;
}

function queryPairs(query: string): [string, string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const sign = pair.indexOf('=');
      return sign < 0 ? [pair, ''] : [pair.slice(0, sign), pair.slice(sign + 1)];
    });
}

function cookiePairs(header: string): [string, string][] {
  return header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '')
    .map((pair) => {
      const sign = pair.indexOf('=');
      return sign < 0 ? [pair, ''] : [pair.slice(0, sign), pair.slice(sign + 1)];
    });
}

/** A request has a host unless the table gives another, or takes it out. */
function withHost(headers: NonNullable<RequestParts['headers']>): NonNullable<RequestParts['headers']> {
  const given = Object.keys(headers).some((name) => name.toLowerCase() === 'host');
  return given ? headers : { host: 'video.example.com', ...headers };
}

function headerPairs(headers: NonNullable<RequestParts['headers']>): [string, string][] {
  return Object.entries(headers).flatMap(([name, values]) => {
    if (values === undefined) return [];
    const list = typeof values === 'string' ? [values] : values;
    return list.map((value): [string, string] => [name.toLowerCase(), value]);
  });
}

/** `value` is the first of several, all of them are in `multiValue`. */
function collect(pairs: readonly (readonly [string, string])[]): EventValues {
  const values: EventValues = {};
  for (const [name, value] of pairs) {
    const known = Object.hasOwn(values, name) ? values[name] : undefined;
    if (known === undefined) {
      Object.defineProperty(values, name, { value: { value }, enumerable: true, writable: true, configurable: true });
    } else if (known.multiValue === undefined) known.multiValue = [{ value: known.value }, { value }];
    else known.multiValue.push({ value });
  }
  return values;
}
