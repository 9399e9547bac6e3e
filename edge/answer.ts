import type { ConditionalAnswer } from '@portcullis/tokens/core/conditional-answer';
import type { Reason } from '@portcullis/tokens/core/reasons';
import { headerText, type EventRequest } from '@portcullis/tokens/core/request';
import type { LambdaHeaders, LambdaResponse } from './event.js';

/** What goes with a status on HTTP/1.1 (RFC 9110 15, RFC 7725); `node:http` knows all, and takes half a cold start to load. */
const DESCRIPTIONS: Readonly<Record<number, string>> = {
  200: 'OK',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  410: 'Gone',
  429: 'Too Many Requests',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Bytes of an answer that a handler makes, headers and body together (CloudFront quotas, "Quotas on Lambda@Edge"). */
export const ANSWER_BYTES: Readonly<Record<'viewer-request' | 'origin-request', number>> = {
  'viewer-request': 40_960,
  'origin-request': 1_048_576,
};

/** How many bytes an answer has, as far as that limit goes: header lines with their separators, and the body as it is given. */
export function answerBytes({ headers = {}, body = '' }: LambdaResponse): number {
  return Object.entries(headers).reduce(
    (sum, [name, lines]) =>
      lines.reduce((bytes, { key = name, value }) => bytes + key.length + Buffer.byteLength(value) + 4, sum),
    Buffer.byteLength(body),
  );
}

/** How refusals and answers look: the same settings that are compiled into the viewer functions. */
export interface AnswerSettings {
  /** Status by reason where it is not 401. */
  readonly status: Readonly<Record<string, number>>;
  /** Whether the header `x-portcullis-reason` tells the reason. */
  readonly reasonHeader: boolean;
  /** Whether answers carry CORS headers at all. */
  readonly cors: boolean;
  /** Response headers that scripts of other origins may read, separated by commas; or `*`. */
  readonly exposed: string;
  /** Origins that may read answers; undefined: any. */
  readonly corsOrigins?: readonly string[] | undefined;
  readonly corsCredentials: boolean;
  /** The headers that preflights are answered with. */
  readonly preflight: Readonly<Record<string, { readonly value: string }>>;
  /** Seconds that a player is asked to wait before it tries again after a fault of ours. */
  readonly retryAfter: string;
}

/** An answer of our own: never kept by anyone, and readable for a browser's player on an allowed page. */
export function ownAnswer(
  status: number,
  headers: Record<string, string>,
  request: EventRequest,
  settings: AnswerSettings,
  body?: string,
): LambdaResponse {
  const origin = headerText(request, 'origin');
  const all: Record<string, string> = { ...headers, 'cache-control': 'no-store' };
  const { cors, corsOrigins } = settings;
  if (cors && corsOrigins && origin) all['vary'] = 'Origin';
  // Where any page may read, the answer is the same for all.
  const allowed = corsOrigins ? corsOrigins.find((listed) => listed === origin) : '*';
  if (cors && allowed !== undefined) {
    all['access-control-allow-origin'] = allowed;
    all['access-control-expose-headers'] = settings.exposed;
    if (corsOrigins && settings.corsCredentials) all['access-control-allow-credentials'] = 'true';
  }
  const lines: LambdaHeaders = {};
  for (const name in all) lines[name] = [{ key: name, value: all[name] as string }];
  return {
    status: String(status),
    statusDescription: DESCRIPTIONS[status] ?? 'Refused',
    headers: lines,
    ...(body === undefined ? {} : { body, bodyEncoding: 'text' }),
  };
}

/** The answer to a preflight (Fetch 3.2.2), and to any other question for options; undefined when the request is none. */
export function preflightAnswer(request: EventRequest, settings: AnswerSettings): LambdaResponse | undefined {
  if (!settings.cors || request.method !== 'OPTIONS') return undefined;
  const headers = Object.fromEntries(Object.entries(settings.preflight).map(([name, { value }]) => [name, value]));
  return ownAnswer(204, headers, request, settings);
}

/** The answer to a refused request, byte for byte what the viewer function answers. */
export function refusalAnswer(
  reason: Reason,
  request: EventRequest,
  id: string,
  settings: AnswerSettings,
  conditional?: ConditionalAnswer,
): LambdaResponse {
  const status = settings.status[reason] ?? 401;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (settings.reasonHeader) headers['x-portcullis-reason'] = reason;
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (status === 503) headers['retry-after'] = settings.retryAfter;
  const refused = ownAnswer(status, headers, request, settings, `{"error":"${reason}","id":"${id}"}`);
  if (!conditional) return refused;
  const lines = refused.headers as LambdaHeaders;
  for (const [name, value] of Object.entries(conditional.headers)) {
    // A header that is there already stays (CTA-5007-B 4.9.1).
    lines[name.toLowerCase()] ??= [{ key: name, value }];
  }
  return {
    ...refused,
    status: String(conditional.status),
    statusDescription: DESCRIPTIONS[conditional.status] ?? 'Refused',
  };
}
