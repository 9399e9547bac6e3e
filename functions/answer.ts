import { has } from '@portcullis/tokens/core/basics';
import type { ConditionalAnswer } from '@portcullis/tokens/core/conditional-answer';
import { headerText, type EventRequest, type EventValue } from '@portcullis/tokens/core/request';
import { settings } from 'portcullis:settings';
import type { EventResponse } from './event.js';

type Headers = Record<string, EventValue>;

const line = (value: string): EventValue => ({ value: value });

// Made once, and never changed: an object with one member costs njs more than a comparison of texts.
const noStore = line('no-store');
const anyOrigin = line('*');
const exposed = line(settings.exposed);
const json = line('application/json');
const bearer = line('Bearer');

/** What every answer of our own has: never kept by anyone, and readable for a browser's player on an allowed page. */
const answerHeaders = (request: EventRequest): Headers => {
  if (FEATURES.cors && !settings.corsOrigins)
    return {
      'cache-control': noStore,
      'access-control-allow-origin': anyOrigin,
      'access-control-expose-headers': settings.exposed === '*' ? anyOrigin : exposed,
    };
  const headers: Headers = { 'cache-control': noStore };
  const origin = FEATURES.cors && headerText(request, 'origin');
  if (FEATURES.cors && origin) {
    headers['vary'] = line('Origin');
    if (has(settings.corsOrigins as string[], origin)) {
      headers['access-control-allow-origin'] = line(origin);
      headers['access-control-expose-headers'] = exposed;
      if (settings.corsCredentials) headers['access-control-allow-credentials'] = line('true');
    }
  }
  return headers;
};

/** The answer to a preflight (Fetch 3.2.2), and to any other question for options; false when the request is none. */
export const preflight = (request: EventRequest): EventResponse | false =>
  FEATURES.preflight &&
  request.method === 'OPTIONS' && {
    statusCode: 204,
    headers: Object.assign(answerHeaders(request), settings.preflight),
  };

/** The answer to a refused request. */
export const refusal = (
  reason: string,
  request: EventRequest,
  id: string,
  conditional?: ConditionalAnswer,
): EventResponse => {
  const status = settings.status[reason] || 401;
  const headers = answerHeaders(request);
  headers['content-type'] = json;
  if (settings.reasonHeader) headers['x-portcullis-reason'] = line(reason);
  if (status === 401) headers['www-authenticate'] = bearer;
  if (status === 503) headers['retry-after'] = line(settings.retryAfter);
  if (FEATURES.catif && conditional)
    // A header that is there already stays (CTA-5007-B 4.9.1).
    Object.keys(conditional.headers).forEach((name) => {
      const lower = name.toLowerCase();
      headers[lower] = headers[lower] || line(conditional.headers[name] as string);
    });
  return {
    statusCode: FEATURES.catif && conditional ? conditional.status : status,
    headers: headers,
    body: '{"error":"' + reason + '","id":"' + id + '"}',
  };
};
