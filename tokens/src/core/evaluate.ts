import { has, isList, isNumber, isText, must } from './basics.js';
import { isBytes } from './bytes.js';
import { isMap, type CborMap, type CborTagged, type CborValue } from './cbor.js';
import { bytes, bytesText, facts, holdAgainst, jwt, none, readAs, text } from './claim-values.js';
import { isConditionalAnswer } from './conditional-answer.js';
import { countryCode } from './country.js';
import { inCircle, isAltitude } from './distance.js';
import { CELL, ENCRYPTED_CELL, geohash } from './geohash.js';
import * as claim from './labels.js';
import { claimKey } from './labels.js';
import { failures } from './match.js';
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
  address: string;
  host: EvaluationHost;
  /** The public key of the viewer's client certificate as SPKI in base64url, where it is known. */
  tlsKey?: string | undefined;
  /** Thumbprint (RFC 7638, base64url) of the key whose proof of possession was checked (RFC 9449). */
  proofKey?: string | undefined;
  /** True when the token came encrypted, which the standard demands for exact places. */
  encrypted?: boolean | undefined;
  /** True when the signature is yet to be checked by Lambda@Edge, and with it the claims that only it can decide. */
  deferred?: boolean | undefined;
  /** Claim keys admitted because their header was missing; filled by the evaluation, for the log. */
  unknown: number[];
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
let policy: EvaluationPolicy & Placements;
let label: number;

const header = (line: string): string | undefined => headerText(facts.http, line);

/** What CloudFront says of the viewer; where it says nothing, policy may take that for good (`facts.unknown`). */
const viewer = (line: string): string | undefined => {
  const value = header('cloudfront-viewer-' + line);
  if (FEATURES.onUnknown && value === undefined && policy.allowUnknown && has(policy.allowUnknown, label))
    facts.unknown.push(label);
  return value;
};

/** A number of seconds or the like. */
const number = (value: CborValue): number => {
  // As `isNumber` has it, with no call: NaN and the infinities differ from themselves or leave something of themselves.
  if (value !== +(value as number) || value - value !== 0) throw 0;
  return value;
};

/** One value alone, where the standard takes that for a list of it. */
const listOf = (value: CborValue): CborValue[] => ([] as CborValue[]).concat(value);

/** The query as sent, without the token's parameter. */
export const queryWithoutToken = (request: EventRequest, policy: Placements): string =>
  request
    .rawQueryString()
    .split('&')
    .filter((part) => !FEATURES.query || part.split('=')[0] !== policy.query)
    .join('&');

const COMPONENTS = FEATURES.catuParts
  ? /* @__PURE__ */ 'scheme host port path query parent filename stem extension'.split(' ')
  : [];

/** Scheme, host or port of the request's URI, by its number. */
const origin = (index: number): string | undefined => {
  const scheme = header('cloudfront-forwarded-proto') || 'https';
  const authority = (header('host') + ':').toLowerCase().split(':') as [string, string];
  // The default port is left out of a normal URI.
  return [scheme, authority[0], +authority[1] === (scheme[4] ? 443 : 80) ? '' : authority[1]][index];
};

/** One component of the request's URI (CTA-5007-B 4.6.10), by its number or name. */
const component = (key: string): string | undefined => {
  // Builds without `catuParts` know the path alone.
  if (!FEATURES.catuParts) {
    if (key !== 'path' && (!FEATURES.cat || key !== '3')) throw 'unsupported_claim';
    return facts.cleanPath;
  }
  const index = jwt ? COMPONENTS.indexOf(key) : +key;
  const part =
    index === 3
      ? facts.cleanPath
      : index === 4
        ? normaliseEscapes(queryWithoutToken(facts.http, policy))
        : index > 4
          ? (/(.*)\/((.*?)(\.[^.]*|))$/.exec(facts.cleanPath) as string[])[index - 4]
          : origin(index);
  text(part);
  return part;
};

/** Whether the viewer is in a network of a `catnip` (4.6.9, RFC 9164). */
const inNetwork = (entry: CborValue): boolean => {
  if (isNumber(entry)) {
    must(entry >>> 0 === entry);
    return viewer('asn') === '' + entry;
  }
  // In the clear a network must not point at one household.
  const exact = (FEATURES.encrypted && facts.encrypted) || policy.exactNetworks;
  const size = (jwt ? has(entry as string, ':') : (entry as CborTagged).tag > 52) ? 128 : 32;
  // The length of the prefix, and its text or bytes.
  const parts = jwt ? (entry as string).split('/').reverse() : listOf((entry as CborTagged).tagged);
  if (exact && parts.length < 2) {
    must(jwt || (parts[0] as Buffer).length * 8 === size);
    parts.unshift(size);
  }
  const length = jwt ? +(parts[0] as string) : (parts[0] as number);
  must(jwt || isBytes(parts[1]));
  const bits = jwt
    ? addressBits(parts[1] as string)
    : // Zero bytes at the end of a prefix may be left out (RFC 9164 3.1).
      (parts[1] as Buffer).reduce((digits, byte) => digits + binary(byte, 8), '').padEnd(size, '0');
  must(
    bits.length === size &&
      length >>> 0 === length &&
      length <= (exact ? size : size > 32 ? 56 : 24) &&
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

/**
 * Why the claim under a key does not hold: a reason, `_` at its end standing for `_mismatch`; or something falsy.
 * Throws when the claim itself is of the wrong form.
 */
type Check = (value: never, claims: CborMap) => string | false | 0 | undefined | void;

/**
 * Checks by claim key with a `$` before it, those that the build makes. A number as a key in an object literal, which the
 * minifier makes of this, is a text in njs 0.7.9 from then on, wherever it stands: `3 === 3` is false.
 */
const CHECKS: Record<string, Check> = {};
// No leeway (4.6.3, 4.6.4): expired at the very second, valid from the very second on.
CHECKS['$' + claim.EXP] = (value) => number(value) <= facts.now && 'expired';
CHECKS['$' + claim.NBF] = (value) => number(value) > facts.now && 'not_yet_valid';
CHECKS['$' + claim.SESSION_END] = (value) => number(value) <= facts.now && 'session_ended';
CHECKS['$' + claim.IAT] = (value) => void number(value);
CHECKS['$' + claim.CATV] = (value) => number(value) !== 1 && 'version_';
// One text alone, too.
CHECKS['$' + claim.AUD] = (value) =>
  none(listOf(value), (audience: string) => {
    text(audience);
    return !policy.audiences || has(policy.audiences, audience);
  }) && 'audience_';
if (FEATURES.catu)
  CHECKS['$' + claim.CATU] = (value: CborMap) => {
    if (FEATURES.fast) {
      // A prefix of the path and nothing else is the usual one; `readCbor` tells a CAT's apart from others.
      const path = value[FEATURES.anyEngine && !jwt ? 3 : 'path'] as CborMap;
      const prefix = FEATURES.anyEngine ? path && path[jwt ? 'prefix' : 1] : jwt ? path && path.prefix : value[''];
      // One name in each of both maps; an empty name counts, too.
      if (isText(prefix) && ((!FEATURES.anyEngine && !jwt) || Object.keys(value).length + Object.keys(path).length < 3))
        return !facts.cleanPath.startsWith(prefix) && 'uri_';
    }
    return failures(value, component) && 'uri_';
  };
if (FEATURES.catm)
  CHECKS['$' + claim.CATM] = (value: CborValue[]) => {
    must(isList(value) && value.length && value.every(isText));
    return !has(value, facts.http.method) && 'method_';
  };
if (FEATURES.catnip) CHECKS['$' + claim.CATNIP] = (value) => none(value, inNetwork) && 'network_';
if (FEATURES.catgeoiso3166)
  CHECKS['$' + claim.CATGEOISO3166] = (value) => {
    const country = viewer('country');
    // One code, and the viewer's.
    if (FEATURES.fast && country && isList(value) && value[0] === country && (value as unknown[]).length < 2)
      return false;
    return (
      none(
        value,
        (code: string) =>
          // What CloudFront says is a code.
          code === country ||
          has(
            [
              country,
              country +
                '-' +
                (FEATURES.onUnknown ? header('cloudfront-viewer-country-region') : viewer('country-region')),
            ],
            countryCode(code),
          ),
      ) && 'country_'
    );
  };
if (FEATURES.geohash)
  CHECKS['$' + claim.GEOHASH] = (value) => {
    const latitude = viewer('latitude');
    const longitude = viewer('longitude');
    const hash = geohash(+(latitude as string), +(longitude as string));
    return (
      // One text alone, too: the claim is older than the standard's own.
      none(listOf(value), (cell: string) => {
        const lower = cell.toLowerCase();
        must((FEATURES.encrypted && facts.encrypted ? ENCRYPTED_CELL : CELL).test(lower));
        return latitude && longitude && hash.startsWith(lower);
      }) && 'geo_'
    );
  };
if (FEATURES.cath)
  CHECKS['$' + claim.CATH] = (value) =>
    failures(value, (key) => {
      // A CAT's texts have a `$` before them; a header's name is one.
      must(jwt || key[0] === '$');
      return header(key.slice(jwt ? 0 : 1).toLowerCase());
    }) && 'header_';
if (FEATURES.catalpn)
  CHECKS['$' + claim.CATALPN] = (value) => {
    const version = viewer('http-version') as string;
    // `http/1.1`, `h2`: RFC 7301 6.
    const protocol = viewer('tls') && version && (version < '2' ? 'http/' + version : 'h' + version[0]);
    return (
      none(value, (name: Buffer) => {
        bytes(name);
        return '' + name === protocol;
      }) && 'alpn_'
    );
  };
if (FEATURES.cattpk) CHECKS['$' + claim.CATTPK] = (value) => bytesText(value) !== facts.tlsKey && 'tls_key_';
if (FEATURES.catreplay)
  CHECKS['$' + claim.CATREPLAY] = (value) => {
    must(has([0, 1, 2], value));
    return policy.refuseReplay && value === 1 && 'replay_refused';
  };
if (FEATURES.catpor)
  CHECKS['$' + claim.CATPOR] = (parts: [number, CborValue, CborValue], claims) => {
    must(
      isList(parts) &&
        number(parts[0]) >= 0 &&
        parts[0] <= 1 &&
        (parts as unknown[]).length < (isNumber(parts[2]) ? 4 : 3),
    );
    bytes(rejectionValue(parts[1], claims, jwt));
    return (facts.host.random as () => number)() < parts[0] && 'probabilistic_refusal';
  };
if (FEATURES.catif) CHECKS['$' + claim.CATIF] = (value) => must(isConditionalAnswer(value, jwt));
if (FEATURES.catr) CHECKS['$' + claim.CATR] = (value) => must(isRenewal(value, jwt));
if (FEATURES.rare) {
  CHECKS['$' + claim.CATIFDATA] = (value) => must(isText(value) || isList(value));
  CHECKS['$' + claim.CATDPOP] = (value: CborMap) => {
    must(isMap(value));
    const critical = value[jwt ? 'crit' : -1] as CborValue[] | undefined;
    // A setting that must be understood and is not (4.8.2.1).
    return critical !== undefined && !critical.every((setting) => has([0, 1], setting)) && 'proof_required';
  };
  CHECKS['$' + claim.CNF] = (value: CborMap) => {
    must(isMap(value));
    return (
      (!FEATURES.proof || facts.proofKey === undefined || bytesText(value[jwt ? 'jkt' : 323]) !== facts.proofKey) &&
      'proof_required'
    );
  };
  // In the clear these make the token invalid (4.6.15, 4.6.17).
  if (FEATURES.encrypted) {
    CHECKS['$' + claim.CATGEOCOORD] = (value) => {
      const latitude = viewer('latitude');
      const longitude = viewer('longitude');
      must(facts.encrypted);
      return none(value, (circle) => inCircle(circle, latitude, longitude)) && 'geo_';
    };
    CHECKS['$' + claim.CATGEOALT] = (value) => {
      must(facts.encrypted);
      // Nothing at a CDN tells a viewer's altitude: no `catgeoalt` holds.
      return isAltitude(value) && 'geo_';
    };
  } else CHECKS['$' + claim.CATGEOCOORD] = CHECKS['$' + claim.CATGEOALT] = () => must(0);
}

// The minifier joins functions above into one object, and nothing behind these.
CHECKS['$' + claim.ISS] = CHECKS['$' + claim.SUB] = text;
CHECKS['$' + claim.CTI] = CHECKS['$' + claim.SESSION] = bytes;

/** The same by number, which engines that compile find faster than by a text that is made for it. */
const CHECK_OF: Record<number, Check> = {};
if (FEATURES.anyEngine)
  Object.keys(CHECKS).forEach((key) => {
    CHECK_OF[+key.slice(1)] = CHECKS[key] as Check;
  });

/**
 * Holds a token's claims against a request. Every claim is read, so that a malformed one makes the token invalid
 * whatever the others say (CTA-5007-B 4.6). Throws when one is malformed, `'unsupported_claim'` or `'claim_missing'`.
 *
 * @returns The claims that do not hold, lowest key first, which no encoding changes; empty when the request is admitted.
 */
export const evaluate = (
  token: { claims: CborMap; isJwt: boolean; labels?: readonly (number | string)[] | undefined },
  request: RequestFacts,
  by: EvaluationPolicy & Placements,
): Rejection[] => {
  const claims = token.claims;
  const rejections: Rejection[] = [];
  policy = by;
  readAs(token.isJwt);
  holdAgainst(request);
  if (policy.requiredClaims && policy.requiredClaims.some((key) => !(key in claims))) throw 'claim_missing';
  // The first malformed claim gives the reason: elsewhere than at the edge in the order that njs has, whatever the token's.
  ((FEATURES.fast && !FEATURES.anyEngine && token.labels) || Object.keys(claims)).forEach((key) => {
    const claimed = FEATURES.claimKeys ? +key : (key as unknown as number);
    if (FEATURES.onUnknown) label = claimed;
    const check = FEATURES.anyEngine ? CHECK_OF[claimed] : CHECKS['$' + key];
    // Claims that nobody knows are ignored (4.6); those that the standard knows and this build leaves out are not.
    if (
      !EVERY_CLAIM &&
      !check &&
      !policy.ignoreUncompiled &&
      !(FEATURES.startPath && facts.deferred) &&
      (FEATURES.claimKeys
        ? claimed === claim.CNF || claimed === claim.GEOHASH || (claimed > 307 && claimed < 324)
        : claim.isStandard(key as string))
    )
      throw 'unsupported_claim';
    const reason = check && check(claims[key] as never, claims);
    if (
      reason &&
      (!FEATURES.onUnknown || !has(facts.unknown, claimed)) &&
      // Proof of possession, one-time use and the dice are the Lambda's, once.
      !(FEATURES.startPath && facts.deferred && has([claim.CNF, claim.CATREPLAY, claim.CATPOR], claimed))
    )
      rejections.push({
        label: FEATURES.claimKeys ? claimed : claim.rankOf(key as string),
        reason: reason.replace(/_$/, '_mismatch') as Reason,
      });
  });
  return rejections[1] ? rejections.sort((a, b) => a.label - b.label) : rejections;
};
