/** The vending service: decides who may watch what now, and hands out playback URLs. Adapters are entry points of their own. */
export {
  createVendingService,
  type Authenticate,
  type Caller,
  type MintRecord,
  type RefusalAnswer,
  type RefusalLedger,
  type RefusalQuestion,
  type VendingContext,
  type VendingHandler,
  type VendingOptions,
} from './vending/service.js';
export { assetsFromObject, parseAssetPolicy, type AssetPolicy, type AssetStore } from './vending/asset.js';
export { memorySessions, type SessionOutcome, type SessionStart, type SessionStore } from './vending/sessions.js';
export { bearerCaller, type BearerOptions } from './vending/bearer.js';
export { gatewayCaller } from './vending/gateway.js';
