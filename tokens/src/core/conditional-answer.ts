import { has, isList, isText } from './basics.js';
import { isBytes, toBase64 } from './bytes.js';
import { isMap, type CborMap, type CborValue } from './cbor.js';
import { keyIdText } from './cose.js';
import { queryWithoutToken } from './evaluate.js';
import { lookUp, parseKeyRecord, type GateHost, type GatePolicy, type Verdict } from './gate.js';
import { CATIF, claimKey } from './labels.js';
import { cborHead, cborItem, fromHex, mintToken, type Changes } from './mint.js';
import { headerText } from './request.js';
import type { ParsedToken } from './token.js';

/** What a token's `catif` says is to be answered. */
export interface ConditionalAnswer {
  readonly status: number;
  /** By header name as the token writes it. */
  readonly headers: Record<string, string>;
}

const listOf = (value: CborValue): CborValue[] => ([] as CborValue[]).concat(value);

/** What must not be in a header's name (RFC 9110 5.6.2). */
export const NO_NAME = /[^\w!#$%&'*+.^`|~-]/;
/** What must not be in a header's value. */
export const NO_VALUE = /[^ -~]/;

/**
 * What a genuine but unacceptable token wants answered (CTA-5007-B 4.9.1): the first entry of its `catif` that names
 * one of the claims that did not hold. Undefined when none does. Throws when a key for a nested token cannot be read.
 *
 * @param original The path with its token.
 */
export async function conditionalAnswer(
  attempt: Verdict,
  original: string,
  policy: GatePolicy,
): Promise<ConditionalAnswer | undefined> {
  const token = attempt.token as ParsedToken;
  const jwt = token.isJwt;
  const request = attempt.http;
  const host = attempt.host as GateHost;
  const rejected = attempt.rejections.map((rejection) => rejection.label);
  const entries = (token.claims[CATIF] || {}) as CborMap;
  // An entry for several claims has their keys joined by commas.
  const entry = entries[
    Object.keys(entries).find((keys) =>
      keys.split(',').some((key) => has(rejected, jwt ? claimKey(key) : +key)),
    ) as string
  ] as CborValue[] | undefined;
  if (!entry) return undefined;
  const headers: Record<string, string> = {};
  const named = (entry[1] || {}) as CborMap;
  const kid = entry[2] && (jwt ? (entry[2] as string) : keyIdText(entry[2] as Buffer));
  const json = kid && (await lookUp(host, 'k:' + kid));
  Object.keys(named).forEach((name) => {
    headers[jwt ? name : name.slice(1)] = listOf(named[name])
      .map((part) => {
        if (isText(part)) return part;
        if (isMap(part)) {
          if (!json) return '';
          const record = parseKeyRecord(json);
          const changes: Changes = {};
          // A null issuer and time of issue are filled in by whoever signs.
          if (part[jwt ? 'iss' : 1] === null) changes['iss'] = policy.issuer || (record.iss || [''])[0];
          if (part[jwt ? 'iat' : 6] === null) changes['iat'] = Math.floor(attempt.now);
          return mintToken(part, token, changes, kid as string, record, host);
        }
        if (part === 2) return toBase64(fromHex(cborHead(128, rejected.length) + rejected.map(cborItem).join('')));
        if (part !== 0 && part !== 1) return '';
        const query = part ? queryWithoutToken(request, policy) : request.rawQueryString();
        return toBase64(
          Buffer.from(
            'https://' + headerText(request, 'host') + (part ? request.uri : original) + (query && '?' + query),
          ),
        );
      })
      .join('');
  });
  return { status: entry[0] as number, headers: headers };
}

/**
 * Whether a `catif` is of the standard's form: claim key or keys → [status, ?{header: value or [parts]}, ?kid].
 * No line break gets into a header.
 */
export const isConditionalAnswer = (map: CborMap, jwt: boolean): boolean =>
  isMap(map) &&
  Object.keys(map).every((key) => {
    const entry = map[key] as CborValue[];
    const status = entry[0] as number;
    const named = (entry[1] || {}) as CborMap;
    return (
      isList(entry) &&
      // A whole number and nothing that can be read as one.
      (status | 0) === status &&
      status > 199 &&
      status < 600 &&
      isMap(named) &&
      Object.keys(named).every(
        (name) =>
          (jwt || name[0] === '$') &&
          name.search(NO_NAME) < 0 &&
          listOf(named[name]).filter(isText).join('').search(NO_VALUE) < 0,
      ) &&
      (!entry[2] || (jwt ? isText : isBytes)(entry[2]))
    );
  });
