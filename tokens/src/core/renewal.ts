import { has, isNumber, isText } from './basics.js';
import { isMap, type CborMap, type CborValue } from './cbor.js';
import { NO_NAME, NO_VALUE } from './conditional-answer.js';
import type { GateHost, GatePolicy, KeyRecord, Verdict } from './gate.js';
import { CATR, CTI, EXP, IAT, ISS, SESSION_END } from './labels.js';
import { mintToken, type Changes } from './mint.js';
import type { FoundToken } from './placement.js';
import type { ParsedToken } from './token.js';

/** How a renewed token goes back. */
export interface Renewal {
  /** 1 cookie, 2 header, 3 redirect: the standard's numbers. */
  readonly by: number;
  readonly token: string;
  /** Name of the cookie or header. */
  readonly name: string;
  /** Parameters to be put behind the cookie or header value. */
  readonly parameters: string;
  readonly status: number;
}

/** A renewal's rules by the standard's numbers, whichever format they came in. */
const rulesOf = (map: CborMap, jwt: boolean): CborValue[] => {
  const rules = 'type expext deadline cookieName headerName cookieParams headerParams status'
    .split(' ')
    .map((name, i) => map[jwt ? name : i]);
  if (jwt) rules[0] = ['automatic', 'cookie', 'header', 'redirect'].indexOf(rules[0] as string);
  return rules;
};

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

/**
 * The renewed token of an admitted request, or undefined when it is not to be renewed (CTA-5007-B 4.9.2).
 *
 * The claims stay as they are but for: a new `exp`, never beyond the session's end; our `iss`, where the key is for it;
 * `iat`; and a new `cti` if there was one. The session handle is copied.
 *
 * @param verdict An admitting verdict with its token.
 * @param kid The key to sign with, and its record.
 * @param id 16 bytes that no other token has.
 */
export const renew = (
  verdict: Verdict,
  kid: string,
  record: KeyRecord,
  id: Buffer,
  policy: GatePolicy,
): Renewal | undefined => {
  const token = verdict.token as ParsedToken;
  const claims = token.claims;
  const found = verdict.found as FoundToken;
  const rules = rulesOf(claims[CATR] as CborMap, token.isJwt);
  const host = verdict.host as GateHost;
  const now = verdict.now;
  const expiry = claims[EXP] as number;
  const seconds = rules[1] as number;
  const renewed = Math.floor(Math.min(now + seconds, (claims[SESSION_END] as number) || Infinity));
  // Automatic: the way it came in.
  const by = (rules[0] as number) || (found.place === 'cookie' ? 1 : found.place === 'uri' ? 3 : 2);
  // Without a deadline every single request would be redirected.
  const deadline = (rules[2] === undefined && by > 2 ? seconds / 2 : rules[2]) as number | undefined;
  const name =
    '' +
    ((by < 3 && rules[by + 2]) ||
      (by < 2 ? policy.cookie || 'CAT' : found.place === 'header' ? found.name : 'cta-common-access-token'));
  const list = ([] as CborValue[]).concat(rules[by + 4] || []);
  const parameters = list.join('; ');
  if (
    rules.some((rule, i) => rule !== undefined && has(FOREIGN[rules[0] as number] as string, '' + i)) ||
    // A deadline needs an exp to be before.
    (deadline !== undefined && !(expiry - now <= deadline)) ||
    renewed <= now ||
    renewed <= expiry ||
    // What could end the header or begin another attribute is not for a token to choose.
    name.search(NO_NAME) >= 0 ||
    parameters.search(NO_VALUE) >= 0 ||
    // RFC 6265 4.1.1
    (by < 2 && has(list.join(''), ';'))
  )
    return undefined;
  const changes: Changes = { [EXP]: renewed, [IAT]: Math.floor(now) };
  // A key that is not for tokens of ours would refuse what it renewed.
  if (policy.issuer && (!record.iss || has(record.iss, policy.issuer))) changes[ISS] = policy.issuer;
  if (claims[CTI] !== undefined) changes[CTI] = id;
  const status = rules[7] as number;
  return {
    by: by,
    token: mintToken(claims, token, changes, kid, record, host),
    name: name,
    parameters: parameters,
    status: status > 299 && status < 400 ? status : 307,
  };
};
