import { has, must } from './basics.js';

/** A number as `size` binary digits; more, or other text, where it does not fit or is none. */
export const binary = (number: number, size: number): string => (2 ** size + number).toString(2).slice(1);

/**
 * An address as text of `0` and `1`, so that a prefix is the beginning of a text: 32 for IPv4, 128 for IPv6
 * (RFC 4291 2.2). Throws when it is neither.
 */
export const addressBits = (address: string): string => {
  // What is left of `::1` and `1::` has one empty group, which stands for all that are missing.
  const six = has(address, ':');
  const bits = address
    .replace(/^:|:$/g, '')
    .split(six ? ':' : '.')
    .map((part, _, parts) =>
      six ? (part ? binary(+('0x' + part), 16) : '0'.repeat(16 * (9 - parts.length))) : binary(+part, 8),
    )
    .join('');
  must(bits.length === (six ? 128 : 32));
  return bits;
};
