import { lookUp, parseKeyRecord, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import { renewToken, type Renewal } from '@portcullis/tokens/core/renewal';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { policy } from 'portcullis:settings';
import { host } from './host.js';

/** The renewed token of an admitted one, signed with its own key or the configured one. */
export async function renewVerdict(verdict: Verdict, renewal: Renewal, requestId: string): Promise<string> {
  let kid = (verdict.token as ParsedToken).kid;
  let record = verdict.record as KeyRecord;
  if (policy.renewalKid !== undefined) {
    kid = policy.renewalKid;
    const json = await lookUp(host, 'k:' + kid);
    record = parseKeyRecord(json as string);
  }
  // The request id is unique, so its hash is an id that no other token has.
  return renewToken(verdict, renewal, kid, record, host.digest('cti:' + requestId).subarray(0, 16), policy);
}
