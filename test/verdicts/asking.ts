import { expect } from 'vitest';
import { verifyRequest, type EntitledKey, type Placement, type VerifyRequestOptions } from '@portcullis/tokens';
import { viewerRequestEvent, type HostResult } from '../../scripts/engine/index.js';
import type { LocalEdge } from '../../scripts/local-edge/index.js';
import { readViewer, viewerHeaders } from '../../scripts/local-edge/viewer.js';
import { rawRequest } from '../local-edge/raw-http.js';
import { keys, NOW, secretOf, storeEntries, type RequestCase } from './requests.js';

type Pairs = readonly (readonly [string, string])[];

/** What a table says of a request, whatever it expects of it. */
export type AskedRequest = Omit<RequestCase, 'expected' | 'byDefault'>;

const defaultHost = 'video.example.com';
export const momentOf = (one: AskedRequest): number => NOW + (one.later ?? 0);

/** The headers as they reach a function: the viewer's, and CloudFront's over them where the policy lists those. */
function headersAtEdge(one: AskedRequest): Pairs {
  const own = one.unlisted ? {} : viewerHeaders(readViewer(one.viewer ?? ''));
  return [
    ['host', one.host ?? defaultHost],
    ...(one.headers ?? []).filter(([name]) => !(name.toLowerCase() in own)),
    ...Object.entries(own).filter((pair): pair is [string, string] => pair[1] !== undefined),
  ];
}

function gathered(pairs: Pairs): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of pairs) (headers[name.toLowerCase()] ??= []).push(value);
  return headers;
}

/** What a request was answered, wherever it was asked. */
export interface Outcome {
  readonly verdict: string;
  /** What the origin is asked for; absent where it is not. */
  readonly forwarded?: string;
  /** All that the origin sees, as text. */
  readonly seen?: string;
}

const addressOf = (one: AskedRequest): string => readViewer(one.viewer ?? '').ip;

/** Whether a request has what a build for JWTs alone takes otherwise: what looks as a CAT, and the padding that only CATs have. */
export const isOfCat = (request: object): boolean => /0YR|0oR|2D3|eyJ[\w.-]*(=|%3d)/i.test(JSON.stringify(request));

export function eventOf(one: AskedRequest): ReturnType<typeof viewerRequestEvent> {
  const { cookie = [], ...headers } = gathered(headersAtEdge(one));
  return viewerRequestEvent({
    uri: one.target,
    method: one.method ?? 'GET',
    headers,
    cookies: cookie.join(';'),
    ip: addressOf(one),
  });
}

export function outcomeOf({ result, error }: HostResult): Outcome {
  if (error || !result) return { verdict: `threw ${error?.name}: ${error?.message}` };
  if (result.statusCode) {
    const reason = result.headers?.['x-portcullis-reason']?.value;
    expect(result.headers?.['cache-control']?.value).toBe('no-store');
    if (reason === undefined) return { verdict: `status ${result.statusCode}` };
    expect(JSON.parse(result.body as string)).toMatchObject({ error: reason });
    return { verdict: reason };
  }
  const query = Object.entries(result.querystring)
    .flatMap(([name, { value, multiValue }]) => (multiValue ?? [{ value }]).map((one) => `${name}=${one.value}`))
    .join('&');
  return { verdict: 'admitted', forwarded: result.uri + (query && `?${query}`), seen: JSON.stringify(result) };
}

export async function overHttp(edge: LocalEdge, one: AskedRequest): Promise<Outcome> {
  const answer = await rawRequest(edge.addresses.edge, one.target, {
    method: one.method ?? 'GET',
    host: one.host ?? defaultHost,
    headers: [['x-sim-viewer', `now=${momentOf(one)}; ${one.viewer ?? ''}`], ...(one.headers ?? [])],
  });
  const reason = answer.headers['x-portcullis-reason']?.[0];
  if (reason) return { verdict: reason };
  if (answer.headers['x-cache']?.[0]?.startsWith('Miss')) {
    // What the origin has under `/echo` tells what it was asked.
    const target = answer.body.startsWith('{') ? (JSON.parse(answer.body) as { target: string }).target : undefined;
    // The request's id is random, and may look like anything.
    const seen = answer.body.replaceAll(answer.headers['x-amz-cf-id']?.[0] ?? '-', '');
    return { verdict: 'admitted', ...(target === undefined ? {} : { forwarded: target }), seen };
  }
  if (answer.status === 404 && answer.body === 'Not found\n') return { verdict: 'admitted', seen: '' };
  if (answer.status < 400) return { verdict: `status ${answer.status}` };
  return { verdict: `edge ${answer.status}: ${answer.body}` };
}

/** Every place that a token may stand in. */
export const everyPlacement: readonly Placement[] = [
  { kind: 'path', mode: 'first' },
  { kind: 'pathParameter' },
  { kind: 'query' },
  { kind: 'cookie' },
  { kind: 'header' },
  { kind: 'authorization' },
];

/** The keys of the table's store, as the SDK has them. */
export const verificationKeys: readonly EntitledKey[] = keys.map(
  ({ kid, ...scope }) => ({ alg: 'HS256', secret: secretOf(kid), ...(kid && { kid }), ...scope }) as const,
);

export async function inNode(one: AskedRequest, more: Partial<VerifyRequestOptions> = {}): Promise<Outcome> {
  const { reason } = await verifyRequest(
    { url: one.target, method: one.method ?? 'GET', headers: gathered(headersAtEdge(one)), address: addressOf(one) },
    {
      keys: verificationKeys,
      read: (key) => Promise.resolve(storeEntries[key]),
      placements: everyPlacement,
      clock: () => momentOf(one) * 1000,
      ...more,
    },
  );
  return { verdict: reason ?? 'admitted' };
}
