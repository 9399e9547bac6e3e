// The door to Lambda@Edge: what a CloudFront Function cannot do. Comes in: Lambda@Edge events. Lives here: the validator of
// public-key, encrypted and key-bound tokens (validator.ts and beside it), the exchange of those for fast ones (exchange/),
// one-time tokens (replay/) and secret headers for origins (origin-secret/).
export * from './event.js';
export * from './validator.js';
export { ANSWER_BYTES, answerBytes, ownAnswer, preflightAnswer, refusalAnswer, type AnswerSettings } from './answer.js';
export type { CacheSettings, KeyBinding, KeyPorts, KeySource, RemoteKeys, SecretKeys, BakedKeys } from './keys.js';
export type { ProofAlgorithm, ProofProblem, ProofResult, ProofSettings, ReplayStore } from './proof.js';
