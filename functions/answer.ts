import { has } from '@portcullis/tokens/core/basics';
import type { ConditionalAnswer } from '@portcullis/tokens/core/conditional-answer';
import { headerText, type EventRequest, type EventValue } from '@portcullis/tokens/core/request';
import { settings } from 'portcullis:settings';
import type { EventResponse } from './event.js';

type Headers = Record<string, EventValue>;

const line = (value: string): EventValue => ({ value: value });

/** An answer of our own: never kept by anyone, and readable for a browser's player on an allowed page. */
const answer = (status: number, headers: Headers, request: EventRequest, body?: string): EventResponse => {
  const origin = headerText(request, 'origin');
  headers['cache-control'] = line('no-store');
  if (FEATURES.cors && origin) {
    if (settings.corsOrigins) headers['vary'] = line('Origin');
    if (!settings.corsOrigins || has(settings.corsOrigins, origin)) {
      headers['access-control-allow-origin'] = line(settings.corsOrigins ? origin : '*');
      headers['access-control-expose-headers'] = line(settings.exposed);
      if (settings.corsCredentials) headers['access-control-allow-credentials'] = line('true');
    }
  }
  const answered: EventResponse = { statusCode: status, headers: headers };
  if (body) answered.body = body;
  return answered;
};

/** The answer to a preflight (Fetch 3.2.2), and to any other question for options; false when the request is none. */
export const preflight = (request: EventRequest): EventResponse | false =>
  FEATURES.preflight && request.method === 'OPTIONS' && answer(204, Object.assign({}, settings.preflight), request);

/** The answer to a refused request. */
export const refusal = (
  reason: string,
  request: EventRequest,
  id: string,
  conditional?: ConditionalAnswer,
): EventResponse => {
  const status = settings.status[reason] || 401;
  const headers: Headers = { 'content-type': line('application/json') };
  if (settings.reasonHeader) headers['x-portcullis-reason'] = line(reason);
  if (status === 401) headers['www-authenticate'] = line('Bearer');
  if (status === 503) headers['retry-after'] = line(settings.retryAfter);
  if (FEATURES.catif && conditional)
    // A header that is there already stays (CTA-5007-B 4.9.1).
    Object.keys(conditional.headers).forEach((name) => {
      const lower = name.toLowerCase();
      headers[lower] = headers[lower] || line(conditional.headers[name] as string);
    });
  return answer(
    FEATURES.catif && conditional ? conditional.status : status,
    headers,
    request,
    '{"error":"' + reason + '","id":"' + id + '"}',
  );
};
