// An edge location for the double: serves a distribution as it is deployed, running the LIVE functions, with CloudFront's
// own traps (headers overwritten only where a policy lists them, the behaviour chosen on the URL as sent).
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DefaultCacheBehavior, DistributionConfig } from '@aws-sdk/client-cloudfront';
import { functionOn, nameOfArn } from '../../scripts/deploy/behaviour-changes.js';
import { selectBehaviour } from '../../scripts/deploy/paths.js';
import { honestViewer } from '../../scripts/deploy/test-cases.js';
import { viewerRequestEvent, type FunctionEvent, type FunctionRequest } from '../../scripts/engine/index.js';
import type { CloudFrontDouble, FunctionRunner } from './cloudfront.js';

export interface EdgeDouble {
  readonly url: string;
  close(): Promise<void>;
}

export interface EdgeDoubleOptions {
  readonly double: CloudFrontDouble;
  readonly distribution: string;
  readonly runFunction: FunctionRunner;
  readonly port?: number;
  /** Which request viewer-response is given; AWS documents the original one. */
  readonly viewerResponseSees?: 'original' | 'modified';
}

type Answer = { status: number; headers: Record<string, string>; body: string };

/** Starts an edge location on the loopback address. */
export async function startEdgeDouble(options: EdgeDoubleOptions): Promise<EdgeDouble> {
  const server: Server = createServer((request, response) => {
    serve(options, request)
      .catch((error: unknown): Answer => ({ status: 503, headers: {}, body: `function error: ${String(error)}` }))
      .then((answer) => {
        response.writeHead(answer.status, answer.headers);
        response.end(answer.body);
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A continuous deployment policy sends requests with its header to the staging distribution. */
function configFor(options: EdgeDoubleOptions, request: IncomingMessage): DistributionConfig {
  const { state } = options.double;
  const primary = state.distributions.get(options.distribution);
  if (!primary) throw new Error(`no distribution ${options.distribution}`);
  const policy = state.continuousDeploymentPolicies.get(primary.config.ContinuousDeploymentPolicyId ?? '');
  const single = policy?.config.Enabled ? policy.config.TrafficConfig?.SingleHeaderConfig : undefined;
  if (!policy || !single || request.headers[(single.Header ?? '').toLowerCase()] !== single.Value)
    return primary.config;
  const name = policy.config.StagingDistributionDnsNames?.Items?.[0];
  const staging = [...state.distributions.values()].find((item) => item.domainName === name);
  return staging?.config ?? primary.config;
}

function listedHeaders(options: EdgeDoubleOptions, settings: DefaultCacheBehavior): Set<string> {
  const { state } = options.double;
  const origin = state.originRequestPolicies.get(settings.OriginRequestPolicyId ?? '')?.config.HeadersConfig;
  const cache = state.cachePolicies.get(settings.CachePolicyId ?? '')?.config.ParametersInCacheKeyAndForwardedToOrigin
    ?.HeadersConfig;
  const items = [
    ...(origin && origin.HeaderBehavior !== 'allExcept' ? (origin.Headers?.Items ?? []) : []),
    ...(cache?.Headers?.Items ?? []),
  ];
  return new Set(items.map((name) => name.toLowerCase()));
}

let requestCount = 0;

async function serve(options: EdgeDoubleOptions, incoming: IncomingMessage): Promise<Answer> {
  const config = configFor(options, incoming);
  const [path = '/', query = ''] = (incoming.url ?? '/').split('?');
  const { settings } = selectBehaviour(config, path);
  const listed = listedHeaders(options, settings);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (name !== 'cookie') headers[name] = String(value);
  }
  for (const [name, value] of Object.entries(honestViewer)) if (listed.has(name)) headers[name] = value;
  requestCount += 1;
  const event = viewerRequestEvent({
    method: incoming.method ?? 'GET',
    uri: path,
    query,
    headers,
    cookies: incoming.headers.cookie ?? '',
    requestId: `edge-${requestCount}`,
  });
  const plain = { ...event, request: withoutMethods(event.request) };
  const requested = await runLive(options, settings, 'viewer-request', plain);
  if (requested.response) return toAnswer(requested.response);
  const request = requested.request ?? plain.request;
  const answer: Answer = { status: 200, headers: { 'content-type': 'text/plain' }, body: `origin: ${request.uri}\n` };
  const seen = options.viewerResponseSees === 'modified' ? request : plain.request;
  const responded = await runLive(options, settings, 'viewer-response', {
    ...plain,
    context: { ...plain.context, eventType: 'viewer-response' },
    request: seen,
    response: { statusCode: answer.status, statusDescription: 'OK', headers: {}, cookies: {} },
  } as FunctionEvent);
  const changed = responded.request as unknown as { headers?: Record<string, { value: string }> } | undefined;
  const response: Record<string, unknown> = { ...(responded.response ?? changed) };
  // Headers, status and body are the function's to change.
  const after = toAnswer({ statusCode: answer.status, ...response });
  return {
    status: after.status,
    headers: { ...answer.headers, ...after.headers },
    body: response['body'] === undefined ? answer.body : after.body,
  };
}

function withoutMethods(request: FunctionRequest): FunctionRequest {
  return JSON.parse(JSON.stringify(request)) as FunctionRequest;
}

interface LiveRun {
  readonly request?: FunctionRequest;
  readonly response?: Record<string, unknown>;
}

async function runLive(
  options: EdgeDoubleOptions,
  settings: DefaultCacheBehavior,
  event: 'viewer-request' | 'viewer-response',
  input: FunctionEvent,
): Promise<LiveRun> {
  const arn = functionOn(settings, event);
  if (arn === undefined) return {};
  const live = options.double.state.functions.get(nameOfArn(arn))?.live;
  if (!live) throw new Error(`${arn} is not published`);
  const store = live.config.KeyValueStoreAssociations?.Items?.[0]?.KeyValueStoreARN;
  const run = await options.runFunction({
    code: Buffer.from(live.code).toString('utf8'),
    event: input,
    pairs: store === undefined ? new Map<string, string>() : options.double.pairs(store),
  });
  if (run.error !== undefined) throw new Error(run.error);
  return run.output as LiveRun;
}

function toAnswer(response: Record<string, unknown>): Answer {
  const headers: Record<string, string> = {};
  for (const [name, item] of Object.entries((response['headers'] ?? {}) as Record<string, { value: string }>)) {
    headers[name] = item.value;
  }
  const body = response['body'];
  const text = typeof body === 'string' ? body : String((body as { data?: string } | undefined)?.data ?? '');
  return { status: Number(response['statusCode']), headers, body: text };
}
