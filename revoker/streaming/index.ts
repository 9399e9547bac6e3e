// The streaming path's door: real-time log records in, verdicts out within a minute. It keeps sets of requests in DynamoDB
// and judges them as the detector judges logs at rest; what a verdict leads to is the caller's.
export { streamingConfigSchema, type StreamingConfig } from './config.js';
export {
  streamHandler,
  type KinesisWindowEvent,
  type SetAside,
  type StreamHandlerOptions,
  type StreamVerdict,
  type WindowAnswer,
  type WindowState,
} from './handler.js';
export { streamActs } from './act.js';
export { stream, type Conviction, type StreamOptions } from './stream.js';
export { dynamoAggregates, memoryAggregates, type AggregateStore, type ToldVerdict } from './store.js';
export { PoisonRecord } from './record.js';
export { follow, recordOfLine, type FollowOptions } from './follow.js';
export { openTail, type LogTail, type TailedLine } from './tail.js';
