import { addressToHex } from './addresses.js';
import type { DetectionConfig } from './config.js';

/** The network of an address as one text, as `placeExpression` gives it in SQL; undefined where it is no address. */
export function placeOf(address: string, asn: number | undefined, { allow }: DetectionConfig): string | undefined {
  const hex = addressToHex(address);
  if (hex === undefined) return undefined;
  if (asn !== undefined && allow.relayAsns.includes(asn)) return `AS${asn}`;
  return hex.startsWith('00000000000000000000FFFF') ? hex.slice(0, 30) : hex.slice(0, 14);
}
