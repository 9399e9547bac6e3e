import type { GatePolicy } from '@portcullis/tokens/core/gate';
import type { FunctionSettings } from './settings.js';
/** Everything that the build compiles into the functions. */
export interface FunctionBuild {
  readonly policy: GatePolicy;
  readonly settings: FunctionSettings;
  /** Files whose default export is the user's own edge-safe code. */
  readonly hooks?: { readonly before?: string; readonly after?: string } | undefined;
}
