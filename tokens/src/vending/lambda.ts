/** The vending service as a Lambda function: function URLs and API Gateway HTTP APIs (payload 2.0), and REST APIs (1.0). */
import type { VendingContext, VendingHandler } from './service.js';

/** What of an event is read; both payload formats. */
export interface GatewayEvent {
  readonly version?: string;
  readonly rawPath?: string;
  readonly rawQueryString?: string;
  readonly path?: string;
  readonly httpMethod?: string;
  readonly headers?: Readonly<Record<string, string | undefined>> | null;
  readonly cookies?: readonly string[];
  readonly body?: string | null;
  readonly isBase64Encoded?: boolean;
  readonly requestContext: {
    readonly requestId?: string;
    readonly stage?: string;
    readonly domainName?: string;
    readonly http?: { readonly method: string; readonly sourceIp: string };
    readonly identity?: { readonly sourceIp?: string | null; readonly userArn?: string | null };
    readonly authorizer?: { readonly iam?: { readonly userArn?: string | null } | null } | null;
  };
}

export interface GatewayResult {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly cookies?: string[];
  readonly multiValueHeaders?: Record<string, string[]>;
  readonly body: string;
}

/**
 * Wraps the service for Lambda. Address and principal come from the event's `requestContext`, which the gateway
 * writes, never from headers.
 *
 * @example
 * ```ts
 * export const handler = lambdaHandler(createVendingService(options));
 * ```
 */
export function lambdaHandler(handle: VendingHandler): (event: GatewayEvent) => Promise<GatewayResult> {
  return async (event) => {
    const { requestContext } = event;
    const method = requestContext.http?.method ?? event.httpMethod ?? 'GET';
    const path = event.rawPath ?? event.path ?? '/';
    const headers = new Headers();
    for (const [name, value] of Object.entries(event.headers ?? {}))
      if (value !== undefined) headers.append(name, value);
    const body =
      event.body == null || event.body === ''
        ? null
        : event.isBase64Encoded
          ? new TextDecoder().decode(Uint8Array.from(atob(event.body), (character) => character.charCodeAt(0)))
          : event.body;
    const request = new Request(
      new URL(stageless(path, requestContext.stage), `https://${requestContext.domainName ?? 'vending.invalid'}`),
      {
        method,
        headers,
        ...(body === null || method === 'GET' || method === 'HEAD' ? {} : { body }),
      },
    );
    const address = requestContext.http?.sourceIp ?? requestContext.identity?.sourceIp ?? undefined;
    const principal = requestContext.authorizer?.iam?.userArn ?? requestContext.identity?.userArn ?? undefined;
    const context: VendingContext = {
      ...(address ? { address } : {}),
      ...(principal ? { principal } : {}),
      ...(requestContext.requestId ? { requestId: requestContext.requestId } : {}),
    };
    return toResult(await handle(request, context), event.version === '2.0' || requestContext.http !== undefined);
  };
}

/** HTTP APIs put a named stage before the path; `$default` is none. */
function stageless(path: string, stage: string | undefined): string {
  return stage !== undefined && stage !== '$default' && path.startsWith(`/${stage}/`)
    ? path.slice(stage.length + 1)
    : path;
}

async function toResult(response: Response, second: boolean): Promise<GatewayResult> {
  const cookies = response.headers.getSetCookie();
  const headers: Record<string, string> = {};
  response.headers.forEach((value, name) => {
    if (name !== 'set-cookie') headers[name] = value;
  });
  const result = { statusCode: response.status, headers, body: await response.text() };
  if (cookies.length === 0) return result;
  return second ? { ...result, cookies } : { ...result, multiValueHeaders: { 'Set-Cookie': cookies } };
}
