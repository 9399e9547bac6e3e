// The exchange: a public-key token, checked once where playback starts, for a short HMAC token that the viewer function
// checks on every segment.
export { createStartHandler, type StartConfig, type StartPorts } from './exchange.js';
export { NotExchangeable } from './narrow.js';
export type { DeliverySettings, ExchangePolicy } from './policy.js';
export { START_HEADER } from './seal.js';
