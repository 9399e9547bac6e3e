import type { TokenKeeper } from './keeper.js';

/** Request options of Video.js's HTTP streaming (VHS 3). */
export interface VhsRequestOptions {
  uri?: string;
  url?: string;
  headers?: Record<string, string>;
  withCredentials?: boolean;
}

/** `player.tech().vhs.xhr`, or `videojs.Vhs.xhr` for all players of a page. */
export interface VhsXhr {
  onRequest(hook: (options: VhsRequestOptions) => VhsRequestOptions): void;
}

/**
 * Makes Video.js send the current token. Its hook cannot wait: a token that ended is renewed for the next request.
 * For one player, call it in the player's `xhr-hooks-ready` event.
 */
export function videoJsTokens(xhr: VhsXhr, keeper: TokenKeeper): void {
  xhr.onRequest((options) => {
    void keeper.ready().catch(() => undefined);
    const url = options.uri ?? options.url ?? '';
    const headers = keeper.headers(url);
    const changed: VhsRequestOptions = {
      ...options,
      ...(options.url === undefined ? {} : { url: keeper.url(url) }),
      ...(options.uri === undefined ? {} : { uri: keeper.url(url) }),
    };
    if (Object.keys(headers).length > 0) changed.headers = { ...options.headers, ...headers };
    if (keeper.credentials(url)) changed.withCredentials = true;
    return changed;
  });
}
