import { parseKeyRecord, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import { CATR } from '@portcullis/tokens/core/labels';
import { renew, type Renewal } from '@portcullis/tokens/core/renewal';
import { policy } from 'portcullis:settings';
import { host } from './host.js';

/** The renewal that an admitted token asks for, signed with its own key or the configured one. */
export async function renewVerdict(verdict: Verdict, requestId: string): Promise<Renewal | undefined> {
  const token = verdict.token;
  // Only a token whose signature held: in mode `off` none was checked, and signing its claims would make it genuine.
  if (verdict.reason || !token || !verdict.genuine || !verdict.genuine[CATR]) return undefined;
  let kid = token.kid;
  let record = verdict.record as KeyRecord;
  if (policy.renewalKid !== undefined) {
    kid = policy.renewalKid;
    const json = await host.read('k:' + kid);
    record = parseKeyRecord(json as string);
  }
  // The request id is unique, so its hash is an id that no other token has.
  return renew(verdict, kid, record, host.digest('cti:' + requestId).subarray(0, 16), policy);
}
