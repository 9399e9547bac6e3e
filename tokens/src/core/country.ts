import { fromBase64 } from './basics.js';

/**
 * The assigned two-letter codes of ISO 3166-1, and `XK`, which CloudFront reports for Kosovo: one bit for each pair of
 * letters, AA first, the low bit of each byte first.
 */
const ASSIGNED = /* @__PURE__ */ fromBase64(
  'eFnf7u-93d4nP4QVgNQADgBcCbCf-xUAjQYYeA9AQAMAHSv0QYFP_fz_1yVLCAABQDyPUwEAAEAAUfH95zq7n5pBEARXhUAAAkAAAAEAEAAIBEAAAQ',
);

/**
 * A country, with or without a subdivision of ISO 3166-2 form behind it: `US`, `us-ca`. Without the flag `i`, by which
 * njs takes the long s and the Kelvin sign for letters, too. Builds that know no country codes let six marks pass
 * between Z and a, which are in no header.
 * In njs `$` also matches before a final line break; such a code equals no header.
 */
export const COUNTRY = FEATURES.countryCodes ? /^[A-Za-z]{2}(-[A-Za-z\d]{1,3})?$/ : /^[A-z]{2}(-[A-z\d]{1,3})?$/;

/** Whether the first two letters of a code are an assigned country; `& 31` gives A and a the number 1. */
export const isAssigned = (code: string): boolean => {
  const pair = (code.charCodeAt(0) & 31) * 26 + (code.charCodeAt(1) & 31) - 27;
  return !!(((ASSIGNED[pair >> 3] as number) >> (pair & 7)) & 1);
};
