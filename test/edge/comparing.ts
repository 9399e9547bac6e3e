import type { LambdaEvent, LambdaHeaders, LambdaResult } from '../../edge/event.js';
import type { HostResult, RequestParts } from '../../scripts/engine/index.js';

/** What a host made of a request, in words that fit a CloudFront Function and a Lambda@Edge function alike. */
export type Comparable =
  | {
      readonly status: number;
      /** As the header says; `answered` where there is none. */
      readonly reason: string;
      readonly headers: readonly (readonly [string, string])[];
      readonly body: string;
    }
  | {
      /** Path and query as forwarded. */
      readonly target: string;
      readonly headers: readonly (readonly [string, string])[];
      readonly cookies: readonly string[];
    };

/** Headers in one order; what the project's functions say to each other is their own. */
const sorted = (pairs: (readonly [string, string])[]): (readonly [string, string])[] =>
  pairs
    .filter(([name]) => !/^x-portcullis-(?!reason)/.test(name))
    .sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));

const requestIdOf = (parts: RequestParts): string =>
  parts.requestId ?? 'EXAMPLEntjQpEXAMPLE_SG5Z-EXAMPLEPmPfEXAMPLEu3EqEXAMPLE==';

/** The event of Lambda@Edge for the parts that a function's event is made from. */
export function lambdaEventOf(parts: RequestParts, eventType: 'viewer-request' | 'origin-request'): LambdaEvent {
  const [path = '/', ...queryInUri] = (parts.uri ?? '/').split('?');
  const headers: LambdaHeaders = {};
  const given: RequestParts['headers'] = { host: 'd111111abcdef8.cloudfront.net', ...lowered(parts.headers ?? {}) };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined)
      headers[name] = (typeof value === 'string' ? [value] : [...value]).map((line) => ({ key: name, value: line }));
  const cookies =
    typeof parts.cookies === 'string' ? parts.cookies : (parts.cookies ?? []).map((pair) => pair.join('=')).join('; ');
  if (cookies !== '') headers['cookie'] = [{ key: 'Cookie', value: cookies }];
  return {
    Records: [
      {
        cf: {
          config: {
            distributionDomainName: 'd111111abcdef8.cloudfront.net',
            eventType,
            requestId: requestIdOf(parts),
          },
          request: {
            clientIp: parts.ip ?? '203.0.113.9',
            method: parts.method ?? 'GET',
            uri: path,
            querystring: parts.query ?? queryInUri.join('?'),
            headers,
          },
        },
      },
    ],
  };
}

function lowered<T>(headers: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function linesOf(headers: LambdaHeaders | undefined): (readonly [string, string])[] {
  return sorted(
    Object.entries(headers ?? {}).flatMap(([name, lines]) => lines.map(({ value }) => [name, value] as const)),
  );
}

const cookiesIn = (line: string): string[] =>
  line
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '')
    .sort();

export function lambdaResultOf(result: LambdaResult): Comparable {
  if ('status' in result) {
    const headers = linesOf(result.headers);
    const reason = headers.find(([name]) => name === 'x-portcullis-reason')?.[1] ?? 'answered';
    return { status: Number(result.status), reason, headers, body: result.body ?? '' };
  }
  const { cookie = [], ...headers } = result.headers;
  return {
    target: result.uri + (result.querystring && `?${result.querystring}`),
    headers: linesOf(headers),
    cookies: cookie.flatMap(({ value }) => cookiesIn(value)).sort(),
  };
}

/** What the compiled viewer-request function did. */
export function functionResultOf({ result, error }: HostResult, parts: RequestParts): Comparable {
  if (error || !result) throw new Error(`The function threw: ${error?.message} for ${JSON.stringify(parts)}`);
  const values = (entries: Record<string, { value: string; multiValue?: { value: string }[] }>) =>
    Object.entries(entries).flatMap(([name, { value, multiValue }]) =>
      (multiValue ?? [{ value }]).map((line) => [name, line.value] as const),
    );
  const headers = sorted(values(result.headers ?? {}));
  if (result.statusCode !== undefined) {
    const reason = headers.find(([name]) => name === 'x-portcullis-reason')?.[1];
    const body = (result as { body?: string }).body ?? '';
    return { status: result.statusCode, reason: reason ?? 'answered', headers, body };
  }
  const [, ...queryInUri] = (parts.uri ?? '/').split('?');
  const left = new Set(Object.keys(result.querystring));
  const query = (parts.query ?? queryInUri.join('?'))
    .split('&')
    .filter((part) => part === '' || left.has(part.split('=')[0] as string))
    .join('&');
  return {
    target: result.uri + (query && `?${query}`),
    headers,
    cookies: values(result.cookies)
      .map(([name, value]) => `${name}=${value}`)
      .sort(),
  };
}
