import type { Reason } from '@portcullis/tokens/core/reasons';

/** Last characters of a base64url text that hold no unused bits, by its length modulo 4 (RFC 4648 3.5). */
const LAST = ['', '', 'AQgw', 'AEIMQUYcgkosw048'];

/**
 * Why a token, whose characters are looked at elsewhere, is not spelled in the one way that its bytes have in base64url;
 * undefined where it is. The last character of a part can hold bits that no decoder looks at: a token that differs in
 * these alone would be the same and not the same, to whoever compares. Padding at the end is allowed (CTA-5007-B 4.3.1.1),
 * and escaped in a query.
 */
export function misspelling(token: string): Extract<Reason, 'malformed_token' | 'bad_signature'> | undefined {
  const last = token[token.length - 1];
  const bare = last === '=' || last === 'd' || last === 'D' ? token.replace(/(=|%3d){1,2}$/i, '') : token;
  if (!bare.includes('.')) return isCanonical(bare) ? undefined : 'malformed_token';
  const parts = bare.split('.');
  const wrong = parts.findIndex((part) => !isCanonical(part));
  if (wrong < 0) return undefined;
  return parts.length === 3 && wrong === 2 ? 'bad_signature' : 'malformed_token';
}

function isCanonical(text: string): boolean {
  const rest = text.length % 4;
  return rest === 0 || (rest > 1 && (LAST[rest] as string).includes(text[text.length - 1] as string));
}
