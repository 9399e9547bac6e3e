/** The vending service behind Node's own HTTP server, and so behind Express, Fastify and the like. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { VendingContext, VendingHandler } from './service.js';

export interface NodeListenerOptions {
  /** What the platform knows of a request. Default: the socket's address; behind a proxy that is the proxy's. */
  readonly context?: (request: IncomingMessage) => VendingContext;
}

const maximumBodyBytes = 65_536;

/**
 * A listener for `http.createServer`, and a handler for frameworks that pass Node's objects. A body that a framework
 * has parsed already is taken from `request.body`.
 *
 * @example
 * ```ts
 * createServer(nodeListener(createVendingService(options))).listen(8080);
 * ```
 */
export function nodeListener(
  handle: VendingHandler,
  options: NodeListenerOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const context =
    options.context ?? ((request) => (request.socket.remoteAddress ? { address: request.socket.remoteAddress } : {}));
  return async (request, response) => {
    const answer = await toAnswer(request, handle, context);
    response.statusCode = answer.status;
    answer.headers.forEach((value, name) => {
      if (name !== 'set-cookie') response.setHeader(name, value);
    });
    const cookies = answer.headers.getSetCookie();
    if (cookies.length > 0) response.setHeader('Set-Cookie', cookies);
    response.end(await answer.text());
  };
}

async function toAnswer(
  request: IncomingMessage,
  handle: VendingHandler,
  context: (request: IncomingMessage) => VendingContext,
): Promise<Response> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && !name.startsWith(':')) headers.append(name, one);
  }
  const method = request.method ?? 'GET';
  let body: string | undefined;
  try {
    body = method === 'GET' || method === 'HEAD' ? undefined : await readBody(request);
  } catch {
    return new Response('{"error":"too_large","message":"The body is too large or was cut off."}', {
      status: 413,
      headers: { 'Content-Type': 'application/json', Connection: 'close' },
    });
  }
  // The path is all that is routed on; a Host header may say anything.
  const { originalUrl } = request as IncomingMessage & { originalUrl?: string };
  const path = (originalUrl ?? request.url ?? '/').replace(/^\/+/, '/');
  return handle(
    new Request(new URL(path.startsWith('/') ? path : '/', 'https://vending.invalid'), {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    }),
    context(request),
  );
}

async function readBody(request: IncomingMessage): Promise<string> {
  const { body } = request as IncomingMessage & { body?: unknown };
  if (body !== undefined) return typeof body === 'string' ? body : JSON.stringify(body);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maximumBodyBytes) throw new RangeError('too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
