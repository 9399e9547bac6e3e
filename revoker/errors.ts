/** Codes of what can go wrong in the revoker; callers branch on these, never on messages. */
export type RevokerErrorCode =
  | 'invalid_request'
  | 'store_full'
  | 'store_access_denied'
  | 'store_not_found'
  | 'store_unavailable'
  | 'store_not_ready'
  | 'ledger_conflict'
  | 'ledger_unavailable'
  | 'key_exists'
  | 'key_not_found'
  | 'key_in_use'
  | 'secret_not_found'
  | 'target_failed'
  | 'schedule_invalid'
  | 'import_invalid';

/** A failure of the revoker, with what to do about it in `hint` where that is known. */
export class RevokerError extends Error {
  readonly code: RevokerErrorCode;
  readonly hint: string | undefined;
  /** The message without the account, session or address that it is about: what logs may hold. Default: the message. */
  readonly anonymous: string;

  constructor(
    code: RevokerErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown; anonymous?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RevokerError';
    this.code = code;
    this.hint = options.hint;
    this.anonymous = options.anonymous ?? message;
  }
}
