import { PlacementError } from './errors.js';
import { defaultTokenName, type Placement } from './placement.js';

/**
 * The Set-Cookie value that carries a token (RFC 6265bis). `Secure` and `HttpOnly` always; `SameSite=None` unless
 * configured, since player page and CDN are usually different sites; it ends with the token.
 *
 * @param scope Path prefix that the token admits: the cookie is not sent elsewhere.
 * @param lifetime Seconds; `undefined`: until the browser closes.
 * @throws PlacementError `invalid_placement` for attributes that could start another attribute.
 */
export function tokenCookie(
  token: string,
  placement: Extract<Placement, { kind: 'cookie' }>,
  scope: string,
  lifetime: number | undefined,
): string {
  const { name = defaultTokenName, domain, path = scope, sameSite = 'None', partitioned = false } = placement;
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
    throw new PlacementError('invalid_placement', `${JSON.stringify(name)} is not a cookie name (RFC 6265 4.1.1).`);
  if (!/^\/[\x21-\x3a\x3c-\x7e]*$/.test(path))
    throw new PlacementError('invalid_placement', `${JSON.stringify(path)} is not a cookie path.`);
  if (domain !== undefined && !/^\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(domain)) {
    throw new PlacementError('invalid_placement', `${JSON.stringify(domain)} is not a cookie domain.`);
  }
  // Browsers enforce these prefixes (RFC 6265bis 4.1.3); a cookie that breaks them is dropped without a word.
  if (name.startsWith('__Host-') && (domain !== undefined || path !== '/')) {
    throw new PlacementError('invalid_placement', 'A __Host- cookie has Path=/ and no Domain.');
  }
  const parts = [`${name}=${token}`, `Path=${path}`];
  if (domain !== undefined) parts.push(`Domain=${domain}`);
  if (lifetime !== undefined) parts.push(`Max-Age=${Math.max(0, Math.floor(lifetime))}`);
  parts.push('Secure', 'HttpOnly', `SameSite=${sameSite}`);
  if (partitioned) parts.push('Partitioned');
  return parts.join('; ');
}

/** The Set-Cookie value that removes a token's cookie; attributes must be those it was set with. */
export function clearTokenCookie(placement: Extract<Placement, { kind: 'cookie' }>, scope = '/'): string {
  return tokenCookie('', placement, scope, 0);
}
