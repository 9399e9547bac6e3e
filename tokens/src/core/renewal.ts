import { has, isList, isNumber, isText } from './basics.js';
import { toBase64 } from './bytes.js';
import { isMap, type CborMap, type CborValue } from './cbor.js';
import { NO_NAME, NO_VALUE } from './conditional-answer.js';
import type { GateHost, GatePolicy, KeyRecord, Verdict } from './gate.js';
import { CATR, CTI, EXP, SESSION_END } from './labels.js';
import { mintToken, type Changes } from './mint.js';
import { HEADER, URI, type FoundToken } from './placement.js';
import type { ParsedToken } from './token.js';

const TYPES = ['automatic', 'cookie', 'header', 'redirect'];

/** A renewal's rules by the standard's numbers, whichever format they came in. */
const rulesOf = (map: CborMap, jwt: boolean): CborValue[] =>
  'type expext deadline cookieName headerName cookieParams headerParams status'
    .split(' ')
    .map((name, i) => (jwt ? (i ? map[name] : TYPES.indexOf(map[name] as string)) : map[i]));

/** Whether a `catr` is of the standard's form (CTA-5007-B 4.9.2): type and seconds are there, every value of its type. */
export const isRenewal = (map: CborMap, jwt: boolean): boolean =>
  isMap(map) &&
  rulesOf(map, jwt).every(
    (rule, i) =>
      (i > 1 && rule === undefined) ||
      // 3 to 6 are names, and parameters, which may be a list.
      (i > 2 && i < 7
        ? isText(rule) || (i > 4 && isList(rule))
        : isNumber(rule) && rule >= 0 && (i > 0 || TYPES[rule])),
  );

/** A renewal that is due. */
export interface Renewal {
  /** 1 cookie, 2 header, 3 redirect: the standard's numbers. */
  readonly by: number;
  /** The new `exp`. */
  readonly until: number;
  readonly rules: readonly CborValue[];
}

/**
 * Whether an admitted request's token is to be renewed, and how (CTA-5007-B 4.9.2); undefined when it is not.
 * Only a token whose signature held: in mode `off` none was checked, and signing its claims would make it genuine.
 */
export const dueRenewal = (verdict: Verdict): Renewal | undefined => {
  const claims = verdict.genuine;
  if (verdict.reason || !claims || !claims[CATR]) return undefined;
  const rules = rulesOf(claims[CATR] as CborMap, (verdict.token as ParsedToken).isJwt);
  const type = rules[0] as number;
  const seconds = rules[1] as number;
  const expiry = claims[EXP] as number | undefined;
  const place = (verdict.found as FoundToken).place;
  // Automatic: the way it came in.
  const by = type || place & 3 || HEADER;
  // Never beyond the session's end.
  const until = Math.floor(Math.min(verdict.now + seconds, (claims[SESSION_END] as number) || Infinity));
  // Without a deadline every single request would be redirected.
  const deadline = (rules[2] === undefined && by > HEADER ? seconds / 2 : rules[2]) as number | undefined;
  return (
    // Parameters of another type (3 and 5 are for cookies, 4 and 6 for headers, 7 for redirects) forbid it.
    (type && rules.some((rule, i) => i > 2 && rule !== undefined && +('12123'[i - 3] as string) !== type)) ||
      // A deadline needs an exp to be before.
      (deadline !== undefined && !((expiry as number) - verdict.now <= deadline)) ||
      // An exp that is there has not come yet.
      until <= (expiry || verdict.now) ||
      // What CBOR's heads have room for here; the year 2106.
      until >= 2 ** 32 ||
      // Only what is in a URI can be changed there.
      (by > HEADER && place !== URI)
      ? undefined
      : { by: by, until: until, rules: rules }
  );
};

/**
 * The renewed token: the claims stay as they are but for `exp`, our `iss` where the key is for it, `iat`, and a new
 * `cti` if there was one. The session handle is copied.
 *
 * @param kid The key to sign with, and its record.
 * @param id 16 bytes that no other token has.
 */
export const renewToken = (
  verdict: Verdict,
  renewal: Renewal,
  kid: string,
  record: KeyRecord,
  id: Buffer,
  policy: GatePolicy,
): string => {
  const token = verdict.token as ParsedToken;
  const changes: Changes = { exp: renewal.until, iat: Math.floor(verdict.now) };
  // A key that is not for tokens of ours would refuse what it renewed.
  if (policy.issuer && (!record.iss || has(record.iss, policy.issuer))) changes['iss'] = policy.issuer;
  if (token.claims[CTI] !== undefined) changes['jti'] = token.isJwt ? toBase64(id) : id;
  return mintToken(undefined, token, changes, kid, record, verdict.host as GateHost);
};

/** Name and parameters of the cookie or header that a renewed token goes back in; undefined where they could do harm. */
export const renewalCarrier = (
  verdict: Verdict,
  renewal: Renewal,
  policy: GatePolicy,
): { readonly name: string; readonly parameters: string } | undefined => {
  const by = renewal.by;
  const name =
    '' +
    (renewal.rules[by + 2] ||
      (by < HEADER ? policy.cookie || 'CAT' : (verdict.found as FoundToken).name || 'cta-common-access-token'));
  const list = ([] as CborValue[]).concat(renewal.rules[by + 4] || []);
  const parameters = list.join('; ');
  // What could end the header or begin another attribute is not for a token to choose (RFC 6265 4.1.1).
  return name.search(NO_NAME) < 0 && parameters.search(NO_VALUE) < 0 && !(by < HEADER && has(list.join(''), ';'))
    ? { name: name, parameters: parameters }
    : undefined;
};
