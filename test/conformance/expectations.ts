import { expect } from 'vitest';
import type { FunctionRequest, FunctionResponse, HostResult } from '../../scripts/engine/index.js';
import { PATH } from '../verdicts/requests.js';
import type { ConformanceCase, ExpectedRenewal } from './case.js';
import { claimsOf } from './genuine.js';

/** Tokens begin with these, and nothing else in these requests does. */
const TOKEN = /eyJ|2D3|0YR|0oR/;
const HANDOVER = 'x-portcullis-handover';

const forwardedTarget = ({ uri, querystring }: FunctionRequest): string => {
  const query = Object.entries(querystring)
    .flatMap(([name, { value, multiValue }]) => (multiValue ?? [{ value }]).map((one) => `${name}=${one.value}`))
    .join('&');
  return uri + (query && `?${query}`);
};

/** What is forwarded has no token any more, and is otherwise what the viewer asked for. */
export function expectForwarded(one: ConformanceCase, { result }: HostResult): void {
  if (!result || result.statusCode) return;
  const query = one.asked.query === undefined ? '' : `?${one.asked.query}`;
  expect(forwardedTarget(result)).toBe(one.forwarded ?? (one.asked.path ?? PATH) + query);
  // Viewer-response alone gets the token; CloudFront forwards only headers that a policy names.
  const seen = { ...result, headers: { ...result.headers, [HANDOVER]: undefined } };
  expect(JSON.stringify(seen)).not.toMatch(TOKEN);
}

/** Every refusal is kept by nobody; what a `catif` asks for is answered besides. */
export function expectAnswer(one: ConformanceCase, { result }: HostResult): void {
  if (!result?.statusCode) return;
  expect(result.headers?.['cache-control']?.value).toBe('no-store');
  const { answer } = one;
  if (!answer) {
    if (result.statusCode === 401) expect(result.headers?.['www-authenticate']?.value).toBeTruthy();
    return;
  }
  expect(result.statusCode).toBe(answer.status);
  for (const [name, expected] of Object.entries(answer.headers ?? {})) {
    const value = result.headers?.[name]?.value;
    if (typeof expected === 'function') expected(value ?? '');
    else expect(value, name).toBe(expected);
  }
}

export function expectLog(one: ConformanceCase, { logs }: HostResult): void {
  for (const line of logs) expect(line).not.toMatch(TOKEN);
  if (one.log) expect(JSON.parse(logs[0] ?? '{}')).toMatchObject(one.log);
}

function renewedByRedirect(
  { result: answer, error }: HostResult,
  expected: ExpectedRenewal,
  one: ConformanceCase,
): string {
  expect(error).toBeUndefined();
  const result = answer as FunctionResponse;
  expect(result.statusCode).toBe(expected.status ?? 307);
  expect(result.body).toBe('');
  expect(JSON.stringify(result.cookies ?? {})).not.toMatch(TOKEN);
  const location = result.headers?.['location']?.value ?? '';
  const token = new RegExp(`(?:${TOKEN.source})[\\w.-]+`).exec(location)?.[0] ?? '';
  const old = new RegExp(`(?:${TOKEN.source})[\\w.-]+`).exec(one.target)?.[0] ?? '';
  expect(location).toBe(one.target.replace(old, token));
  return token;
}

function renewedInResponse({ result, error }: HostResult, expected: ExpectedRenewal): string {
  expect(error).toBeUndefined();
  const { headers = {}, cookies = {} } = result as FunctionResponse;
  if (expected.by === 'cookie') {
    const cookie = cookies[expected.name ?? 'CAT'];
    expect(cookie?.attributes ?? '').toBe(expected.parameters ?? '');
    expect(JSON.stringify(headers)).not.toMatch(TOKEN);
    return cookie?.value ?? '';
  }
  const [token = '', ...parameters] = (headers[expected.name ?? 'cta-common-access-token']?.value ?? '').split(';');
  expect(parameters.join(';')).toBe(expected.parameters ?? '');
  expect(JSON.stringify(cookies)).not.toMatch(TOKEN);
  // A structured-field string (RFC 8941 3.3.3).
  expect(token).toMatch(/^".+"$/);
  return token.slice(1, -1);
}

/** A token was renewed as it asks for, under both readings of what viewer-response sees; or was not at all. */
export function expectRenewal(
  one: ConformanceCase,
  request: HostResult,
  responses: readonly HostResult[] | undefined,
): void {
  const { renewal: expected } = one;
  if (!expected) return;
  if (expected === 'none') {
    expect(request.result?.statusCode).toBe(one.expected === 'admitted' ? undefined : 401);
    for (const { result, error } of responses ?? []) {
      expect(error).toBeUndefined();
      expect(result!.statusCode).toBe(200);
      expect(JSON.stringify([result!.headers, result!.cookies])).not.toMatch(TOKEN);
      expect(result!.headers['cache-control']?.value).toBe('private');
    }
    return;
  }
  // The request goes on; its answer is the renewal.
  expect(request.result?.statusCode).toBeUndefined();
  const redirects = expected.by === 'redirect';
  for (const { result } of responses ?? [])
    expect(result?.headers['cache-control']?.value).toBe(redirects ? 'no-store' : 'private');
  const tokens = (responses ?? []).map((response) =>
    redirects ? renewedByRedirect(response, expected, one) : renewedInResponse(response, expected),
  );
  expect(tokens.length).toBeGreaterThan(0);
  for (const token of tokens) {
    const claims = claimsOf(token, expected.kid ?? one.asked.kid ?? 'main');
    for (const [name, value] of Object.entries(expected.claims ?? {})) {
      if (value instanceof Function) (value as (claim: unknown) => void)(claims[name]);
      else expect(claims[name], name).toEqual(value);
    }
  }
}
