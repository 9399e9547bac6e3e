import { has, isBytes, isList, isNumber, isText, must } from './basics.js';
import { isMap, keysOf, type CborMap, type CborTagged, type CborValue } from './cbor.js';
import { isConditionalAnswer } from './conditional-answer.js';
import { COUNTRY, isAssigned } from './country.js';
import { inCircle, isAltitude } from './distance.js';
import { geohash } from './geohash.js';
import * as claim from './labels.js';
import { claimKey } from './labels.js';
import { bytesText, matchesAll } from './match.js';
import { addressBits, binary } from './network.js';
import type { Placements } from './placement.js';
import type { Reason } from './reasons.js';
import { isRenewal } from './renewal.js';
import { headerText, type EventRequest } from './request.js';
import { normaliseEscapes } from './uri.js';

/** What of the evaluation the deployment decides. */
export interface EvaluationPolicy {
  /** Who we are: a token whose `aud` names none of these is refused. Undefined: any. */
  readonly audiences?: readonly string[] | undefined;
  /** Claim keys that every token must carry. */
  readonly requiredClaims?: readonly number[] | undefined;
  /** Admits exact addresses and prefixes longer than /24 and /56 in the clear, against CTA-5007-B 4.6.9's privacy rule. */
  readonly exactNetworks?: boolean | undefined;
  /** Claim keys whose viewer header may be missing (place, network): they then hold. */
  readonly allowUnknown?: readonly number[] | undefined;
  /** Ignores claims that the standard knows and the build leaves out, instead of refusing them. */
  readonly ignoreUncompiled?: boolean | undefined;
  /** `catreplay` 1, which the edge cannot decide alone, refuses; otherwise it marks the log line. */
  readonly refuseReplay?: boolean | undefined;
}

/** What the host does for the evaluation. */
export interface EvaluationHost {
  /** SHA-256 of a text. */
  readonly digest: (text: string) => Buffer;
  /** A random number, 0 ≤ n < 1. */
  readonly random?: () => number;
}

/** What a request shows; the host's part of the evaluation. */
export interface RequestFacts {
  readonly http: EventRequest;
  /** The normalised path without its token. */
  cleanPath: string;
  /** Seconds since 1970, with fraction. */
  readonly now: number;
  /** The viewer's address. */
  readonly address: string;
  readonly host: EvaluationHost;
  /** The public key of the viewer's client certificate as SPKI in base64url, where it is known. */
  tlsKey?: string | undefined;
  /** Thumbprint (RFC 7638, base64url) of the key whose proof of possession was checked (RFC 9449). */
  proofKey?: string | undefined;
  /** True when the token came encrypted, which the standard demands for exact places. */
  encrypted?: boolean | undefined;
  /** True when the signature is yet to be checked by Lambda@Edge, and with it the claims that only it can decide. */
  deferred?: boolean | undefined;
  /** Claim keys admitted because their header was missing; filled by the evaluation, for the log. */
  readonly unknown: number[];
}

/** A claim that refuses a request, and why. */
export interface Rejection {
  readonly label: number;
  readonly reason: Reason;
}

/** Whether the build decides on every claim. */
const EVERY_CLAIM =
  FEATURES.catu &&
  FEATURES.catm &&
  FEATURES.catnip &&
  FEATURES.catgeoiso3166 &&
  FEATURES.geohash &&
  FEATURES.cath &&
  FEATURES.catalpn &&
  FEATURES.cattpk &&
  FEATURES.catreplay &&
  FEATURES.catpor &&
  FEATURES.catif &&
  FEATURES.catr &&
  FEATURES.rare;

// One evaluation at a time: it is synchronous from end to end.
let facts: RequestFacts;
let policy: EvaluationPolicy & Placements;
let jwt: boolean;
let label: number;

const header = (line: string): string | undefined => headerText(facts.http, line);

/** What CloudFront says of the viewer; where it says nothing, policy may take that for good (`facts.unknown`). */
const viewer = (line: string): string | undefined => {
  const value = header('cloudfront-viewer-' + line);
  if (FEATURES.onUnknown && value === undefined && policy.allowUnknown && has(policy.allowUnknown, label))
    facts.unknown.push(label);
  return value;
};

const text = (value: CborValue): string => {
  must(isText(value));
  return value as string;
};

/** A number of seconds or the like. */
const number = (value: CborValue): number => {
  must(isNumber(value));
  return value as number;
};

/** Whether no entry of a list, which has one, passes a test; each is looked at, so that a malformed one is found. */
const none = (values: CborValue, test: (value: CborValue) => unknown): boolean => {
  must(isList(values) && values.length);
  return !(values as CborValue[]).filter(test).length;
};

/** A list of texts, which has one. */
const texts = (value: CborValue): string[] => {
  must(isList(value) && value.length && value.every(isText));
  return value as string[];
};

/** Whether a match of some entry of a map does not hold. */
const anyFails = (map: CborValue, subject: (key: string) => string | undefined): boolean =>
  keysOf(map).filter((key) => {
    const value = subject(key);
    // The match is read even where there is nothing to hold it against.
    return (
      !matchesAll((map as CborMap)[key], value || '', facts.host.digest, jwt) || (FEATURES.cath && value === undefined)
    );
  })[0] as unknown as boolean;

/** The query as sent, without the token's parameter. */
export const queryWithoutToken = (request: EventRequest, policy: Placements): string =>
  request
    .rawQueryString()
    .split('&')
    .filter((part) => !FEATURES.query || part.split('=')[0] !== policy.query)
    .join('&');

const COMPONENTS = ['scheme', 'host', 'port', 'path', 'query', 'parent', 'filename', 'stem', 'extension'];

/** One component of the request's URI (CTA-5007-B 4.6.10), by its number or name. */
const component = (key: string): string => {
  const index = jwt ? COMPONENTS.indexOf(key) : +key;
  const path = facts.cleanPath;
  if (index === 3) return path;
  const scheme = header('cloudfront-forwarded-proto') || 'https';
  const authority = (header('host') + ':').toLowerCase().split(':') as [string, string];
  const part = [
    scheme,
    authority[0],
    // Without the default port, which is left out of a normal URI.
    (scheme[4] ? '443' : '80') === authority[1] ? '' : authority[1],
    '',
    index === 4 && normaliseEscapes(queryWithoutToken(facts.http, policy)),
  ].concat((/(.*)\/((.*?)((?:\.[^.]*)?))$/.exec(path) as string[]).slice(1))[index];
  must(isText(part));
  return part as string;
};

/** Whether the viewer is in a network of a `catnip` (4.6.9, RFC 9164). */
const inNetwork = (entry: CborValue): boolean => {
  if (isNumber(entry)) {
    must(entry >= 0 && entry % 1 === 0);
    return viewer('asn') === '' + entry;
  }
  // An address, and the length of its prefix if it is one.
  const parts = (jwt ? text(entry).split('/') : ([] as CborValue[]).concat((entry as CborTagged).tagged).reverse()) as [
    Buffer & string,
    number?,
  ];
  const isPrefix = parts.length > 1;
  must(jwt || (isBytes(parts[0]) && (!isPrefix || isNumber(parts[1]))));
  let bits = jwt ? addressBits(parts[0]) : (parts[0] as Buffer).reduce((digits, byte) => digits + binary(byte, 8), '');
  const size = jwt ? bits.length : (entry as CborTagged).tag > 52 ? 128 : 32;
  const length = isPrefix ? +(parts[1] as number) : size;
  // Zero bytes at the end of a prefix may be left out (RFC 9164 3.1).
  if (isPrefix) bits = bits.padEnd(size, '0');
  must(
    bits.length === size &&
      length % 1 === 0 &&
      length >= 0 &&
      // In the clear a network must not point at one household.
      length <= ((FEATURES.encrypted && facts.encrypted) || policy.exactNetworks ? size : size > 32 ? 56 : 24) &&
      // Bits beyond the prefix are zero.
      !has(bits.slice(length), '1'),
  );
  const address = addressBits(facts.address);
  return address.length === size && address.startsWith(bits.slice(0, length));
};

/** The id that a `catpor` rejects by: a byte string, or the value of the claim it names (CTA-5007-B 4.6.7). */
export const rejectionValue = (id: CborValue, claims: CborMap, isJwt: boolean): CborValue => {
  const key = isJwt ? claimKey(id as string) : id;
  return isNumber(key) ? claims[key] : id;
};

/** Why a claim does not hold, or something falsy. Throws when the claim itself is of the wrong form. */
const check = (value: CborValue, claims: CborMap): Reason | false | undefined | void => {
  const now = facts.now;
  switch (label) {
    case claim.EXP:
      // No leeway (4.6.3, 4.6.4): expired at the very second, valid from the very second on.
      return now >= number(value) && 'expired';
    case claim.NBF:
      return now < number(value) && 'not_yet_valid';
    case claim.SESSION_END:
      return now >= number(value) && 'session_ended';
    case claim.IAT:
      number(value);
      return;
    case claim.ISS:
    case claim.SUB:
      text(value);
      return;
    case claim.CTI:
    case claim.SESSION:
      must((jwt ? isText : isBytes)(value));
      return;
    case claim.CATV:
      return number(value) !== 1 && 'version_mismatch';
    case claim.AUD: {
      // One text alone, too.
      const audiences = texts(([] as CborValue[]).concat(value));
      return (
        policy.audiences &&
        !audiences.some((audience) => has(policy.audiences as string[], audience)) &&
        'audience_mismatch'
      );
    }
    case claim.CATU:
      if (FEATURES.catu) return anyFails(value, component) && 'uri_mismatch';
      break;
    case claim.CATM:
      if (FEATURES.catm) return !has(texts(value), facts.http.method) && 'method_mismatch';
      break;
    case claim.CATNIP:
      if (FEATURES.catnip) return none(value, inNetwork) && 'network_mismatch';
      break;
    case claim.CATGEOISO3166:
      if (FEATURES.catgeoiso3166) {
        const country = viewer('country');
        return (
          none(value, (entry) => {
            const code = text(entry);
            // What CloudFront says is a code.
            if (code === country) return true;
            must((!FEATURES.countryCodes || isAssigned(code)) && COUNTRY.test(code));
            const upper = code.toUpperCase();
            return (
              upper === country ||
              upper ===
                country +
                  '-' +
                  (FEATURES.onUnknown ? header('cloudfront-viewer-country-region') : viewer('country-region'))
            );
          }) && 'country_mismatch'
        );
      }
      break;
    case claim.GEOHASH:
      if (FEATURES.geohash) {
        const latitude = viewer('latitude');
        const longitude = viewer('longitude');
        return (
          // One text alone, too: the claim is older than the standard's own.
          none(([] as CborValue[]).concat(value), (entry) => {
            const cell = text(entry).toLowerCase();
            // Longer ones point at a house: only encrypted (4.6.16).
            must(
              cell &&
                cell.search(/[^\db-hjkmnp-z]/) < 0 &&
                (cell.length < 5 || (FEATURES.encrypted && facts.encrypted)),
            );
            return latitude && longitude && geohash(+latitude, +longitude, cell.length) === cell;
          }) && 'geo_mismatch'
        );
      }
      break;
    case claim.CATH:
      if (FEATURES.cath)
        return (
          anyFails(value, (key) => {
            // A CAT's texts have a `$` before them; a header's name is one.
            must(jwt || key[0] === '$');
            const name = key.slice(jwt ? 0 : 1).toLowerCase();
            // Objects have a `constructor` that no viewer sent.
            return has(Object.keys(facts.http.headers), name) ? header(name) : undefined;
          }) && 'header_mismatch'
        );
      break;
    case claim.CATALPN:
      if (FEATURES.catalpn) {
        const version = viewer('http-version') as string;
        // `http/1.1`, `h2`: RFC 7301 6.
        const protocol = viewer('tls') && version && (version < '2' ? 'http/' + version : 'h' + version[0]);
        return none(value, (one) => (bytesText(one, jwt), '' + (one as Buffer)) === protocol) && 'alpn_mismatch';
      }
      break;
    case claim.CATTPK:
      if (FEATURES.cattpk) return bytesText(value, jwt) !== facts.tlsKey && 'tls_key_mismatch';
      break;
    case claim.CATREPLAY:
      if (FEATURES.catreplay) {
        must(has([0, 1, 2], value));
        return policy.refuseReplay && value === 1 && 'replay_refused';
      }
      break;
    case claim.CATPOR:
      if (FEATURES.catpor) {
        const parts = value as CborValue[];
        const chance = number(parts[0]);
        must(
          isList(value) &&
            chance >= 0 &&
            chance <= 1 &&
            parts.length < 4 &&
            (parts[2] === undefined || isNumber(parts[2])),
        );
        bytesText(rejectionValue(parts[1], claims, jwt), jwt);
        return (facts.host.random as () => number)() < chance && 'probabilistic_refusal';
      }
      break;
    case claim.CATIF:
      if (FEATURES.catif) {
        must(isConditionalAnswer(value as CborMap, jwt));
        return;
      }
      break;
    case claim.CATR:
      if (FEATURES.catr) {
        must(isRenewal(value as CborMap, jwt));
        return;
      }
      break;
    case claim.CATIFDATA:
      if (FEATURES.rare) {
        must(isText(value) || isList(value));
        return;
      }
      break;
    case claim.CATDPOP:
      if (FEATURES.rare) {
        must(isMap(value));
        const critical = (value as CborMap)[jwt ? 'crit' : -1] as CborValue[] | undefined;
        // A setting that must be understood and is not (4.8.2.1).
        return critical !== undefined && !critical.every((setting) => has([0, 1], setting)) && 'proof_required';
      }
      break;
    case claim.CNF:
      if (FEATURES.rare) {
        must(isMap(value));
        return (
          (!FEATURES.proof ||
            facts.proofKey === undefined ||
            bytesText((value as CborMap)[jwt ? 'jkt' : 323], jwt) !== facts.proofKey) &&
          'proof_required'
        );
      }
      break;
    case claim.CATGEOCOORD:
    case claim.CATGEOALT:
      if (FEATURES.rare) {
        // Must be encrypted: in the clear they make the token invalid (4.6.15, 4.6.17).
        must(FEATURES.encrypted && facts.encrypted);
        if (FEATURES.encrypted) {
          const latitude = viewer('latitude');
          const longitude = viewer('longitude');
          // Nothing at a CDN tells a viewer's altitude: no `catgeoalt` holds.
          return (
            (label === claim.CATGEOALT
              ? isAltitude(value)
              : none(value, (circle) => inCircle(circle, latitude, longitude))) && 'geo_mismatch'
          );
        }
        return 'geo_mismatch';
      }
      break;
  }
  // Claims that nobody knows are ignored (4.6); those that the standard knows and this build leaves out are not.
  if (
    !EVERY_CLAIM &&
    !policy.ignoreUncompiled &&
    !(FEATURES.startPath && facts.deferred) &&
    (label === claim.CNF || label === claim.GEOHASH || (label > 307 && label < 324))
  )
    throw 'unsupported_claim';
};

/**
 * Holds a token's claims against a request. Every claim is read, so that a malformed one makes the token invalid
 * whatever the others say (CTA-5007-B 4.6). Throws when one is malformed, `'unsupported_claim'` or `'claim_missing'`.
 *
 * @returns The claims that do not hold, lowest key first, which no encoding changes; empty when the request is admitted.
 */
export const evaluate = (
  token: { claims: CborMap; isJwt: boolean },
  request: RequestFacts,
  by: EvaluationPolicy & Placements,
): Rejection[] => {
  const rejections: Rejection[] = [];
  facts = request;
  policy = by;
  jwt = token.isJwt;
  if (policy.requiredClaims && policy.requiredClaims.some((key) => !(key in token.claims))) throw 'claim_missing';
  // A build that knows every claim asks for each: listing the keys of so sparse an object is dear to V8.
  (FEATURES.rare ? claim.KNOWN : Object.keys(token.claims)).forEach((key) => {
    label = +key;
    const reason = (!FEATURES.rare || key in token.claims) && check(token.claims[key], token.claims);
    if (
      reason &&
      (!FEATURES.onUnknown || !has(facts.unknown, label)) &&
      // Proof of possession, one-time use and the dice are the Lambda's, once.
      !(FEATURES.startPath && facts.deferred && has([claim.CNF, claim.CATREPLAY, claim.CATPOR], label))
    )
      rejections.push({ label: label, reason: reason });
  });
  return rejections.sort((a, b) => a.label - b.label);
};
