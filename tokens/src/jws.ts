import { decodeBase64url } from './base64url.js';
import type { Reason } from './core/reasons.js';
import type { ParsedToken } from './core-bridge.js';
import { keyIdText, type VerificationKey } from './keys.js';
import { signatureCheck, SignatureError } from './signature.js';

/**
 * Checks a JSON Web Signature in compact form (RFC 7515 7.1) whatever its payload is, by the rules that hold for
 * tokens: the key decides the algorithm, nothing critical is let pass, and base64url has one spelling.
 *
 * @returns The payload.
 * @throws SignatureError with the reason as `code`.
 */
export async function verifyJws(text: string, keys: readonly VerificationKey[]): Promise<Uint8Array> {
  const parts = text.split('.');
  const [head, body, mac] = parts;
  if (parts.length !== 3 || head === undefined || body === undefined || mac === undefined || text.includes('='))
    throw refused('malformed_token');
  const [headBytes, payload, signature] = [decodeBase64url(head), decodeBase64url(body), decodeBase64url(mac)];
  if (!headBytes || !payload || !signature) throw refused('malformed_token');
  const header = parseHeader(headBytes);
  const { alg, kid, crit, b64 } = header;
  if (
    typeof alg !== 'string' ||
    crit !== undefined ||
    b64 !== undefined ||
    (kid !== undefined && typeof kid !== 'string')
  )
    throw refused('malformed_token');
  const named = keys.filter((key) => kid === undefined || key.kid === undefined || keyIdText(key.kid) === kid);
  if (named.length === 0) throw refused('unknown_key');
  const fitting = named.filter((key) => key.alg === alg);
  if (fitting.length === 0) throw refused('unsupported_algorithm');
  const token: ParsedToken = {
    jwt: true,
    algorithm: alg,
    kid: kid ?? '',
    claims: {},
    signed: [`${head}.${body}`],
    signature,
  };
  for (const key of fitting) {
    const check = await signatureCheck(key);
    if (await check(token)) return payload;
  }
  throw refused('bad_signature');
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw refused('malformed_token');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw refused('malformed_token');
  return header as Record<string, unknown>;
}

function refused(reason: Reason): SignatureError {
  return new SignatureError(reason, `The signature does not hold: ${reason}.`);
}
