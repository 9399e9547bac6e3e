// The deployment's door: a distribution brought to what a configuration asks for, in stages, and back. In come a
// configuration and AWS clients; the commands `deploy` and `init` come in here.
export { deploymentConfigSchema, type DeploymentConfig, type DeploymentConfigInput, type Stage } from './config.js';
export { applyDeployment, describeStep, type ApplyResult, type DeployAccess } from './apply.js';
export { endCanary, startCanary, type Canary } from './canary.js';
export { deployClients, type ClientOptions, type DeployClients } from './clients.js';
export type { DeployConfiguration, LoadDeployConfiguration } from './configuration.js';
export { deployerPolicy } from './deployer-policy.js';
export { DeployError, type DeployErrorCode } from './errors.js';
export { blockingFindings, type Finding, type SelectionProof } from './findings.js';
export { ledgerRecord } from './ledger-record.js';
export { observe, readConfig } from './observe.js';
export { makePlan, type Plan, type Step } from './plan.js';
export { combinedRecord, folderRecord, type DeploymentManifest, type DeploymentRecord } from './record.js';
export { renderPlan } from './render.js';
export { latestDeployment, rollBack, type RollbackResult } from './rollback.js';
export { smokeTest } from './smoke.js';
export { desiredState, type DesiredState } from './state.js';
export { deploymentStatus, expectationOf, type DeploymentStatus } from './status.js';
export { testContentPath, testSuite } from './test-cases.js';
export { neededHeaders } from './viewer-headers.js';
