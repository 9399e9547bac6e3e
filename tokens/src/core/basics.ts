/**
 * The few words that the rest of the core is made of. Each stands in a compiled function once, however often it is used.
 *
 * Faults are thrown as bare strings, a `Reason`; `must` throws `0`, which stands for the reason of the stage that
 * is under way: malformed token while a token is taken apart, invalid claim while claims are read. An `Error` object
 * costs over a millisecond in older njs.
 */
export const must = (holds: unknown): void => {
  if (!holds) throw 0;
};

export const isText = (value: unknown): value is string => typeof value === 'string';

/** A number that is one: neither NaN nor infinite, which JSON's `1e999` is. */
export const isNumber = Number.isFinite as (value: unknown) => value is number;

export const isList = Array.isArray as (value: unknown) => value is unknown[];

export const has = (list: readonly unknown[] | string, item: unknown): boolean => (list as unknown[]).includes(item);
