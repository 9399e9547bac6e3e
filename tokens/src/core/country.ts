import { must } from './basics.js';

/**
 * The assigned two-letter codes of ISO 3166-1, and `XK`, which CloudFront reports for Kosovo: one bit for each pair of
 * letters, AA first, in the six low bits of each character, the lowest first.
 */
const ASSIGNED =
  'xeuwn?^o]{}I?PXE@RM@N@@WI@{g{WA@MZ@Fx}@P@M@@]lB}AExS}s??WWrRH@P@@qscSE@@@@D@QE_?gksn_jYPPPpUEBD@B@D@@D@@P@@BD@D@A';

/**
 * A country, with or without a subdivision of ISO 3166-2 form behind it: `US`, `us-ca`. Without the flag `i`, by which
 * njs takes the long s and the Kelvin sign for letters, too. The underscore that `\w` lets pass is in no header, nor are
 * the six marks between Z and a, which builds that know no country codes let pass.
 * In njs `$` also matches before a final line break; such a code equals no header.
 */
const COUNTRY = FEATURES.countryCodes ? /^[A-Za-z]{2}(-\w{1,3})?$/ : /^[A-z]{2}(-\w{1,3})?$/;

/**
 * A country or region in upper case. Throws when a text is none; its first two letters must be assigned where the build
 * knows codes.
 */
export const countryCode = (code: string): string => {
  const upper = code.toUpperCase();
  const pair = FEATURES.countryCodes ? upper.charCodeAt(0) * 26 + upper.charCodeAt(1) - 1755 : 0;
  const is = COUNTRY.test(code);
  must(FEATURES.countryCodes ? is && (ASSIGNED.charCodeAt(pair / 6) >> (pair % 6)) & 1 : is);
  return upper;
};
