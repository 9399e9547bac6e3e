import type { TokenKeeper } from './keeper.js';

/** A request as Shaka Player hands it to filters. */
export interface ShakaRequest {
  uris: string[];
  headers: Record<string, string>;
  allowCrossSiteCredentials: boolean;
}

/** The part of `shaka.Player` that is used. */
export interface ShakaPlayer {
  getNetworkingEngine(): {
    registerRequestFilter(filter: (type: number, request: ShakaRequest) => Promise<void> | void): void;
  } | null;
}

/** Makes a Shaka player send the current token. Call it after the player was attached or created. */
export function shakaTokens(player: ShakaPlayer, keeper: TokenKeeper): void {
  const engine = player.getNetworkingEngine();
  if (!engine) throw new Error('The Shaka player has no networking engine: it was destroyed.');
  engine.registerRequestFilter(async (_type, request) => {
    await keeper.ready().catch(() => undefined);
    const [first] = request.uris;
    if (first === undefined) return;
    // A header goes to whichever of the alternatives is tried, so all of them must be ours.
    const headers = request.uris.map((uri) => keeper.headers(uri));
    if (headers.every((set) => Object.keys(set).length > 0)) Object.assign(request.headers, headers[0]);
    if (request.uris.every((uri) => keeper.credentials(uri))) request.allowCrossSiteCredentials = true;
    request.uris = request.uris.map((uri) => keeper.url(uri));
  });
}
