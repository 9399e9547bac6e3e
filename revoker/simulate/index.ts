/**
 * A made-up event whose truth is known: viewers, abusers and honest look-alikes, as CloudFront would log them. Nothing
 * here knows how detection works, and nothing of detection may be imported here.
 */
export { simulate, defaultSimulation, type Simulation, type SimulationOptions } from './event.js';
export { abuserKinds, lookAlikeKinds, type AbuserKind, type LookAlikeKind } from './kinds.js';
export { fieldNames, formatter, preamble, type LogFormat } from './formats.js';
export { writeSimulation, type WriteOptions, type Written } from './write.js';
export type { TokenPlacement } from './edge.js';
export type { LogRow } from './rows.js';
export type { SessionKind, SessionLabel } from './session.js';
