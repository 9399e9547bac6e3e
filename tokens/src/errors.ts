/** What every error of this package is: branch on `code`, never on the message. */
export class TokensError extends Error {
  /** Stable, machine-readable: `invalid_policy`, `invalid_key`, … */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A policy, claim or option that cannot become a sound token. */
export class PolicyError extends TokensError {
  /** Where in the policy: `networks[1]`. */
  readonly path: string;
  /** What would have been right, for a person. */
  readonly expected: string;

  constructor(path: string, expected: string, actual?: unknown) {
    const shown = actual === undefined ? '' : `, got ${describe(actual)}`;
    super('invalid_policy', `${path}: expected ${expected}${shown}`);
    this.path = path;
    this.expected = expected;
  }
}

/** A key that is too short, of the wrong kind for its algorithm, or missing. The message never holds the key. */
export class KeyError extends TokensError {
  constructor(
    code: 'invalid_key' | 'weak_key' | 'unknown_key' | 'stale_key' | 'key_unavailable',
    message: string,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
  }
}

/** A URL that cannot carry a token, or that the policy would not admit. */
export class PlacementError extends TokensError {
  constructor(code: 'invalid_url' | 'url_outside_policy' | 'invalid_placement', message: string) {
    super(code, message);
  }
}

/** A value that deterministic CBOR (RFC 8949 4.2) cannot hold. */
export class CborEncodeError extends TokensError {
  constructor(message: string) {
    super('unencodable_value', message);
  }
}

/** Short, bounded, and free of control characters: it may end in a log. */
function describe(value: unknown): string {
  let text: string;
  try {
    text =
      typeof value === 'string'
        ? JSON.stringify(value)
        : typeof value === 'bigint'
          ? `${value}n`
          : (JSON.stringify(value) ?? String(value));
  } catch {
    text = typeof value;
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
