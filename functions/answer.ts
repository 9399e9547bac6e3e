import { has, isText } from '@portcullis/tokens/core/basics';
import type { ConditionalAnswer } from '@portcullis/tokens/core/conditional-answer';
import { headerText, type EventRequest, type EventValue } from '@portcullis/tokens/core/request';
import { settings } from 'portcullis:settings';
import type { EventResponse } from './event.js';

/** Header values by lower-case name; what is no text is left out. */
type Texts = Record<string, string | false | undefined>;

/** An answer of our own: never kept by anyone, and readable for a browser's player on an allowed page. */
const answer = (status: number, texts: Texts, request: EventRequest): EventResponse => {
  const origin = headerText(request, 'origin');
  const headers: Record<string, EventValue> = {};
  texts['cache-control'] = 'no-store';
  if (FEATURES.cors && origin) {
    if (settings.corsOrigins) texts['vary'] = 'Origin';
    if (!settings.corsOrigins || has(settings.corsOrigins, origin)) {
      texts['access-control-allow-origin'] = settings.corsOrigins ? origin : '*';
      texts['access-control-expose-headers'] = settings.exposed;
      if (settings.corsCredentials) texts['access-control-allow-credentials'] = 'true';
    }
  }
  Object.keys(texts).forEach((name) => {
    const text = texts[name];
    if (isText(text)) headers[name] = { value: text };
  });
  return { statusCode: status, headers: headers };
};

/** The answer to a preflight (Fetch 3.2.2), and to any other question for options; false when the request is none. */
export const preflight = (request: EventRequest): EventResponse | false =>
  FEATURES.cors && request.method === 'OPTIONS' && answer(204, Object.assign({}, settings.preflight), request);

/** A redirect that nobody keeps. */
export const redirect = (status: number, location: string, request: EventRequest): EventResponse =>
  answer(status, { location: location }, request);

/** The answer to a refused request. */
export const refusal = (
  reason: string,
  request: EventRequest,
  id: string,
  conditional?: ConditionalAnswer,
): EventResponse => {
  const status = settings.status[reason] || 401;
  const texts: Texts = {
    'content-type': 'application/json',
    'x-portcullis-reason': settings.reasonHeader && reason,
    'www-authenticate': status === 401 && 'Bearer',
    'retry-after': status === 503 && settings.retryAfter,
  };
  if (FEATURES.catif && conditional)
    // A header that is there already stays (CTA-5007-B 4.9.1).
    Object.keys(conditional.headers).forEach((name) => {
      const lower = name.toLowerCase();
      texts[lower] = texts[lower] || (conditional.headers[name] as string);
    });
  const refused = answer(FEATURES.catif && conditional ? conditional.status : status, texts, request);
  refused.body = '{"error":"' + reason + '","id":"' + id + '"}';
  return refused;
};
