import { isNumber } from './basics.js';

/** Claim keys: IANA "CWT Claims" registry (RFC 8392 4, CTA-5007-B 4.6). Inside, claims go by these in either format. */
export const ISS = 1;
export const SUB = 2;
export const AUD = 3;
export const EXP = 4;
export const NBF = 5;
export const IAT = 6;
export const CTI = 7;
export const CNF = 8;
export const GEOHASH = 282;
export const CATREPLAY = 308;
export const CATPOR = 309;
export const CATV = 310;
export const CATNIP = 311;
export const CATU = 312;
export const CATM = 313;
export const CATALPN = 314;
export const CATH = 315;
export const CATGEOISO3166 = 316;
export const CATGEOCOORD = 317;
export const CATGEOALT = 318;
export const CATTPK = 319;
export const CATIFDATA = 320;
export const CATDPOP = 321;
export const CATIF = 322;
export const CATR = 323;
/** Our session handle: 16 random bytes that survive renewal (private use). */
export const SESSION = -65537;
/** The session's absolute end, a NumericDate (private use). */
export const SESSION_END = -65538;

/** Claim keys by JWT name: those that the build decides on. */
const KEYS: Record<string, number> = FEATURES.rare
  ? {
      iss: 1,
      sub: 2,
      aud: 3,
      exp: 4,
      nbf: 5,
      iat: 6,
      jti: 7,
      cnf: 8,
      geohash: 282,
      catreplay: 308,
      catpor: 309,
      catv: 310,
      catnip: 311,
      catu: 312,
      catm: 313,
      catalpn: 314,
      cath: 315,
      catgeoiso3166: 316,
      catgeocoord: 317,
      catgeoalt: 318,
      cattpk: 319,
      catifdata: 320,
      catdpop: 321,
      catif: 322,
      catr: 323,
      sid: -65537,
      sxp: -65538,
    }
  : FEATURES.catnip || FEATURES.catm || FEATURES.catgeoiso3166
    ? {
        iss: 1,
        sub: 2,
        aud: 3,
        exp: 4,
        nbf: 5,
        iat: 6,
        jti: 7,
        catv: 310,
        catnip: 311,
        catu: 312,
        catm: 313,
        catgeoiso3166: 316,
        sid: -65537,
        sxp: -65538,
      }
    : { iss: 1, sub: 2, aud: 3, exp: 4, nbf: 5, iat: 6, jti: 7, catv: 310, catu: 312, sid: -65537, sxp: -65538 };

/** Every claim key that a full build decides on, lowest first and our own last, as `Object.keys` lists claims. */
export const KNOWN: readonly number[] = /* @__PURE__ */ Object.keys(KEYS).map((name) => KEYS[name] as number);

/**
 * The claim key of a JWT's name for it. Names that are none of ours get a `$`: a claim called `4` is not `exp`.
 * Names of the standard's that the build does not know give the key of `cnf`, which is refused then.
 */
export const claimKey = (name: string): number | string =>
  // Inherited members (`toString`) are no numbers.
  isNumber(KEYS[name])
    ? (KEYS[name] as number)
    : !FEATURES.rare && /^(cat|cnf$|geohash$)/.test(name)
      ? CNF
      : '$' + name;

/** The JWT name of a claim key. */
export const claimName = (key: number | string): string =>
  Object.keys(KEYS).find((name) => KEYS[name] === +key) as string;
