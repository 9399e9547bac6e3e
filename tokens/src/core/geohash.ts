const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';

/** The characters that cells may have: in the clear, more than four would point at a house (CTA-5007-B 4.6.16). */
export const CELL = /^[\db-hjkmnp-z]{1,4}$/;
export const ENCRYPTED_CELL = /^[\db-hjkmnp-z]{1,12}$/;

/** The geohash of a point on WGS84, in as many characters as a cell may have. */
export const geohash = (latitude: number, longitude: number): string => {
  // Both as fractions of their range. Each step takes one bit of one of them and makes it the other's turn.
  let next = longitude / 360 + 0.5;
  let other = latitude / 180 + 0.5;
  let index = 0;
  let hash = '';
  for (let bits = FEATURES.encrypted ? 60 : 20; bits;) {
    const doubled = next * 2;
    index = (index << 1) | doubled;
    next = other;
    other = doubled % 1;
    if (--bits % 5 === 0) hash += ALPHABET[index & 31];
  }
  return hash;
};
