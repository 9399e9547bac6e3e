// The stand-ins for CloudFront's runtime: njs 0.7.9 and 0.8.9 fetched from Debian packages, and Node's vm, each able to
// run one compiled function file against a table of events. In come file paths and plain data; nothing here knows tokens.
export { findEngine, findEngines, njsVersions, type NjsEngine, type NjsVersion } from './njs.js';
export { viewerRequestEvent, viewerResponseEvent } from './event.js';
export type { FunctionEvent, FunctionRequest, FunctionResponse, RequestParts, ResponseParts } from './event.js';
export {
  functionHosts,
  njsHost,
  nodeVmHost,
  runInNjs,
  runInNodeVm,
  type FunctionHost,
  type HostCase,
  type HostOptions,
  type HostResult,
  type StoreDouble,
  type StoreRead,
} from './host.js';
export { repositoryRoot } from './repository-root.js';
