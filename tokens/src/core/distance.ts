import { isList, isNumber, must } from './basics.js';
import type { CborValue } from './cbor.js';

/** The earth's mean radius in metres (IUGG): half a percent at most from the ellipsoid's distances. */
const RADIUS = 6371008.8;

/** Metres between two points in degrees, along the great circle (haversine). */
export const distance = (latitude: number, longitude: number, toLatitude: number, toLongitude: number): number => {
  const radians = Math.PI / 180;
  const share =
    Math.sin(((toLatitude - latitude) * radians) / 2) ** 2 +
    Math.cos(latitude * radians) *
      Math.cos(toLatitude * radians) *
      Math.sin(((toLongitude - longitude) * radians) / 2) ** 2;
  return 2 * RADIUS * Math.asin(Math.sqrt(Math.min(1, share)));
};

/** A list of so many numbers. Throws when it is none. */
const numbers = (value: CborValue, count: number): number[] => {
  must(isList(value) && value.length === count && value.every(isNumber));
  return value as number[];
};

/**
 * Whether a viewer, whose place CloudFront gives as text, is in a circle `[latitude, longitude, radius in metres]`
 * (CTA-5007-B 4.6.15). Throws when it is none.
 */
export const inCircle = (circle: CborValue, latitude: string | undefined, longitude: string | undefined): boolean => {
  const parts = numbers(circle, 3) as [number, number, number];
  must(Math.abs(parts[0]) <= 90 && Math.abs(parts[1]) <= 180 && parts[2] >= 0);
  // Of what is no number the distance is NaN, which is not within anything.
  return !!latitude && !!longitude && distance(+latitude, +longitude, parts[0], parts[1]) <= parts[2];
};

/** `[altitude, deviation]` in metres (4.6.17). Throws when it is none. */
export const isAltitude = (value: CborValue): true => {
  must((numbers(value, 2)[1] as number) >= 0);
  return true;
};
