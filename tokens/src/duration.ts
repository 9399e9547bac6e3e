import { PolicyError } from './errors.js';

/** A length of time: seconds as a number, or `'90s'`, `'15m'`, `'2h'`, `'7d'`. */
export type Duration = number | `${number}${'s' | 'm' | 'h' | 'd'}`;

/** A moment: a `Date`, or epoch seconds. */
export type Moment = Date | number;

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };

/** Whole seconds of a duration; it must be more than zero and at most ten years. */
export function durationSeconds(duration: Duration, path: string): number {
  let seconds: number;
  if (typeof duration === 'number') {
    seconds = duration;
  } else {
    const unit = typeof duration === 'string' ? unitSeconds[duration.charAt(duration.length - 1)] : undefined;
    seconds =
      unit === undefined || !/^\d+(?:\.\d+)?[smhd]$/.test(duration) ? NaN : Number(duration.slice(0, -1)) * unit;
  }
  if (!(seconds > 0 && seconds <= 315_360_000))
    throw new PolicyError(path, "a duration such as '2h' or 7200 (seconds), at most ten years", duration);
  return Math.ceil(seconds);
}

/** Epoch seconds of a moment, rounded down. Milliseconds given by mistake are refused, not read as the year 55,000. */
export function momentSeconds(moment: Moment, path: string): number {
  const seconds = moment instanceof Date ? moment.getTime() / 1000 : moment;
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < 1e11)) {
    throw new PolicyError(path, 'a Date or epoch seconds', moment instanceof Date ? String(moment) : moment);
  }
  return Math.floor(seconds);
}
