// The ledger's door: the DynamoDB table that says what is revoked, by whom, why and until when. The vending service
// comes in here to ask whether it may mint.
export { createDynamoLedger, createLedgerClient, ensureLedgerTable, type DynamoLedgerOptions } from './dynamodb.js';
export { createMemoryLedger } from './memory.js';
export { createRefusalCheck, type MintingRequest, type Refusal, type RefusalCheck } from './refusal.js';
export type { AuditLine, Job, Ledger, LedgerRecord, RecordKind, ScanFilter } from './ledger.js';
export type { Act, EntryState, LedgerEntry, RevocationRequest } from './entry.js';
