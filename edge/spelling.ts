/** Last characters of a base64url text that hold no unused bits, by its length modulo 4 (RFC 4648 3.5). */
const LAST = ['', '', 'AQgw', 'AEIMQUYcgkosw048'];

/**
 * Whether a token, whose characters are looked at elsewhere, is spelled in the one way that its bytes have in base64url.
 * The last character of a part can hold bits that no decoder looks at; a token that differs in these alone would be the
 * same and not the same, to whoever compares. Padding at the end is allowed (CTA-5007-B 4.3.1.1), and escaped in a query.
 */
export function isSpelledRight(token: string): boolean {
  const text = token.replace(/(=|%3d){1,2}$/i, '');
  return text.includes('.') ? text.split('.').every(isCanonical) : isCanonical(text);
}

function isCanonical(text: string): boolean {
  const rest = text.length % 4;
  return rest === 0 || (rest > 1 && (LAST[rest] as string).includes(text[text.length - 1] as string));
}
