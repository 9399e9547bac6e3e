/**
 * The functions of the workflows: each takes JSON and answers JSON, with everything it touches passed in. `handlers/`
 * connects them to their environment; `build.ts` bundles those. Nothing but the workflows calls them, save
 * `AnswerApproval`, which people's tools call.
 */
export { buildFunctions, fileNameOf, type BuiltFunction } from './build.js';
export type { AnswerApprovalEvent } from './approval.js';
export type { PlanRunEvent } from './plan-run.js';
