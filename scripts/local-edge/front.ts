import { randomBytes } from 'node:crypto';
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { cmcdOf, logTarget, logText, type LineLog } from './access-log.js';
import { behaviorFor, type Behavior } from './behaviors.js';
import { createCache, type CachedAnswer, type EdgeCache } from './cache.js';
import {
  cookiesToFields,
  fieldsToCookieHeader,
  fieldsToPairs,
  fieldsToQuery,
  fieldsToSetCookies,
  queryToFields,
  setCookiesToFields,
  toFields,
  type EventRequest,
  type EventResponse,
  type FunctionEvent,
  type Pair,
} from './event.js';
import type { Firewall, FirewallAnswer } from './firewall.js';
import type { FunctionName, FunctionsHost } from './functions-host.js';
import { lambdaAnswer, LambdaExecutionError, runLambda, type LambdaEventName, type LambdaVerdict } from './lambda.js';
import { listen, type Listening } from './listen.js';
import { createRawTargetServer } from './raw-target.js';
import {
  bodyBytes,
  checkRequestResult,
  checkResponse,
  FunctionValidationError,
  isDisallowedHeader,
  limits,
} from './restrictions.js';
import { policyLists, readViewer, viewerHeaders, ViewerSyntaxError, type SimulatedViewer } from './viewer.js';

export interface FrontOptions {
  readonly port: number;
  readonly functions: FunctionsHost;
  readonly behaviors: readonly Behavior[];
  /** Base URL of each origin by name. */
  readonly origins: Readonly<Record<string, string>>;
  readonly viewer: SimulatedViewer;
  /** WAF, in front of everything but the behaviours that are spared it. */
  readonly firewall?: Firewall;
  /** Which request viewer-response is shown: AWS documents the original one. */
  readonly viewerResponseRequest: 'original' | 'modified';
  readonly accessLog: LineLog;
  readonly functionLog: LineLog;
  readonly now: () => number;
}

export const distribution = {
  id: 'ELOCALEDGE0000',
  domainName: 'd111111abcdef8.cloudfront.net',
  location: 'LOC50-P1',
} as const;

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const methods = new Set(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']);

/** An answer that CloudFront itself makes when it cannot go on. */
class EdgeError extends Error {
  readonly status: number;
  readonly resultType: string;
  constructor(status: number, resultType: string, message: string) {
    super(message);
    this.name = 'EdgeError';
    this.status = status;
    this.resultType = resultType;
  }
}

function pairsOf(rawHeaders: readonly string[]): Pair[] {
  const pairs: Pair[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i] as string, rawHeaders[i + 1] as string]);
  return pairs;
}

function named(pairs: readonly Pair[], lowerCaseName: string): string[] {
  return pairs.filter(([name]) => name.toLowerCase() === lowerCaseName).map(([, value]) => value);
}

/** The bytes of a text, one character each: how Node wants a request target. */
function toWire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

interface Target {
  readonly path: string;
  readonly query: string;
  /** With its question mark, or empty. */
  readonly queryPart: string;
}

/** Splits a request target as sent; an absolute-form target loses scheme and authority. */
function splitTarget(raw: string): Target {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*(.*)$/.exec(raw)?.[1];
  const target = absolute ?? raw;
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  return {
    path: path === '' && absolute !== undefined ? '/' : path,
    query: question < 0 ? '' : target.slice(question + 1),
    queryPart: question < 0 ? '' : target.slice(question),
  };
}

/** What is known of a request while it is answered; the access log is written from it. */
interface Exchange {
  readonly requestId: string;
  readonly started: number;
  readonly clock: () => number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly received: readonly Pair[];
  viewer: SimulatedViewer;
  pairs: Pair[];
  resultType: string;
  cacheUri: string;
  firstByte: number;
  bytes: number;
  /** Headers of the answer, by lower-case name. */
  sent: Readonly<Record<string, string>>;
}

/**
 * The local edge: an HTTP server that stands where CloudFront stands. It chooses the behaviour on the path as sent, adds
 * CloudFront's viewer headers, runs the viewer functions, asks the origin, and writes the access log.
 */
export async function startFront(options: FrontOptions): Promise<Listening> {
  const guardedTwice = options.behaviors.find(({ guarded, lambdas }) => guarded && lambdas?.['viewer-request']);
  if (guardedTwice)
    throw new Error(
      `${guardedTwice.pattern}: a CloudFront Function and a Lambda@Edge function cannot both sit on viewer events.`,
    );
  const agent = new Agent({ keepAlive: true });
  const cache = createCache(options.now);
  const server = createServer({ maxHeaderSize: 65_536, keepAliveTimeout: 60_000 }, (request, response) => {
    const exchange: Exchange = {
      requestId: randomBytes(40).toString('base64url').slice(0, 54) + '==',
      started: options.now(),
      clock: options.now,
      request,
      response,
      target: splitTarget(raw.targetOf(request)),
      received: pairsOf(request.rawHeaders).filter(([name]) => !raw.isCarrier(name.toLowerCase())),
      viewer: options.viewer,
      pairs: [],
      resultType: 'Error',
      cacheUri: '-',
      firstByte: 0,
      bytes: 0,
      sent: {},
    };
    response.once('close', () => writeAccessRecord(options, exchange));
    answer(options, agent, cache, exchange).catch((error: unknown) => fail(exchange, error));
  });
  const raw = createRawTargetServer(server);
  const listening = await listen(raw.netServer, options.port);
  return {
    ...listening,
    async close() {
      await listening.close();
      agent.destroy();
    },
  };
}

async function answer(options: FrontOptions, agent: Agent, cache: EdgeCache, exchange: Exchange): Promise<void> {
  const { request, target, received } = exchange;
  const simulated = named(received, 'x-sim-viewer');
  if (simulated.length > 0) {
    try {
      exchange.viewer = readViewer(simulated.join(';'), options.viewer);
    } catch (error) {
      if (error instanceof ViewerSyntaxError) throw new EdgeError(400, 'Error', error.message);
      throw error;
    }
  }
  const sent = received.filter(([name]) => name.toLowerCase() !== 'x-sim-viewer');
  exchange.pairs = sent;
  checkSizes(target, sent);
  if (!methods.has(request.method ?? '')) {
    throw new EdgeError(403, 'Error', `This distribution does not allow the method ${request.method}.`);
  }
  if (!target.path.startsWith('/')) throw new EdgeError(400, 'Error', 'The request target must begin with a slash.');
  const behavior = behaviorFor(options.behaviors, target.path);
  const originUrl = behavior && options.origins[behavior.origin];
  if (!behavior || originUrl === undefined) throw new EdgeError(404, 'Error', 'No behaviour matches the path.');

  const blocked = behavior.firewall === false ? undefined : options.firewall?.check(exchange.viewer);
  if (blocked) {
    sendBlocked(exchange, blocked);
    return;
  }
  let asked: Forwarded = { uri: target.path, queryPart: target.queryPart, pairs: sent };
  if (behavior.lambdas?.['viewer-request']) {
    // CloudFront adds its own headers afterwards: here they are what the viewer typed.
    const verdict = await callLambda(options, exchange, 'viewer-request', behavior, asked, originUrl);
    if (verdict.kind === 'response') return sendLambdaAnswer(exchange, verdict.response);
    asked = verdict.request;
  }
  const pairs = withViewerHeaders(asked.pairs, behavior, exchange.viewer);
  const original: EventRequest = {
    method: request.method ?? 'GET',
    // One character for each byte (ISO 8859-1): bytes ≥ 0x80 are characters from here on, and UTF-8 at the origin.
    uri: asked.uri,
    querystring: queryToFields(asked.queryPart.slice(1)),
    headers: toFields(
      pairs.filter(([name]) => {
        const lower = name.toLowerCase();
        return lower !== 'cookie' && !isDisallowedHeader(lower);
      }),
    ),
    cookies: cookiesToFields(named(pairs, 'cookie')),
  };

  let forwarded: Forwarded = { ...asked, pairs };
  let modified = original;
  if (behavior.guarded && options.functions.has('viewer-request')) {
    const result = await runFunction(options, exchange, 'viewer-request', { request: original });
    const verdict = validated(() => checkRequestResult(result, original));
    if (verdict.kind === 'response') {
      exchange.resultType = 'FunctionGeneratedResponse';
      sendGenerated(exchange, verdict.response);
      return;
    }
    modified = verdict.request;
    forwarded = toForwarded(modified, original, target, pairs);
  }
  exchange.cacheUri = forwarded.uri + forwarded.queryPart;

  const shown = options.viewerResponseRequest === 'modified' ? modified : original;
  const responds = behavior.guarded && options.functions.has('viewer-response');
  let key: string | undefined;
  if (behavior.lambdas?.['origin-request']) {
    key = behavior.uncached || !isCacheable(request) ? undefined : cacheKey(behavior, forwarded);
    const kept = key === undefined ? undefined : cache.find(key);
    if (kept) {
      exchange.resultType = 'Hit';
      return sendWhole(options, exchange, kept, responds ? shown : undefined);
    }
    const verdict = await callLambda(options, exchange, 'origin-request', behavior, forwarded, originUrl);
    if (verdict.kind === 'response') {
      exchange.resultType = 'LambdaGeneratedResponse';
      const { pairs: lines, body } = lambdaAnswer(verdict.response);
      const made = { status: Number(verdict.response.status), pairs: lines, body };
      if (key !== undefined) cache.keep(key, made);
      return sendWhole(options, exchange, made, responds ? shown : undefined, verdict.response.statusDescription);
    }
    forwarded = verdict.request;
  }

  const originResponse = await askOrigin(agent, exchange, originUrl, forwarded);
  const status = originResponse.statusCode ?? 502;
  exchange.resultType = status >= 400 ? 'Error' : 'Miss';
  if (key !== undefined) {
    const whole = { status, pairs: endToEnd(originResponse), body: await wholeBody(originResponse) };
    cache.keep(key, whole);
    return sendWhole(options, exchange, whole, responds ? shown : undefined, originResponse.statusMessage);
  }
  if (responds && status < 400) {
    await sendThroughFunction(options, exchange, originResponse, shown);
    return;
  }
  sendHead(exchange, status, originResponse.statusMessage, endToEnd(originResponse));
  pipeBody(exchange, originResponse);
}

/** Path, query and the headers of the cache policy, as the viewer-request function left them. */
function cacheKey({ cacheKeyHeaders = [] }: Behavior, { uri, queryPart, pairs }: Forwarded): string {
  return JSON.stringify([uri + queryPart, ...cacheKeyHeaders.map((name) => named(pairs, name))]);
}

function isCacheable({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.range === undefined;
}

function endToEnd(response: IncomingMessage): Pair[] {
  return pairsOf(response.rawHeaders).filter(([name]) => !hopByHop.has(name.toLowerCase()));
}

async function wholeBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function callLambda(
  options: FrontOptions,
  exchange: Exchange,
  name: LambdaEventName,
  behavior: Behavior,
  request: Forwarded,
  originUrl: string,
): Promise<LambdaVerdict> {
  const handler = behavior.lambdas?.[name];
  if (!handler) return { kind: 'request', request: { ...request, method: exchange.request.method ?? 'GET' } };
  try {
    return await runLambda(
      name,
      handler,
      { ...request, method: exchange.request.method ?? 'GET' },
      {
        requestId: exchange.requestId,
        clientIp: exchange.viewer.ip,
        distributionDomainName: distribution.domainName,
        distributionId: distribution.id,
        origin: new URL(originUrl),
      },
      options.functionLog,
    );
  } catch (error) {
    if (error instanceof LambdaExecutionError) throw new EdgeError(503, 'LambdaExecutionError', error.message);
    if (error instanceof FunctionValidationError) throw new EdgeError(502, 'LambdaValidationError', error.message);
    throw error;
  }
}

function sendLambdaAnswer(
  exchange: Exchange,
  response: Extract<LambdaVerdict, { kind: 'response' }>['response'],
): void {
  const { pairs, body } = lambdaAnswer(response);
  exchange.resultType = 'LambdaGeneratedResponse';
  sendBytes(exchange, Number(response.status), response.statusDescription, pairs, body);
}

/** Sends an answer that is there as a whole, through viewer-response where that is shown a request. */
async function sendWhole(
  options: FrontOptions,
  exchange: Exchange,
  { status, pairs, body }: CachedAnswer,
  shown: EventRequest | undefined,
  description?: string,
): Promise<void> {
  if (!shown || status >= 400) return sendBytes(exchange, status, description, pairs, body);
  const after = await throughViewerResponse(options, exchange, status, description, pairs, shown);
  sendBytes(exchange, after.status, after.description, after.pairs, after.body ?? body);
}

function sendBytes(
  exchange: Exchange,
  status: number,
  description: string | undefined,
  pairs: readonly Pair[],
  body: Buffer,
): void {
  const bodyless = exchange.request.method === 'HEAD' || [204, 304].includes(status);
  const lines = pairs.filter(([name]) => name.toLowerCase() !== 'content-length');
  const length: Pair[] = [204, 304].includes(status) ? [] : [['content-length', String(body.length)]];
  exchange.request.resume();
  sendHead(exchange, status, description, [...lines, ...length]);
  if (!bodyless) exchange.bytes += body.length;
  exchange.response.end(bodyless ? undefined : body);
}

function checkSizes(target: Target, sent: readonly Pair[]): void {
  const url = target.path.length + target.queryPart.length;
  if (url > limits.urlBytes)
    throw new EdgeError(413, 'Error', `The URL has ${url} bytes; at most ${limits.urlBytes} are accepted.`);
  const bytes = sent.reduce((sum, [name, value]) => sum + name.length + value.length + 4, url);
  if (bytes > limits.requestBytes) {
    throw new EdgeError(413, 'Error', `The request has ${bytes} bytes; at most ${limits.requestBytes} are accepted.`);
  }
}

/** A viewer's own `CloudFront-Viewer-*` header is replaced only while the behaviour's policies list its name. */
function withViewerHeaders(sent: readonly Pair[], behavior: Behavior, viewer: SimulatedViewer): Pair[] {
  const own = viewerHeaders(viewer);
  const listed = Object.keys(own).filter((name) => policyLists(behavior.viewerHeaders, name));
  const kept = sent.filter(([name]) => !listed.includes(name.toLowerCase()));
  const added = listed.flatMap((name): Pair[] => (own[name] === undefined ? [] : [[name, own[name]]]));
  return [...kept, ...added];
}

async function runFunction(
  options: FrontOptions,
  exchange: Exchange,
  name: FunctionName,
  about: { readonly request: EventRequest; readonly response?: EventResponse },
): Promise<unknown> {
  const event: FunctionEvent = {
    version: '1.0',
    context: {
      distributionDomainName: distribution.domainName,
      distributionId: distribution.id,
      eventType: name,
      requestId: exchange.requestId,
    },
    viewer: { ip: exchange.viewer.ip },
    ...about,
  };
  const outcome = await options.functions.run({
    name,
    event,
    rawQuery: exchange.target.query,
    now: exchange.viewer.now,
    kvs: exchange.viewer.kvs,
  });
  const line = { timestamp: options.now() / 1000, function: name, 'x-edge-request-id': exchange.requestId };
  for (const message of outcome.logs) options.functionLog.write({ ...line, message });
  if (!outcome.ok) {
    options.functionLog.write({ ...line, error: outcome.error });
    throw new EdgeError(503, 'FunctionExecutionError', `${name} threw: ${outcome.error.split('\n')[0]}`);
  }
  return outcome.result;
}

function validated<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof FunctionValidationError) throw new EdgeError(502, 'FunctionValidationError', error.message);
    throw error;
  }
}

interface Forwarded {
  readonly uri: string;
  readonly queryPart: string;
  readonly pairs: readonly Pair[];
}

/** The request as the function left it. What it did not touch goes on exactly as sent. */
function toForwarded(
  modified: EventRequest,
  original: EventRequest,
  target: Target,
  pairs: readonly Pair[],
): Forwarded {
  const sameQuery = JSON.stringify(modified.querystring) === JSON.stringify(original.querystring);
  const query = fieldsToQuery(modified.querystring);
  const cookie = fieldsToCookieHeader(modified.cookies);
  const sameCookies = JSON.stringify(modified.cookies) === JSON.stringify(original.cookies);
  const unseen = pairs.filter(([name]) => isDisallowedHeader(name.toLowerCase()));
  return {
    uri: modified.uri,
    queryPart: sameQuery ? target.queryPart : query === '' ? '' : `?${query}`,
    pairs: [
      ...fieldsToPairs(modified.headers),
      ...unseen,
      ...(sameCookies
        ? named(pairs, 'cookie').map((value): Pair => ['cookie', value])
        : cookie === ''
          ? []
          : [['cookie', cookie] as const]),
    ],
  };
}

function askOrigin(
  agent: Agent,
  exchange: Exchange,
  originUrl: string,
  forwarded: Forwarded,
): Promise<IncomingMessage> {
  const { request, requestId, viewer } = exchange;
  const url = new URL(originUrl);
  const headers: Record<string, string[]> = {};
  for (const [name, value] of forwarded.pairs) {
    const lower = name.toLowerCase();
    if (!hopByHop.has(lower) && lower !== 'host') (headers[lower] ??= []).push(value);
  }
  headers['x-forwarded-for'] = [[...(headers['x-forwarded-for'] ?? []), viewer.ip].join(', ')];
  headers['via'] = [[...(headers['via'] ?? []), `1.1 ${distribution.domainName} (CloudFront)`].join(', ')];
  headers['x-amz-cf-id'] = [requestId];
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        agent,
        host: url.hostname,
        port: url.port,
        method: request.method,
        path: toWire(forwarded.uri + forwarded.queryPart),
        headers: { host: url.host, ...headers },
      },
      resolve,
    );
    outgoing.on('error', (error) =>
      reject(new EdgeError(502, 'Error', `The origin cannot be reached: ${error.message}`)),
    );
    exchange.response.once('close', () => outgoing.destroy());
    request.pipe(outgoing);
  });
}

async function sendThroughFunction(
  options: FrontOptions,
  exchange: Exchange,
  originResponse: IncomingMessage,
  shown: EventRequest,
): Promise<void> {
  let after: Responded;
  try {
    const status = originResponse.statusCode ?? 200;
    after = await throughViewerResponse(
      options,
      exchange,
      status,
      originResponse.statusMessage,
      endToEnd(originResponse),
      shown,
    );
  } catch (error) {
    originResponse.destroy();
    throw error;
  }
  if (after.body) {
    originResponse.destroy();
    return sendBytes(exchange, after.status, after.description, after.pairs, after.body);
  }
  sendHead(exchange, after.status, after.description, after.pairs);
  pipeBody(exchange, originResponse);
}

/** An answer as viewer-response left it. */
interface Responded {
  readonly status: number;
  readonly description: string | undefined;
  readonly pairs: readonly Pair[];
  /** What stands in place of the body that came; absent where that stays. */
  readonly body: Buffer | undefined;
}

/**
 * Runs viewer-response, which may change headers, status and body, and is not shown the latter (developer guide,
 * "Determine function purpose").
 */
async function throughViewerResponse(
  options: FrontOptions,
  exchange: Exchange,
  status: number,
  description: string | undefined,
  pairs: readonly Pair[],
  shown: EventRequest,
): Promise<Responded> {
  const visible = pairs.filter(([name]) => {
    const lower = name.toLowerCase();
    return lower !== 'set-cookie' && !isDisallowedHeader(lower);
  });
  const before: EventResponse = {
    statusCode: status,
    statusDescription: description ?? '',
    headers: toFields(visible),
    cookies: setCookiesToFields(named(pairs, 'set-cookie')),
  };
  const result = await runFunction(options, exchange, 'viewer-response', { request: shown, response: before });
  const after = validated(() => checkResponse(result, before.headers ?? {}));
  const hidden = pairs.filter(([name]) => isDisallowedHeader(name.toLowerCase()));
  const cookies = fieldsToSetCookies(after.cookies).map((value): Pair => ['set-cookie', value]);
  return {
    status: after.statusCode,
    description: after.statusDescription,
    pairs: [...fieldsToPairs(after.headers), ...hidden, ...cookies],
    body: bodyBytes(after.body),
  };
}

function edgeHeaders(exchange: Exchange): Pair[] {
  const cache = exchange.resultType === 'Miss' ? 'Miss' : exchange.resultType;
  return [
    ['x-cache', `${cache} from cloudfront`],
    ['via', `1.1 ${distribution.domainName} (CloudFront)`],
    ['x-amz-cf-pop', distribution.location],
    ['x-amz-cf-id', exchange.requestId],
  ];
}

function sendHead(exchange: Exchange, status: number, description: string | undefined, pairs: readonly Pair[]): void {
  const { response } = exchange;
  const own = edgeHeaders(exchange);
  const kept = pairs.filter(([name]) => !own.some(([ownName]) => ownName === name.toLowerCase()));
  exchange.firstByte = exchange.clock();
  exchange.sent = Object.fromEntries(kept.map(([name, value]) => [name.toLowerCase(), value]));
  response.sendDate = !kept.some(([name]) => name.toLowerCase() === 'date');
  response.writeHead(
    status,
    description || STATUS_CODES[status] || '',
    [...kept, ...own].flatMap(([name, value]) => [name, value]),
  );
}

function pipeBody(exchange: Exchange, body: IncomingMessage): void {
  body.on('data', (chunk: Buffer) => {
    exchange.bytes += chunk.length;
  });
  body.on('error', () => exchange.response.destroy());
  body.pipe(exchange.response);
}

function sendGenerated(exchange: Exchange, generated: EventResponse): void {
  const body = validated(() => bodyBytes(generated.body)) ?? Buffer.alloc(0);
  const headers = fieldsToPairs(generated.headers).filter(([name]) => name !== 'content-length');
  const cookies = fieldsToSetCookies(generated.cookies).map((value): Pair => ['set-cookie', value]);
  const bodyless = exchange.request.method === 'HEAD' || [204, 304].includes(generated.statusCode);
  const length: Pair[] = [204, 304].includes(generated.statusCode) ? [] : [['content-length', String(body.length)]];
  exchange.request.resume();
  sendHead(exchange, generated.statusCode, generated.statusDescription, [...headers, ...cookies, ...length]);
  if (!bodyless) exchange.bytes += body.length;
  exchange.response.end(bodyless ? undefined : body);
}

/** WAF's answer: made before any function runs, as CloudFront reports it. */
function sendBlocked(exchange: Exchange, blocked: FirewallAnswer): void {
  const body = Buffer.from(blocked.body.replaceAll('${awswaf:request_id:}', exchange.requestId));
  exchange.request.resume();
  sendHead(exchange, blocked.status, undefined, [...blocked.headers, ['content-length', String(body.length)]]);
  if (exchange.request.method !== 'HEAD') exchange.bytes += body.length;
  exchange.response.end(exchange.request.method === 'HEAD' ? undefined : body);
}

function fail(exchange: Exchange, error: unknown): void {
  const { response } = exchange;
  const known =
    error instanceof EdgeError ? error : new EdgeError(500, 'Error', `The local edge failed: ${String(error)}`);
  exchange.resultType = known.resultType;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const text = `${known.status} ${STATUS_CODES[known.status] ?? ''}\n${known.message}\nGenerated by cloudfront (local edge)\n`;
  exchange.request.resume();
  sendHead(exchange, known.status, undefined, [
    ['content-type', 'text/plain; charset=utf-8'],
    ['content-length', String(Buffer.byteLength(text))],
    ['cache-control', 'no-store'],
    ...(known.status === 413 ? ([['connection', 'close']] as Pair[]) : []),
  ]);
  response.end(exchange.request.method === 'HEAD' ? undefined : text);
}

function writeAccessRecord(options: FrontOptions, exchange: Exchange): void {
  const { request, response, target, viewer, pairs } = exchange;
  const finished = options.now();
  const header = (name: string): string => logText(named(pairs, name).join('; '));
  options.accessLog.write({
    timestamp: exchange.started / 1000,
    'c-ip': viewer.ip,
    'c-port': viewer.port,
    'c-country': viewer.country ?? '-',
    asn: viewer.asn ?? '-',
    'time-to-first-byte': Math.max(0, (exchange.firstByte || finished) - exchange.started) / 1000,
    'sc-status': response.headersSent ? response.statusCode : 0,
    'sc-bytes': exchange.bytes,
    'cs-method': request.method ?? '-',
    'cs-protocol': 'http',
    'cs-protocol-version': `HTTP/${viewer.http ?? request.httpVersion}`,
    'cs-host': header('host'),
    'cs-uri-stem': logTarget(target.path),
    'cs-uri-query': logTarget(target.query),
    'cs-bytes': pairs.reduce((sum, [name, value]) => sum + name.length + value.length + 4, target.path.length),
    'cs-user-agent': header('user-agent'),
    'cs-referer': header('referer'),
    'cs-cookie': header('cookie'),
    'time-taken': Math.max(0, finished - exchange.started) / 1000,
    'x-edge-location': distribution.location,
    'x-edge-request-id': exchange.requestId,
    'x-host-header': header('host'),
    'x-edge-result-type': response.writableFinished ? exchange.resultType : 'ClientCommError',
    'x-edge-response-result-type': exchange.resultType,
    'ssl-protocol': viewer.tls?.split(':')[0] ?? '-',
    'ssl-cipher': viewer.tls?.split(':')[1] ?? '-',
    'sc-content-type': logText(exchange.sent['content-type']),
    'x-forwarded-for': header('x-forwarded-for'),
    'primary-distribution-id': distribution.id,
    ...cmcdOf(target.query, pairs),
    'sim-cache-uri': exchange.cacheUri === '-' ? '-' : logTarget(toWire(exchange.cacheUri)),
    'sim-reason': logText(exchange.sent['x-portcullis-reason']),
  });
}
