/**
 * Whether a token is spelled in the one way that its bytes have in base64url. The last character of a part can hold bits
 * that no decoder looks at; a token that differs in these alone would be the same and not the same, to whoever compares.
 * Padding at the end is allowed (CTA-5007-B 4.3.1.1), and escaped in a query.
 */
export function isSpelledRight(token: string): boolean {
  const text = token.replace(/(=|%3d){1,2}$/i, '');
  if (!text.includes('.')) return isCanonical(text);
  return text.split('.').every(isCanonical);
}

/** Whether encoding gives back what was decoded. */
function isCanonical(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text;
}
