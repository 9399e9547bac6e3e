// The infrastructure's door: the parts of an environment as AWS CDK constructs, for `infra/app.ts` and for a CDK app of
// your own. It may use the revoker's workflows and Lambdas; nothing but a CDK app comes in here.
export { PortcullisDistributionGuard, type PortcullisDistributionGuardProps } from './constructs/guard.js';
export {
  PortcullisEdgeLambda,
  PortcullisOneTimeTable,
  type PortcullisEdgeLambdaProps,
  type PortcullisOneTimeTableProps,
} from './constructs/edge-lambda.js';
export { PortcullisLedger, type LedgerProps } from './constructs/ledger.js';
export { PortcullisMonitoring, type MonitoringProps } from './constructs/monitoring.js';
export { PortcullisNotices, type NoticesProps } from './constructs/notices.js';
export { PortcullisStreaming, type StreamingProps } from './constructs/streaming.js';
export { PortcullisVending, type VendingProps } from './constructs/vending.js';
export { PortcullisWorkflows, type WorkflowsProps } from './constructs/workflows.js';
export { PortcullisStack, portcullisRegion, type PortcullisStackProps } from './stack.js';
