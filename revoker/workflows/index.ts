/**
 * The Step Functions workflows, as typed definitions. The committed `*.asl.json` are these definitions
 * written out (`npx vitest run --project unit revoker/workflows -u`): what is deployed and what the tests execute. Substitutions: `${<Function>Arn}` per function, `${WorkGroup}`, `${Database}`.
 */
import type { Machine } from './asl.js';
import { detect } from './detect.js';
import { expire } from './expire.js';
import { reconcile } from './reconcile.js';
import { rotateKey } from './rotate-key.js';

export const workflows = { detect, expire, reconcile, 'rotate-key': rotateKey } as const satisfies Record<
  string,
  Machine
>;
export type WorkflowName = keyof typeof workflows;

export { functionNames, longestApproval, type FunctionName } from './states.js';
export type { Machine } from './asl.js';
