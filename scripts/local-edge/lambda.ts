import { ANSWER_BYTES } from '../../edge/answer.js';
import type {
  LambdaEvent,
  LambdaEventType,
  LambdaHeaders,
  LambdaRequest,
  LambdaResponse,
  LambdaResult,
} from '../../edge/event.js';
import type { LineLog } from './access-log.js';
import type { Pair } from './event.js';
import { FunctionValidationError, isDisallowedHeader } from './restrictions.js';

/** The events that come before an answer; Lambda@Edge knows two more, which nothing here uses. */
export type LambdaEventName = Extract<LambdaEventType, 'viewer-request' | 'origin-request'>;

export type LambdaHandler = (event: LambdaEvent) => Promise<LambdaResult>;

/** The Lambda@Edge functions of one cache behaviour. */
export type BehaviorLambdas = Readonly<Partial<Record<LambdaEventName, LambdaHandler>>>;

/** Bytes of an answer that a handler makes, and milliseconds that it may take (CloudFront quotas, Lambda@Edge). */
const limits: Readonly<Record<LambdaEventName, { readonly bytes: number; readonly milliseconds: number }>> = {
  'viewer-request': { bytes: ANSWER_BYTES['viewer-request'], milliseconds: 5000 },
  'origin-request': { bytes: ANSWER_BYTES['origin-request'], milliseconds: 30_000 },
};

/** Headers that a request handler may not change (developer guide, "Read-only headers"). */
const readOnly: Readonly<Record<LambdaEventName, readonly string[]>> = {
  'viewer-request': ['content-length', 'host', 'transfer-encoding', 'via'],
  'origin-request': [
    'accept-encoding',
    'content-length',
    'if-modified-since',
    'if-none-match',
    'if-range',
    'if-unmodified-since',
    'transfer-encoding',
    'via',
  ],
};

/** A request on its way through the edge. */
export interface EdgeRequest {
  readonly method: string;
  readonly uri: string;
  /** With its question mark, or empty. */
  readonly queryPart: string;
  readonly pairs: readonly Pair[];
}

/** What a handler made of a request. */
export type LambdaVerdict =
  | { readonly kind: 'request'; readonly request: EdgeRequest }
  | { readonly kind: 'response'; readonly response: LambdaResponse };

/** What stands in the event beside the request. */
export interface LambdaContext {
  readonly requestId: string;
  readonly clientIp: string;
  readonly distributionDomainName: string;
  readonly distributionId: string;
  /** Where the request would go; only an origin-request sees it. */
  readonly origin: URL;
}

export class LambdaExecutionError extends Error {
  readonly code = 'lambda_execution';
  constructor(message: string) {
    super(message);
    this.name = 'LambdaExecutionError';
  }
}

/**
 * Runs one handler as Lambda@Edge does: event in, request or response out, each in the documented shape.
 *
 * @throws LambdaExecutionError where CloudFront answers 503, FunctionValidationError where it answers 502
 */
export async function runLambda(
  name: LambdaEventName,
  handler: LambdaHandler,
  request: EdgeRequest,
  context: LambdaContext,
  log: LineLog,
): Promise<LambdaVerdict> {
  const event = lambdaEvent(name, request, context);
  const sent = structuredClone(event.Records[0].cf.request);
  let result: LambdaResult;
  let timer: NodeJS.Timeout | undefined;
  const { milliseconds } = limits[name];
  try {
    result = await Promise.race([
      handler(event),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
      }),
    ]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log.write({ function: `lambda ${name}`, 'x-edge-request-id': context.requestId, error: message });
    throw new LambdaExecutionError(`The Lambda@Edge function failed: ${message}`);
  } finally {
    clearTimeout(timer);
  }
  const verdict = checkLambdaResult(name, result, sent);
  log.write({
    function: `lambda ${name}`,
    'x-edge-request-id': context.requestId,
    result: verdict.kind === 'response' ? verdict.response.status : 'request',
  });
  return verdict;
}

/** The event of a viewer-request or origin-request handler ("Lambda@Edge event structure"). */
export function lambdaEvent(name: LambdaEventName, request: EdgeRequest, context: LambdaContext): LambdaEvent {
  const headers: LambdaHeaders = {};
  for (const [key, value] of request.pairs) {
    const lower = key.toLowerCase();
    if (!isDisallowedHeader(lower)) (headers[lower] ??= []).push({ key, value });
  }
  const { origin } = context;
  return {
    Records: [
      {
        cf: {
          config: {
            distributionDomainName: context.distributionDomainName,
            distributionId: context.distributionId,
            eventType: name,
            requestId: context.requestId,
          },
          request: {
            clientIp: context.clientIp,
            method: request.method,
            uri: request.uri,
            querystring: request.queryPart.slice(1),
            headers,
            ...(name === 'viewer-request'
              ? {}
              : {
                  origin: {
                    custom: {
                      customHeaders: {},
                      domainName: origin.hostname,
                      keepaliveTimeout: 5,
                      path: '',
                      port: Number(origin.port),
                      protocol: 'http',
                      readTimeout: 30,
                      sslProtocols: ['TLSv1.2'],
                    },
                  },
                }),
          },
        },
      },
    ],
  };
}

/** @throws FunctionValidationError where CloudFront would answer 502 */
export function checkLambdaResult(name: LambdaEventName, result: unknown, sent: LambdaRequest): LambdaVerdict {
  if (!isRecord(result)) throw new FunctionValidationError('the Lambda@Edge function returned no object');
  const { headers, customHeaders } = headersOf(result);
  if ('status' in result) {
    const { status, body, bodyEncoding } = result;
    if (typeof status !== 'string' || !/^[2-5]\d\d$/.test(status))
      throw new FunctionValidationError(`status must be a text from "200" to "599", not ${JSON.stringify(status)}`);
    if (body !== undefined && typeof body !== 'string') throw new FunctionValidationError('body must be a text');
    if (bodyEncoding !== undefined && bodyEncoding !== 'text' && bodyEncoding !== 'base64')
      throw new FunctionValidationError('bodyEncoding must be text or base64');
    const bytes =
      Buffer.byteLength(body ?? '') + headers.reduce((sum, [key, value]) => sum + key.length + value.length + 4, 0);
    if (bytes > limits[name].bytes)
      throw new FunctionValidationError(`the answer has ${bytes} bytes; ${name} takes ${limits[name].bytes} at most`);
    return { kind: 'response', response: result as unknown as LambdaResponse };
  }
  const { method, uri, querystring } = result;
  if (typeof uri !== 'string' || !/^\/[\x21-\x7e]*$/.test(uri) || uri.includes('?'))
    throw new FunctionValidationError('request.uri must be a path without a query');
  if (typeof querystring !== 'string') throw new FunctionValidationError('request.querystring must be a text');
  if (method !== sent.method) throw new FunctionValidationError('request.method is read-only');
  if (result['clientIp'] !== sent.clientIp) throw new FunctionValidationError('request.clientIp is read-only');
  const before = headersOf({ headers: sent.headers }).headers;
  for (const header of readOnly[name]) {
    const values = (pairs: readonly Pair[]): string =>
      JSON.stringify(pairs.filter(([key]) => key.toLowerCase() === header).map(([, value]) => value));
    if (values(before) !== values(headers))
      throw new FunctionValidationError(`request: header "${header}" is read-only`);
  }
  return {
    kind: 'request',
    request: {
      method: sent.method,
      uri,
      queryPart: querystring === '' ? '' : `?${querystring}`,
      pairs: [...headers, ...customHeaders],
    },
  };
}

function headersOf(result: Record<string, unknown>): {
  readonly headers: readonly Pair[];
  readonly customHeaders: readonly Pair[];
} {
  const custom = (result['origin'] as { custom?: { customHeaders?: unknown } } | undefined)?.custom?.customHeaders;
  return { headers: linesOf(result['headers']), customHeaders: linesOf(custom) };
}

/** Header lines as pairs, their shape checked. */
function linesOf(value: unknown): Pair[] {
  if (value === undefined) return [];
  if (!isRecord(value)) throw new FunctionValidationError('headers must be an object');
  return Object.entries(value).flatMap(([name, lines]) => {
    if (name !== name.toLowerCase()) throw new FunctionValidationError(`header name "${name}" is not lower case`);
    if (isDisallowedHeader(name)) throw new FunctionValidationError(`header "${name}" is not allowed`);
    if (!Array.isArray(lines)) throw new FunctionValidationError(`headers["${name}"] must be a list of {key, value}`);
    return lines.map((line: unknown): Pair => {
      const { key = name, value: text } = isRecord(line) ? line : {};
      if (typeof text !== 'string' || typeof key !== 'string' || key.toLowerCase() !== name)
        throw new FunctionValidationError(`headers["${name}"] must be a list of {key, value}`);
      // eslint-disable-next-line no-control-regex -- control characters are what is looked for
      if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text))
        throw new FunctionValidationError(`headers["${name}"] holds a control character`);
      return [key, text];
    });
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An answer's header lines, and its body. */
export function lambdaAnswer({ headers, body, bodyEncoding }: LambdaResponse): {
  readonly pairs: readonly Pair[];
  readonly body: Buffer;
} {
  return {
    pairs: linesOf(headers),
    body: Buffer.from(body ?? '', bodyEncoding === 'base64' ? 'base64' : 'utf8'),
  };
}
