// A Lambda that guards every request of a behaviour by itself. Comes in: Lambda@Edge events, and what the build bakes in.
export { createGuard, type GuardConfig, type GuardPorts } from './guard.js';
