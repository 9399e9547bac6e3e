/** For the page: keeps a playback's token fresh, and makes players send it through their public hooks. No secret belongs here. */
export {
  keepToken,
  vendingClient,
  VendingError,
  type Playback,
  type TokenKeeper,
  type TokenKeeperOptions,
} from './players/keeper.js';
export { hlsJsConfig, type HlsJsConfig } from './players/hls-js.js';
export { dashJsTokens, type DashJsPlayer, type DashJsRequest } from './players/dash-js.js';
export { shakaTokens, type ShakaPlayer, type ShakaRequest } from './players/shaka.js';
export { videoJsTokens, type VhsRequestOptions, type VhsXhr } from './players/video-js.js';
