import { describe, expect, it, vi } from 'vitest';
import {
  dashJsTokens,
  hlsJsConfig,
  keepToken,
  shakaTokens,
  videoJsTokens,
  vendingClient,
  VendingError,
  type Playback,
  type TokenKeeper,
} from '../browser.js';
import type { Placement } from '../placement.js';

const first: Playback = {
  url: 'https://cdn.example/live/ch1/main.m3u8?CAT=eyJ1',
  token: 'eyJ1',
  renewAfter: 480,
  expiresAt: '2027-01-15T08:10:00.000Z',
};
const second: Playback = { ...first, token: 'eyJ2', expiresAt: '2027-01-15T08:18:00.000Z' };
const start = Date.parse('2027-01-15T08:00:00.000Z');

/** Timers that run when told. */
function manualTimers(): {
  timers: { setTimeout(action: () => void, ms: number): unknown; clearTimeout(): void; now(): number };
  waits: number[];
  run(): void;
  at(ms: number): void;
} {
  let action: (() => void) | undefined;
  let now = start;
  const waits: number[] = [];
  return {
    waits,
    run: () => action?.(),
    at: (ms) => (now = ms),
    timers: {
      setTimeout: (next, ms) => {
        action = next;
        waits.push(ms);
        return 1;
      },
      clearTimeout: () => (action = undefined),
      now: () => now,
    },
  };
}

function keeper(
  placement: Placement = { kind: 'query' },
  renew = vi.fn(() => Promise.resolve(second)),
): { keeper: TokenKeeper; renew: typeof renew; manual: ReturnType<typeof manualTimers> } {
  const manual = manualTimers();
  return { keeper: keepToken({ playback: first, placement, renew, timers: manual.timers }), renew, manual };
}

describe('keepToken', () => {
  it('renews when told to, and rewrites requests that still carry the older token', async () => {
    const { keeper: kept, renew, manual } = keeper();
    expect(manual.waits).toEqual([480_000]);
    manual.run();
    await vi.waitFor(() => expect(kept.current).toBe(second));
    expect(renew).toHaveBeenCalledWith(first);
    expect(kept.url('https://cdn.example/live/ch1/a.ts?CAT=eyJ1')).toBe('https://cdn.example/live/ch1/a.ts?CAT=eyJ2');
  });

  it('never gives the token to a foreign host', () => {
    for (const placement of [
      { kind: 'query' },
      { kind: 'path', mode: 'first' },
      { kind: 'header' },
      { kind: 'cookie' },
      { kind: 'authorization' },
    ] as const) {
      const { keeper: kept } = keeper(placement);
      for (const url of [
        'https://ads.example/a.ts',
        '//ads.example/a.ts',
        'https://cdn.example@ads.example/',
        'data:,x',
        'https://cdn.example:8443/a',
      ]) {
        expect([kept.url(url), kept.headers(url), kept.credentials(url)]).toEqual([url, {}, false]);
      }
    }
  });

  it('shares one renewal between calls at the same time', async () => {
    const { keeper: kept, renew } = keeper();
    await Promise.all([kept.renewNow(), kept.renewNow(), kept.renewNow()]);
    expect(renew).toHaveBeenCalledTimes(1);
  });

  it('tries again after a fault, later each time, and stops after a refusal', async () => {
    const manual = manualTimers();
    const errors: boolean[] = [];
    let error: Error = new Error('offline');
    const kept = keepToken({
      playback: first,
      placement: { kind: 'query' },
      renew: () => Promise.reject(error),
      timers: manual.timers,
      onError: (_, final) => errors.push(final),
    });
    for (let i = 0; i < 7; i++) await kept.renewNow().catch(() => undefined);
    expect(errors).toEqual(Array(7).fill(false));
    expect(manual.waits.at(-1)).toBeGreaterThan(10_000);
    expect(Math.max(...manual.waits.slice(1))).toBeLessThanOrEqual(30_000);
    const before = manual.waits.length;
    error = new VendingError(403, 'revoked', 'revoked');
    await kept.renewNow().catch(() => undefined);
    expect([errors.at(-1), manual.waits.length]).toEqual([true, before]);
  });

  it('renews a token that ended while the page slept, before the next request', async () => {
    const { keeper: kept, manual, renew } = keeper();
    await kept.ready();
    expect(renew).not.toHaveBeenCalled();
    manual.at(start + 3_600_000);
    await kept.ready();
    expect(renew).toHaveBeenCalledTimes(1);
  });
});

describe('players', () => {
  it('hls.js: opens the request with the token, header and credentials', async () => {
    const opened: unknown[] = [];
    const headers: Record<string, string> = {};
    const xhr = {
      open: (...values: unknown[]) => opened.push(values),
      setRequestHeader: (name: string, value: string) => (headers[name] = value),
      withCredentials: false,
    } as unknown as XMLHttpRequest;
    const config = hlsJsConfig(keeper({ kind: 'header' }).keeper);
    await config.xhrSetup(xhr, 'https://cdn.example/a.ts');
    expect([opened, headers]).toEqual([
      [['GET', 'https://cdn.example/a.ts', true]],
      { 'CTA-Common-Access-Token': 'eyJ1' },
    ]);
    const request = await hlsJsConfig(keeper().keeper).fetchSetup(
      { url: 'https://cdn.example/a.ts' },
      { headers: { range: 'bytes=0-1' } },
    );
    expect([request.url, request.headers.get('range')]).toEqual(['https://cdn.example/a.ts?CAT=eyJ1', 'bytes=0-1']);
    await hlsJsConfig(keeper({ kind: 'cookie' }).keeper).xhrSetup(xhr, 'https://cdn.example/a.ts');
    expect(xhr.withCredentials).toBe(true);
  });

  it('dash.js, Shaka and Video.js: change the request in their hooks', async () => {
    const { keeper: kept } = keeper();
    let intercept: ((request: { url: string }) => Promise<{ url: string }>) | undefined;
    dashJsTokens({ addRequestInterceptor: (interceptor) => (intercept = interceptor) }, kept);
    expect(await intercept?.({ url: 'https://cdn.example/a.m4s' })).toEqual({
      url: 'https://cdn.example/a.m4s?CAT=eyJ1',
    });

    let filter:
      | ((
          type: number,
          request: { uris: string[]; headers: Record<string, string>; allowCrossSiteCredentials: boolean },
        ) => Promise<void> | void)
      | undefined;
    shakaTokens(
      { getNetworkingEngine: () => ({ registerRequestFilter: (given) => (filter = given) }) },
      keeper({ kind: 'header' }).keeper,
    );
    const mixed = {
      uris: ['https://cdn.example/a', 'https://other.example/a'],
      headers: {},
      allowCrossSiteCredentials: false,
    };
    await filter?.(1, mixed);
    expect(mixed.headers).toEqual({});
    const own = { uris: ['https://cdn.example/a'], headers: {}, allowCrossSiteCredentials: false };
    await filter?.(1, own);
    expect(own.headers).toEqual({ 'CTA-Common-Access-Token': 'eyJ1' });

    let hook: ((options: { uri?: string }) => object) | undefined;
    videoJsTokens({ onRequest: (given) => (hook = given) }, kept);
    expect(hook?.({ uri: 'https://cdn.example/a.ts' })).toEqual({ uri: 'https://cdn.example/a.ts?CAT=eyJ1' });
  });
});

describe('vendingClient', () => {
  it('posts JSON with the authorization of the moment, and turns refusals into errors with status and code', async () => {
    const sent: [string, RequestInit][] = [];
    let answer = new Response(JSON.stringify(first));
    const client = vendingClient({
      url: 'https://vend.example/',
      authorization: () => 'Bearer id',
      fetch: (url, init) => (sent.push([url as string, init as RequestInit]), Promise.resolve(answer)),
    });
    expect(await client.renew('ch1', first)).toEqual(first);
    expect(sent[0]?.[0]).toBe('https://vend.example/renew');
    expect(sent[0]?.[1]).toMatchObject({
      method: 'POST',
      body: '{"asset":"ch1","token":"eyJ1"}',
      headers: { Authorization: 'Bearer id' },
    });
    answer = new Response('{"error":"revoked","message":"no"}', { status: 403 });
    await expect(client.playback({ asset: 'ch1' })).rejects.toMatchObject({ status: 403, code: 'revoked' });
  });
});
