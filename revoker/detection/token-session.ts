import { createHash } from 'node:crypto';
import { longestName, readSession, type SessionKind } from './features.js';
import { lastClaims, signatureEnds } from './requests.js';

/** Whose a token is, read without checking its signature: the same reading as `tokenFacts` gives in SQL. */
export interface TokenSession {
  readonly session: string;
  readonly sessionKind: SessionKind;
  readonly subject: string | undefined;
}

const signature = signatureEnds.map(([header, digits]) => `${header}[0-9A-F]{${digits}}`).join('|');
const catHandle = new RegExp(`${lastClaims}(?:${signature})$`);
const catId = /0[456]1A[0-9A-F]{8}07(?:4([4-9A-F])([0-9A-F]+)|50([0-9A-F]{32}))/;

/** Reads the session of a token found in a log. Never throws: a text that is no token goes by its hash. */
export function sessionOfToken(token: string): TokenSession {
  return token.includes('.') ? sessionOfJwt(token) : sessionOfCat(token);
}

function byHash(token: string): string {
  return `h:${createHash('sha256').update(token).digest('hex')}`;
}

function sessionOfJwt(token: string): TokenSession {
  let claims: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    if (typeof parsed === 'object' && parsed !== null) claims = parsed as Record<string, unknown>;
  } catch {
    claims = {};
  }
  const text = (name: string): string | undefined => {
    const value = claims[name];
    return typeof value === 'string' && value !== '' && [...value].length <= longestName ? value : undefined;
  };
  const [sid, jti] = [text('sid'), text('jti')];
  const found = sid !== undefined ? `n:${sid}` : jti !== undefined ? `i:${jti}` : byHash(token);
  return { ...readSession(found), subject: text('sub') };
}

function sessionOfCat(token: string): TokenSession {
  const hex = Buffer.from(token, 'base64url').toString('hex').toUpperCase();
  const handle = catHandle.exec(hex)?.[1];
  const id = catId.exec(hex);
  const tokenId = id?.[3] ?? id?.[2]?.slice(0, 2 * parseInt(id[1] ?? '0', 16));
  const found = handle !== undefined ? `s:${handle}` : tokenId !== undefined ? `t:${tokenId}` : byHash(token);
  return { ...readSession(found), subject: undefined };
}
