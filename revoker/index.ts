// The revoker's door: what is revoked, kept in a ledger and projected to every store and service that must know. It may
// use tokens/ and waf-rules/; commands, workflows and Lambdas come in here.
export { revokerConfigSchema, type RevokerConfig, type RevokerConfigInput } from './config.js';
export { connectRevoker, type ConnectOptions, type RevokerConnection } from './connect.js';
export { RevokerError, type RevokerErrorCode } from './errors.js';
export { canonicalRef, refText, scopes, subjectContentId, type EntryRef, type Scope } from './scopes.js';
export * from './ledger/index.js';
export {
  createRevoker,
  reconcile,
  type ActOptions,
  type Outcome,
  type ReconcileResult,
  type Revoker,
} from './writer.js';
export {
  ivsTarget,
  networkTarget,
  signWebhook,
  storeTarget,
  webhookSignatureHeader,
  webhookTarget,
  type NetworkBlocker,
  type Target,
  type WebhookBody,
} from './targets.js';
export { ledgerAddressRecords, wafNetworkBlocker } from './network-blocker.js';
export { createKvsClient, type KvsClientOptions } from './kvs-client.js';
export { createKeyValueStore, storeBytes, type KeyValueStore, type StoreDescription } from './store/key-value-store.js';
export { type Drift, type ProjectionOptions } from './store/projection.js';
export { checkRoom, quotaOf, rebuildStore, storeDrift, type Quota } from './maintenance.js';
export { createKeyring, settle, waitReady, type Keyring, type ListedKey, type Rotation } from './keys/keyring.js';
export { modes, publicAlgorithms, type KeyState, type Mode, type PublicAlgorithm } from './keys/records.js';
export {
  folderSecretStore,
  keySecretName,
  secretsManagerStore,
  signingSecretName,
  type SecretKey,
  type SecretStore,
} from './keys/secrets.js';
export { blackoutRuleSchema, parseBlackoutRule, type BlackoutRule, type BlackoutValue } from './blackouts/rule.js';
export { parseSchedule, readSchedule, type ScheduledBlackout } from './blackouts/schedule.js';
export {
  applySync,
  clearBlackout,
  expireBlackouts,
  planSync,
  removesTooMuch,
  setBlackout,
  type SyncPlan,
} from './blackouts/blackouts.js';
export { createLineReader, exportHeader, exportLine, type TransferFormat } from './transfer.js';
