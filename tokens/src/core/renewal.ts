import { has, isNumber, isText, toBase64 } from './basics.js';
import { isMap, type CborMap, type CborValue } from './cbor.js';
import { NO_NAME, NO_VALUE } from './conditional-answer.js';
import type { GateHost, GatePolicy, KeyRecord, Verdict } from './gate.js';
import { CATR, CTI, EXP, SESSION_END } from './labels.js';
import { mintToken, type Changes } from './mint.js';
import { HEADER, URI, type FoundToken } from './placement.js';
import type { ParsedToken } from './token.js';

const RULES = ['type', 'expext', 'deadline', 'cookieName', 'headerName', 'cookieParams', 'headerParams', 'status'];
const TYPES = ['automatic', 'cookie', 'header', 'redirect'];

/** A renewal's rules by the standard's numbers, whichever format they came in. */
const rulesOf = (map: CborMap, jwt: boolean): CborValue[] =>
  RULES.map((name, i) => (jwt ? (i ? map[name] : TYPES.indexOf(map[name] as string)) : map[i]));

/** Whether a `catr` is of the standard's form (CTA-5007-B 4.9.2): type and seconds are there, every value of its type. */
export const isRenewal = (map: CborMap, jwt: boolean): boolean =>
  isMap(map) &&
  rulesOf(map, jwt).every((rule, i) =>
    i
      ? (i > 1 && rule === undefined) ||
        (i > 2 && i < 5
          ? isText(rule)
          : i > 4 && i < 7
            ? typeof rule === 'object' || isText(rule)
            : isNumber(rule) && rule >= +(i < 2))
      : has([0, 1, 2, 3], rule),
  );

/** Which parameters do not belong to a type: 3 and 5 are for cookies, 4 and 6 for headers, 7 for redirects. */
const FOREIGN = ['', '467', '357', '3456'];

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
  const expiry = claims[EXP] as number;
  const seconds = rules[1] as number;
  // Never beyond the session's end.
  const until = Math.floor(Math.min(verdict.now + seconds, (claims[SESSION_END] as number) || Infinity));
  // Automatic: the way it came in.
  const by = (rules[0] as number) || (verdict.found as FoundToken).place & 3 || HEADER;
  // Without a deadline every single request would be redirected.
  const deadline = (rules[2] === undefined && by > HEADER ? seconds / 2 : rules[2]) as number | undefined;
  return rules.some((rule, i) => rule !== undefined && has(FOREIGN[rules[0] as number] as string, '' + i)) ||
    // A deadline needs an exp to be before.
    (deadline !== undefined && !(expiry - verdict.now <= deadline)) ||
    until <= verdict.now ||
    until <= expiry ||
    // What CBOR's heads have room for here; the year 2106.
    until > 4294967295 ||
    // Only what is in a URI can be changed there.
    (by > HEADER && (verdict.found as FoundToken).place !== URI)
    ? undefined
    : { by: by, until: until, rules: rules };
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
  return mintToken(
    token.isJwt ? (token.payload as CborMap) : token.claims,
    token,
    changes,
    kid,
    record,
    verdict.host as GateHost,
  );
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
