import type { TokenKeeper } from './keeper.js';

/** The part of hls.js's configuration that is set. */
export interface HlsJsConfig {
  xhrSetup(xhr: XMLHttpRequest, url: string): Promise<void>;
  fetchSetup(context: { url: string }, init: RequestInit): Promise<Request>;
}

/**
 * Configuration for `new Hls(…)`: each request carries the current token. hls.js lets `xhrSetup` open the request, and
 * waits for its promise; it never retries a 4xx, so a token that ended is renewed before the request goes out.
 */
export function hlsJsConfig(keeper: TokenKeeper): HlsJsConfig {
  return {
    async xhrSetup(xhr, url) {
      await keeper.ready().catch(() => undefined);
      xhr.open('GET', keeper.url(url), true);
      xhr.withCredentials = keeper.credentials(url);
      for (const [name, value] of Object.entries(keeper.headers(url))) xhr.setRequestHeader(name, value);
    },
    async fetchSetup(context, init) {
      await keeper.ready().catch(() => undefined);
      const headers = new Headers(init.headers);
      for (const [name, value] of Object.entries(keeper.headers(context.url))) headers.set(name, value);
      return new Request(keeper.url(context.url), {
        ...init,
        headers,
        ...(keeper.credentials(context.url) ? { credentials: 'include' as const } : {}),
      });
    },
  };
}
