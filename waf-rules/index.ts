// WAF rule sets: what they are (presets, rules, settings), what they cost (capacity), what they would do (simulator),
// how they get to AWS (plan, apply, roll back), and the address sets that revocation fills. Only the wafv2 client and
// zod come in here; nothing of the command line, and no other folder of this project.
export {
  createFileRecords,
  createMemoryRecords,
  isDue,
  laterRecord,
  type AddressRecord,
  type AddressRecordStore,
} from './address-records.js';
export {
  addressTable,
  formatAddress,
  mergeRanges,
  overlaps,
  parseAddress,
  parseRange,
  reservedRanges,
  subtractRanges,
  toCidrs,
  type AddressRange,
  type AddressTable,
} from './addresses.js';
export {
  applyRuleSet,
  checkCapacity,
  decideStages,
  makePlan,
  rollBack,
  type ApplyResult,
  type PublishOptions,
} from './apply.js';
export { capacityCosts, capacityOf, type Capacity, type CapacityPart } from './capacity.js';
export { cloudFrontRegion, createWafClient } from './client.js';
export {
  parseWafConfig,
  presetNames,
  wafConfigSchema,
  wafPlacementSchema,
  type PresetName,
  type WafConfig,
  type WafConfigInput,
  type WafPlacement,
} from './config.js';
export { WafRulesError, type WafRulesErrorCode } from './errors.js';
export { awsMediaServices, awsProbeServices, parseAwsRanges, parseRangeList, parseRelayRanges } from './exceptions.js';
export {
  createAddressBlocker,
  type AddressBlocker,
  type AddressBlockerOptions,
  type BlockOutcome,
  type BlockRequest,
  type BlockStatus,
  type NetworkBlockRequest,
  type Refusal,
  type RefusalReason,
} from './ip-sets.js';
export { managedGroups } from './managed-groups.js';
export { describePlan, type Change, type Plan } from './plan.js';
export { buildRuleSet, ruleSetCapacity, threatsOf } from './presets.js';
export { createLogReader, filesAt, readRequests, type RecordedRequest } from './request-sources.js';
export {
  createFileRollout,
  createMemoryRollout,
  type RolloutRecord,
  type RolloutRecordStore,
} from './rollout-record.js';
export { stagedRules, type RuleDefinition, type RuleSet, type Stage } from './rule-set.js';
export { insertedHeaderPrefix, insertedHeaders } from './rules.js';
export { presetValues, settingsOf, type WafSettings } from './settings.js';
export { simulatorOf, type RuleSetSimulation, type SimulationLists } from './simulate-rule-set.js';
export { parseRequest, type RequestInput, type SimulatedRequest } from './simulated-request.js';
export { createReport, redactUri, type SimulationReport } from './simulation-report.js';
export { createSimulator, type Decision, type Match, type Simulator } from './simulator.js';
export { validateRuleSet } from './validate.js';
