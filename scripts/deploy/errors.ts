/** Why a deployment did not go on. `code` is stable; `details` names what was found, never a secret. */
export class DeployError extends Error {
  readonly code: DeployErrorCode;
  readonly details: readonly string[];
  /** What to do next, one sentence. */
  readonly hint: string | undefined;

  constructor(code: DeployErrorCode, message: string, options: { details?: readonly string[]; hint?: string } = {}) {
    super(message);
    this.name = 'DeployError';
    this.code = code;
    this.details = options.details ?? [];
    this.hint = options.hint;
  }
}

export type DeployErrorCode =
  /** Findings of severity `error` that nobody has accepted. */
  | 'plan_refused'
  /** The uploaded function did not answer the test events as it must; it was not published. */
  | 'function_test_failed'
  /** TestFunction's compute utilisation is over the configured ceiling. */
  | 'compute_ceiling'
  /** What CloudFront serves after publishing is not what was sent. */
  | 'readback_mismatch'
  /** A state that takes time was not reached. */
  | 'timed_out'
  /** Somebody else keeps changing the same resources. */
  | 'conflict'
  /** The live URL did not answer as it must. */
  | 'smoke_test_failed'
  /** Nothing recorded to go back to. */
  | 'nothing_to_roll_back'
  /** The code that was live before is in no archive. */
  | 'previous_code_missing'
  /** The distribution was changed by others where the rollback would write. */
  | 'drifted'
  | 'not_found';
