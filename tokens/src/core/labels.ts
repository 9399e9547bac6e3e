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

/**
 * The claim key of a JWT's name for it. Names that are none of ours get a `$`: a claim called `4` is not `exp`.
 * Names of the standard's that the build does not know give the key of `cnf`, which is refused then.
 */
export const claimKey = (name: string): number | string => {
  if (!FEATURES.rare)
    // What is inherited (`toString`) is a key that nobody asks for.
    return KEYS[name] || (/^(cat|cnf$|geohash$)/.test(name) ? CNF : '$' + name);
  const i = NAMES.indexOf(name);
  return i < 0 ? '$' + name : i < 8 ? i + 1 : i < 24 ? i + 300 : i > 24 ? -65512 - i : GEOHASH;
};

/** Every claim key that a full build decides on. */
export const KNOWN = /* @__PURE__ */ NAMES.map(claimKey) as readonly number[];

/** The JWT name of a claim key. */
export const claimName = (key: number | string): string => NAMES[KNOWN.indexOf(+key)] as string;
