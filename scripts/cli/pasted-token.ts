import { isIP } from 'node:net';

/** What a pasted text turns out to hold. */
export interface PastedToken {
  readonly token: string;
  readonly format: 'cat' | 'jwt';
  readonly tokenId?: string;
  readonly session?: string;
  readonly subject?: string;
  readonly issuer?: string;
  readonly kid?: string;
  /** Epoch seconds. */
  readonly issuedAt?: number;
  readonly expiresAt?: number;
}

/** Shortest text that is worth decoding: no token is shorter. */
const shortestToken = 40;

/**
 * Finds a token in what an operator pastes: the token itself, a URL or a log line that carries it in a path segment, a
 * path or query parameter, a cookie or a header. Undefined where there is none. The signature is not checked.
 */
export async function findToken(text: string): Promise<PastedToken | undefined> {
  const possible = candidates(text);
  if (possible.length === 0) return undefined;
  const { decode } = await import('@portcullis/tokens/decode');
  for (const candidate of possible) {
    try {
      const decoded = decode(candidate);
      return {
        token: candidate,
        format: decoded.format,
        ...defined('tokenId', decoded.tokenId),
        ...defined('session', decoded.session),
        ...defined('subject', decoded.subject),
        ...defined('issuer', decoded.issuer),
        ...defined('kid', decoded.kid),
        ...defined('issuedAt', decoded.issuedAt),
        ...defined('expiresAt', decoded.expiresAt),
      };
    } catch {
      // not a token: the next one may be
    }
  }
  return undefined;
}

function defined<Name extends string, Value>(name: Name, value: Value | undefined): { [Key in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { [Key in Name]?: Value };
}

function candidates(text: string): string[] {
  const pieces = text.split(/[\s/?&;=,"'<>#|]+/).map(percentDecoded);
  const tokens = pieces.filter((piece) => piece.length >= shortestToken && /^[\w-]+(\.[\w-]+\.[\w-]+)?$/.test(piece));
  // Where several look like tokens, the longest is tried first: a token is longer than an id.
  return [...new Set(tokens)].sort((a, b) => b.length - a.length);
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a text is an IP address or a CIDR block. */
export function isNetwork(text: string): boolean {
  return isIP(text.split('/')[0] ?? '') !== 0;
}
