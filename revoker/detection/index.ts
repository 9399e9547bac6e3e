// The detector's door: access logs in, verdicts and planned actions out. It reads logs and writes nothing; what is decided
// here is carried out by the revoker's writer, the command line or the workflows.
export { detectionConfigSchema, parseDetectionConfig, DetectionConfigError } from './config.js';
export type { DetectionConfig, DetectionConfigInput, LogPlacement, Ramp } from './config.js';
export { findLogs, LogSourceError, type LogSource, type LogSources, type SkippedFile } from './sources.js';
export { normaliseFieldName, realTimeFields, standardFields } from './fields.js';
export { AddressDatabaseError, readAddressDatabase, type AddressRange } from './addresses.js';
export {
  features,
  type AccountRow,
  type Feature,
  type FeatureName,
  type FeatureRow,
  type SessionKind,
} from './features.js';
export { judge, judgeWindow, type Contribution, type Usual, type Verdict, type WindowVerdict } from './verdict.js';
export {
  decide,
  type Action,
  type ActionPlan,
  type DecisionFacts,
  type HeldAction,
  type PlannedAction,
} from './actions.js';
export { athenaQuery, type AthenaQuery, AthenaQueryError, type LogTable, type Stretch } from './athena.js';
export { workflowJudge, type WorkflowJudge } from './workflow.js';
export type { Audience, DetectionDatabase, ReadingReport, SessionPlace, TimelineCell } from './duckdb.js';
