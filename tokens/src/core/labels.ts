/*
 * Claim keys: IANA "CWT Claims" registry (RFC 8392 4, CTA-5007-B 4.6). Inside, claims go by these in either format. Builds
 * that know JWTs alone, and few claims (`claimKeys` is off), leave them their names: nothing is translated, and what counts
 * as a key here is a name.
 */
export const ISS = (FEATURES.claimKeys ? 1 : 'iss') as number;
export const SUB = (FEATURES.claimKeys ? 2 : 'sub') as number;
export const AUD = (FEATURES.claimKeys ? 3 : 'aud') as number;
export const EXP = (FEATURES.claimKeys ? 4 : 'exp') as number;
export const NBF = (FEATURES.claimKeys ? 5 : 'nbf') as number;
export const IAT = (FEATURES.claimKeys ? 6 : 'iat') as number;
export const CTI = (FEATURES.claimKeys ? 7 : 'jti') as number;
export const CNF = 8;
export const GEOHASH = 282;
export const CATREPLAY = 308;
export const CATPOR = 309;
export const CATV = (FEATURES.claimKeys ? 310 : 'catv') as number;
export const CATNIP = (FEATURES.claimKeys ? 311 : 'catnip') as number;
export const CATU = (FEATURES.claimKeys ? 312 : 'catu') as number;
export const CATM = (FEATURES.claimKeys ? 313 : 'catm') as number;
export const CATALPN = 314;
export const CATH = 315;
export const CATGEOISO3166 = (FEATURES.claimKeys ? 316 : 'catgeoiso3166') as number;
export const CATGEOCOORD = 317;
export const CATGEOALT = 318;
export const CATTPK = 319;
export const CATIFDATA = 320;
export const CATDPOP = 321;
export const CATIF = 322;
export const CATR = 323;
/** Our session handle: 16 random bytes that survive renewal (private use). */
export const SESSION = (FEATURES.claimKeys ? -65537 : 'sid') as number;
/** The session's absolute end, a NumericDate (private use). */
export const SESSION_END = (FEATURES.claimKeys ? -65538 : 'sxp') as number;

/** JWT names of the claims that the build decides on: 1 to 8, 308 to 323, 282, then our own. */
const NAMES: readonly string[] = FEATURES.rare
  ? 'iss sub aud exp nbf iat jti cnf -replay -por -v -nip -u -m -alpn -h -geoiso3166 -geocoord -geoalt -tpk -ifdata -dpop -if -r geohash sid sxp'
      .replace(/-/g, 'cat')
      .split(' ')
  : [];

/** The same by name, for builds that know few of them and have room for what is quicker. */
const KEYS: Record<string, number> =
  FEATURES.catnip || FEATURES.catm || FEATURES.catgeoiso3166
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

/** Whether a name is of the standard's claims, or looks as one: for builds that leave some of them out. */
export const isStandard = (name: string): boolean => /^(cat|cnf$|geohash$)/.test(name);

/** Names in the order of their keys, for builds that have no keys. */
const RANKS = 'sxp sid iss sub aud exp nbf iat jti catv catnip catu catm catgeoiso3166';

/** Where a claim stands among those that such builds decide on. */
export const rankOf = (name: string): number => RANKS.indexOf(name);

/**
 * The claim key of a JWT's name for it. Names that are none of ours get a `$`: a claim called `4` is not `exp`.
 * Names of the standard's that the build does not know give the key of `cnf`, which is refused then.
 */
export const claimKey = (name: string): number | string => {
  if (!FEATURES.rare)
    // What is inherited (`toString`) is a key that nobody asks for.
    return KEYS[name] || (isStandard(name) ? CNF : '$' + name);
  const i = NAMES.indexOf(name);
  return i < 0 ? '$' + name : i < 8 ? i + 1 : i < 24 ? i + 300 : i > 24 ? -65512 - i : GEOHASH;
};

/** Every claim key that a full build decides on. */
export const KNOWN = /* @__PURE__ */ NAMES.map(claimKey) as readonly number[];

/** The JWT name of a claim key. */
export const claimName = (key: number | string): string => NAMES[KNOWN.indexOf(+key)] as string;
