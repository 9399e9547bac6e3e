/** The codes of every error this folder throws; callers branch on them, never on messages. */
export type WafRulesErrorCode =
  | 'invalid_address'
  | 'invalid_configuration'
  | 'invalid_rule_set'
  | 'invalid_regex'
  | 'capacity_exceeded'
  | 'unsupported_statement'
  | 'unresolved_reference'
  | 'invalid_request'
  | 'unreadable_log'
  | 'plan_stale'
  | 'lock_conflict'
  | 'entity_unavailable'
  | 'limit_exceeded'
  | 'apply_failed'
  | 'nothing_to_roll_back'
  | 'record_conflict'
  | 'set_limit'
  | 'foreign_resource';

/** What this folder throws: a stable `code`, a message for the person reading, and `details` for programs. */
export class WafRulesError extends Error {
  readonly code: WafRulesErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: WafRulesErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'WafRulesError';
    this.code = code;
    this.details = details;
  }
}
