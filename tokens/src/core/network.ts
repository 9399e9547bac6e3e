import { has } from './basics.js';

/** A number as `size` binary digits; more, or other text, where it does not fit or is none. */
export const binary = (number: number | string, size: number): string => (2 ** size + +number).toString(2).slice(1);

/**
 * An address as text of `0` and `1`, so that a prefix is the beginning of a text: 32 for IPv4, 128 for IPv6
 * (RFC 4291 2.2); another number of them where it is neither.
 */
export const addressBits = (address: string): string => {
  const six = has(address, ':');
  return (
    address
      // What is left of `::1` and `1::` has one empty group, which stands for all that are missing.
      .replace(/^:|:$/g, '')
      .split(six ? ':' : '.')
      .map((part, _, parts) =>
        part ? binary(six ? '0x' + part : part, six ? 16 : 8) : binary(0, 16 * (9 - parts.length)),
      )
      .join('')
  );
};
