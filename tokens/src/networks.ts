import { addressOf } from './address-core.js';

/** An address, or a network when `length` is given; `bytes` are 4 or 16, host bits of a network cleared. */
export interface Network {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  /** Prefix length in bits; absent for a single address. */
  readonly length?: number;
}

/** Longest prefixes that CTA-5007-B 4.6.9 allows in the clear. */
export const widestClear = { 4: 24, 6: 56 } as const;

/** Reads `203.0.113.9`, `203.0.113.0/24`, `2001:db8::1` or `2001:db8::/56`; `undefined` for anything else. */
export function parseNetwork(input: string): Network | undefined {
  const slash = input.indexOf('/');
  const address = parseAddress(slash < 0 ? input : input.slice(0, slash));
  if (!address) return undefined;
  const family = address.length === 4 ? 4 : 6;
  if (slash < 0) return { family, bytes: address };
  const digits = input.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > address.length * 8) return undefined;
  return { family, bytes: maskAddress(address, Number(digits)), length: Number(digits) };
}

/** The network of `length` bits around an address, or around the address of a network. */
export function widen(network: Network, length: number): Network {
  const kept = Math.min(length, network.length ?? network.bytes.length * 8);
  return { family: network.family, bytes: maskAddress(network.bytes, kept), length: kept };
}

/** CIDR text in one spelling (RFC 5952 4). */
export function formatNetwork(network: Network): string {
  const suffix = network.length === undefined ? '' : `/${network.length}`;
  if (network.family === 4) return network.bytes.join('.') + suffix;
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2)
    groups.push((((network.bytes[i] as number) << 8) | (network.bytes[i + 1] as number)).toString(16));
  return compressGroups(groups) + suffix;
}

/** Bytes of an address: 4 for IPv4, also mapped into IPv6, and 16 for IPv6. */
export function parseAddress(input: string): Uint8Array | undefined {
  const bytes = addressOf(input);
  return bytes && Uint8Array.from(bytes);
}

function maskAddress(address: Uint8Array, length: number): Uint8Array {
  const masked = address.slice();
  for (let i = 0; i < masked.length; i++) {
    const bits = Math.min(8, Math.max(0, length - i * 8));
    masked[i] = (masked[i] as number) & (0xff << (8 - bits));
  }
  return masked;
}

/** The longest run of zero groups becomes `::` (RFC 5952 4.2). */
function compressGroups(groups: readonly string[]): string {
  let start = -1;
  let best = 1;
  for (let i = 0; i < groups.length; i++) {
    let run = 0;
    while (groups[i + run] === '0') run++;
    if (run > best) {
      best = run;
      start = i;
    }
    if (run > 0) i += run - 1;
  }
  if (start < 0) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + best).join(':')}`;
}
