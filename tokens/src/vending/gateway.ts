import type { Authenticate } from './service.js';

/**
 * Callers that the gateway authenticated with IAM: backends, which speak for any subject.
 *
 * @param principals Role or user ARNs that may ask; a `*` at the end stands for any session of a role. An empty list admits nobody.
 * @example
 * ```ts
 * const authenticate = gatewayCaller(['arn:aws:sts::123456789012:assumed-role/cms/*']);
 * ```
 */
export function gatewayCaller(principals: readonly string[]): Authenticate {
  return (_request, { principal }) => {
    if (principal === undefined) return undefined;
    const known = principals.some((pattern) =>
      pattern.endsWith('*') ? principal.startsWith(pattern.slice(0, -1)) : principal === pattern,
    );
    return known ? { id: principal, trusted: true } : undefined;
  };
}
