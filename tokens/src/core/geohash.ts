/** The first `length` geohash characters of a point on WGS84. */
export const geohash = (latitude: number, longitude: number, length: number): string => {
  // Both as fractions of their range; each step takes one bit of one of them.
  const fractions = [(longitude + 180) / 360, (latitude + 90) / 180];
  let index = 0;
  let hash = '';
  for (let bit = 0; bit < length * 5; bit++) {
    const doubled = (fractions[bit % 2] as number) * 2;
    index = index * 2 + (doubled | 0);
    fractions[bit % 2] = doubled % 1;
    if (bit % 5 > 3) {
      hash += '0123456789bcdefghjkmnpqrstuvwxyz'[index];
      index = 0;
    }
  }
  return hash;
};
