import { valuesOf, type EventFields, type EventRequest, type EventResponse } from './event.js';

/** Sizes that CloudFront refuses beyond (quotas page; of its two copies the smaller number). */
export const limits = { urlBytes: 8192, requestBytes: 20_480, generatedBodyBytes: 40_960 } as const;

// Developer guide, "Restrictions on all edge functions", HTTP headers.
const disallowed = [
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'trailer',
  'upgrade',
  'x-accel-buffering',
  'x-accel-charset',
  'x-accel-limit-rate',
  'x-accel-redirect',
  'x-amzn-auth',
  'x-amzn-cf-billing',
  'x-amzn-cf-id',
  'x-amzn-cf-xff',
  'x-amzn-errortype',
  'x-amzn-fle-profile',
  'x-amzn-header-count',
  'x-amzn-header-order',
  'x-amzn-lambda-integration-tag',
  'x-amzn-requestid',
  'x-cache',
  'x-forwarded-proto',
  'x-real-ip',
];
const disallowedPrefixes = ['x-amz-cf-', 'x-edge-'];
const readOnlyInRequest = ['content-length', 'host', 'transfer-encoding', 'via'];
const readOnlyInResponse = ['transfer-encoding', 'via', 'warning'];

/** True for a header that no edge function sees, and none may add. */
export function isDisallowedHeader(lowerCaseName: string): boolean {
  return disallowed.includes(lowerCaseName) || disallowedPrefixes.some((prefix) => lowerCaseName.startsWith(prefix));
}

/** What CloudFront makes a 502 of: the function's answer is not one it may give. */
export class FunctionValidationError extends Error {
  readonly code = 'function_validation';
  constructor(message: string) {
    super(message);
    this.name = 'FunctionValidationError';
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkFields(value: unknown, what: string): EventFields {
  if (value === undefined) return {};
  if (!isRecord(value)) throw new FunctionValidationError(`${what} must be an object`);
  for (const [name, field] of Object.entries(value)) {
    const values = isRecord(field) && Array.isArray(field['multiValue']) ? field['multiValue'] : [field];
    for (const item of values) {
      if (!isRecord(item) || typeof item['value'] !== 'string') {
        throw new FunctionValidationError(`${what}["${name}"] must be {value: "<text>"}`);
      }
      // eslint-disable-next-line no-control-regex -- control characters are what is looked for
      if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(item['value'])) {
        throw new FunctionValidationError(`${what}["${name}"] holds a control character`);
      }
    }
  }
  return value as EventFields;
}

function checkHeaders(after: EventFields, before: EventFields, readOnly: readonly string[], what: string): void {
  for (const name of Object.keys(after)) {
    if (name !== name.toLowerCase())
      throw new FunctionValidationError(`${what}: header name "${name}" is not lower case`);
    if (isDisallowedHeader(name)) throw new FunctionValidationError(`${what}: header "${name}" is not allowed`);
  }
  for (const name of readOnly) {
    const was = JSON.stringify(before[name] ? valuesOf(before[name]) : null);
    const is = JSON.stringify(after[name] ? valuesOf(after[name]) : null);
    if (was !== is) throw new FunctionValidationError(`${what}: header "${name}" is read-only`);
  }
}

/** What viewer-request answered: a request to go on with, or a response for the viewer. */
export type RequestVerdict =
  | { readonly kind: 'request'; readonly request: EventRequest }
  | { readonly kind: 'response'; readonly response: EventResponse };

/** @throws FunctionValidationError where CloudFront would answer 502 */
export function checkRequestResult(result: unknown, sent: EventRequest): RequestVerdict {
  if (!isRecord(result)) throw new FunctionValidationError('the function returned no object');
  if ('statusCode' in result) return { kind: 'response', response: checkResponse(result, {}) };
  const { method, uri } = result;
  if (typeof uri !== 'string' || !uri.startsWith('/')) {
    throw new FunctionValidationError('the function returned neither a response (statusCode) nor a request (uri)');
  }
  if (uri.includes('?')) throw new FunctionValidationError('request.uri must not hold a query string');
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0020\u007f]/.test(uri)) throw new FunctionValidationError('request.uri holds a control character');
  if (method !== undefined && method !== sent.method) throw new FunctionValidationError('request.method is read-only');
  const headers = checkFields(result['headers'], 'request.headers');
  checkHeaders(headers, sent.headers, readOnlyInRequest, 'request');
  const querystring = checkFields(result['querystring'], 'request.querystring');
  const cookies = checkFields(result['cookies'], 'request.cookies');
  return { kind: 'request', request: { method: sent.method, uri, headers, querystring, cookies } };
}

/** @throws FunctionValidationError where CloudFront would answer 502 */
export function checkResponse(result: unknown, headersBefore: EventFields): EventResponse {
  if (!isRecord(result)) throw new FunctionValidationError('the function returned no response');
  const { statusCode, statusDescription, body } = result;
  if (typeof statusCode !== 'number' || !Number.isInteger(statusCode) || statusCode < 200 || statusCode > 599) {
    throw new FunctionValidationError(`statusCode ${String(statusCode)} is not a whole number from 200 to 599`);
  }
  const headers = checkFields(result['headers'], 'response.headers');
  checkHeaders(headers, headersBefore, readOnlyInResponse, 'response');
  const cookies = checkFields(result['cookies'], 'response.cookies');
  const text = bodyBytes(body as EventResponse['body']);
  if (text && text.length > limits.generatedBodyBytes) throw new FunctionValidationError('the body is over 40 KB');
  return {
    statusCode,
    headers,
    cookies,
    ...(typeof statusDescription === 'string' ? { statusDescription } : {}),
    ...(body === undefined ? {} : { body: body as NonNullable<EventResponse['body']> }),
  };
}

/** The bytes of a body that a function made. */
export function bodyBytes(body: EventResponse['body']): Buffer | undefined {
  if (body === undefined) return undefined;
  if (typeof body === 'string') return Buffer.from(body, 'utf8');
  if (!isRecord(body) || typeof body.data !== 'string') {
    throw new FunctionValidationError('body must be a string or {encoding, data}');
  }
  return Buffer.from(body.data, body.encoding === 'base64' ? 'base64' : 'utf8');
}
