import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signCat, signJwt, type Claims } from '../../tokens/src/index.js';
import { startHandler, type StartOverrides } from '../../edge/handlers/start.js';
import type { LambdaEvent, LambdaHeaders, LambdaResponse } from '../../edge/event.js';
import { writeFunctions } from '../../scripts/build/functions.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { startSettings } from '../../scripts/build/start-settings.js';
import { parseConfig, type PortcullisConfig, type PortcullisConfigInput } from '../../scripts/config/index.js';
import {
  viewerRequestEvent,
  type FunctionHost,
  type HostResult,
  type RequestParts,
} from '../../scripts/engine/index.js';

export const NOW = 1_800_000_000;
export const edgeSecret = randomBytes(32);
const es256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

export const signingKey = { alg: 'ES256', kid: 'cms', privateKey: es256.privateKey } as const;
/** The same kid, and another key. */
export const forgersKey = { alg: 'ES256', kid: 'cms', privateKey: stranger.privateKey } as const;
export const publicJwk = { ...es256.publicKey.export({ format: 'jwk' }), kid: 'cms', alg: 'ES256' };

export type StartInput = NonNullable<NonNullable<PortcullisConfigInput['lambda']>['start']>;

/** A configuration with a start path; `/live/<token>/…` and query tokens. */
export function startConfig(
  start: Partial<StartInput> = {},
  more: Partial<PortcullisConfigInput> = {},
): PortcullisConfig {
  return parseConfig({
    profile: 'default',
    placements: { path: [{ prefix: '/live' }, 'first'], query: true, cookie: true, header: true },
    ...more,
    lambda: {
      keys: [{ kind: 'jwks', jwks: { keys: [publicJwk] } }],
      ...more.lambda,
      start: { kid: 'edge', ...start },
    },
  });
}

/** Compiles the viewer functions of a configuration into a folder of their own. */
export async function compiledStart(config: PortcullisConfig): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-start-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { build, features } = functionPlan(config);
  await writeFunctions('start', build, features, folder);
  return folder;
}

export const edgeRecord = JSON.stringify({ alg: 'HS256', k: edgeSecret.toString('base64url') });
export const publicRecord = (more: object = {}): string => JSON.stringify({ alg: 'ES256', ...more });
export const entries: Readonly<Record<string, string>> = { 'k:edge': edgeRecord, 'k:cms': publicRecord() };

export const claims = (more: Claims = {}): Claims => ({
  exp: NOW + 7200,
  catu: { path: { prefix: '/live/' } },
  ...more,
});
export const cat = (more: Claims = {}, key: typeof signingKey = signingKey): Promise<string> =>
  signCat(claims(more), key);
export const jwt = (more: Claims = {}, key: typeof signingKey = signingKey): Promise<string> =>
  signJwt(claims(more), key);

/** The Lambda of a configuration, its keys and clock at hand. */
export function lambdaOf(
  config: PortcullisConfig,
  overrides: StartOverrides = {},
): (event: LambdaEvent) => Promise<LambdaResponse> {
  const settings = startSettings(config);
  if (!settings) throw new Error('The configuration has no start.');
  return startHandler(settings, {
    readSecret: () =>
      Promise.resolve(JSON.stringify({ kid: 'edge', alg: 'HS256', k: edgeSecret.toString('base64url') })),
    now: () => NOW * 1000,
    log: () => undefined,
    ...overrides,
  });
}

/** What CloudFront makes of a viewer-request function's result for the Lambda behind it. */
export function lambdaEvent(request: RequestParts, result: HostResult): LambdaEvent {
  const event = viewerRequestEvent(request);
  const { method, uri, querystring, headers, cookies } = result.result as unknown as typeof event.request;
  const lines: LambdaHeaders = {};
  type Fields = Readonly<Record<string, { value: string; multiValue?: { value: string }[] }>>;
  const pairs = (fields: Fields): [string, string][] =>
    Object.entries(fields).flatMap(([name, field]) =>
      (field.multiValue ?? [field]).map(({ value }): [string, string] => [name, value]),
    );
  for (const [name, value] of pairs(headers as Fields)) (lines[name] ??= []).push({ key: name, value });
  const cookie = pairs(cookies as Fields).map((pair) => pair.join('='));
  if (cookie.length > 0) lines['cookie'] = [{ key: 'Cookie', value: cookie.join('; ') }];
  return {
    Records: [
      {
        cf: {
          config: {
            distributionDomainName: event.context.distributionDomainName,
            distributionId: event.context.distributionId,
            eventType: 'origin-request',
            requestId: event.context.requestId,
          },
          request: {
            clientIp: event.viewer.ip,
            method,
            uri,
            querystring: pairs(querystring as Fields)
              .map((pair) => pair.join('='))
              .join('&'),
            headers: lines,
          },
        },
      },
    ],
  };
}

export const viewer = { 'CloudFront-Viewer-Country': 'DE', 'CloudFront-Viewer-Country-Region': 'BE' };

/** A viewer's request through the compiled function; its answer, or what goes on to the Lambda. */
export async function throughFunction(
  host: FunctionHost,
  folder: string,
  request: RequestParts,
  store: Readonly<Record<string, string>> = entries,
): Promise<HostResult> {
  const [result] = await host.run(
    join(folder, 'viewer-request.js'),
    [{ event: viewerRequestEvent({ headers: viewer, ...request }) }],
    { store: { entries: store }, now: NOW * 1000 },
  );
  if (!result || result.error) throw new Error(JSON.stringify(result?.error));
  return result;
}

export const location = (answer: LambdaResponse): string => answer.headers?.['location']?.[0]?.value ?? '';
export const reasonOf = (answer: LambdaResponse): string =>
  answer.headers?.['x-portcullis-reason']?.[0]?.value ?? answer.status;
