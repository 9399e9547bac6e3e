import type { TokenKeeper } from './keeper.js';

/** A request as dash.js 5 hands it to interceptors. */
export interface DashJsRequest {
  url: string;
  headers?: Record<string, string> | undefined;
  credentials?: string | undefined;
}

/** The part of `MediaPlayerClass` (dash.js 5) that is used. */
export interface DashJsPlayer {
  addRequestInterceptor(interceptor: (request: DashJsRequest) => Promise<DashJsRequest>): void;
}

/** Makes a dash.js player send the current token. */
export function dashJsTokens(player: DashJsPlayer, keeper: TokenKeeper): void {
  player.addRequestInterceptor(async (request) => {
    await keeper.ready().catch(() => undefined);
    const { url } = request;
    request.url = keeper.url(url);
    const headers = keeper.headers(url);
    if (Object.keys(headers).length > 0) request.headers = { ...request.headers, ...headers };
    if (keeper.credentials(url)) request.credentials = 'include';
    return request;
  });
}
