import { RevokerError } from '../errors.js';
import { canonicalRef, networksAround, subjectContentId, type EntryRef, type Scope } from '../scopes.js';
import { isActive } from './entry.js';
import type { Ledger } from './ledger.js';

/** Whom a token is to be minted for. Absent fields are not checked. */
export interface MintingRequest {
  readonly subject?: string;
  /** Session handle, base64url; for a renewal. */
  readonly session?: string;
  readonly content?: string;
  /** The viewer's address, or the network it is in. */
  readonly network?: string;
  readonly asn?: number;
  readonly device?: string;
  /** The new token's `iat`, epoch seconds. Default now. */
  readonly issuedAt?: number;
}

export type Refusal =
  | { readonly refused: false }
  | { readonly refused: true; readonly reason: 'revoked'; readonly scope: Scope; readonly id: string };

/** What the vending service asks before it mints. */
export interface RefusalCheck {
  /**
   * Whether anything that the token would be for is revoked: one strongly consistent batch read. Throws when
   * the ledger does not answer: the caller must refuse then.
   */
  isRefused(request: MintingRequest): Promise<Refusal>;
}

/**
 * @example
 * const { isRefused } = createRefusalCheck(ledger);
 * const refusal = await isRefused({ subject: 'alice', network: '203.0.113.9' });
 * if (refusal.refused) return answer(403, refusal.reason);
 */
export function createRefusalCheck(ledger: Ledger, options: { readonly now?: () => number } = {}): RefusalCheck {
  return {
    async isRefused(request) {
      const now = Math.floor((options.now ?? Date.now)() / 1000);
      const issuedAt = request.issuedAt ?? now;
      for (const entry of await ledger.getMany(refsOf(request))) {
        if (!isActive(entry, now)) continue;
        // A cut-off in the past spares the tokens that are issued after it.
        if (entry.cutoff !== undefined && issuedAt > entry.cutoff) continue;
        return { refused: true, reason: 'revoked', scope: entry.scope, id: entry.id };
      }
      return { refused: false };
    },
  };
}

function refsOf(request: MintingRequest): EntryRef[] {
  const refs: EntryRef[] = [];
  const { subject, session, content, network, asn, device } = request;
  if (subject !== undefined) refs.push({ scope: 'subject', id: subject });
  if (session !== undefined) refs.push({ scope: 'session', id: session });
  if (content !== undefined) refs.push({ scope: 'content', id: content });
  if (subject !== undefined && content !== undefined) {
    refs.push({ scope: 'subject-content', id: subjectContentId(subject, content) });
  }
  if (network !== undefined) refs.push(...networksAround(network).map((id): EntryRef => ({ scope: 'network', id })));
  if (asn !== undefined) refs.push(canonicalRef({ scope: 'asn', id: String(asn) }));
  if (device !== undefined) refs.push({ scope: 'device', id: device });
  if (refs.length === 0)
    throw new RevokerError('invalid_request', 'Nothing to check: name a subject, session, network or device.');
  return refs;
}
