/** Bytes of an IPv4 address; leading zeros are refused, since some read them as octal. */
function quadOf(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.map(Number);
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}

/**
 * The bytes of an address in text form: 4 for IPv4 and for IPv4 mapped into IPv6 (`::ffff:192.0.2.1`), 16 for IPv6
 * (RFC 4291 2.2); undefined for anything else. Written for the function's runtime, like `core/`.
 */
export function addressOf(address: string): number[] | undefined {
  if (!address.includes(':')) return quadOf(address);
  let text = address;
  if (text.includes('.')) {
    const start = text.lastIndexOf(':') + 1;
    const quad = quadOf(text.slice(start));
    if (!quad) return undefined;
    const high = ((quad[0] as number) << 8) | (quad[1] as number);
    const low = ((quad[2] as number) << 8) | (quad[3] as number);
    text = text.slice(0, start) + high.toString(16) + ':' + low.toString(16);
  }
  const halves = text.split('::');
  const head = groupsOf(halves[0] as string);
  const tail = groupsOf(halves[1] || '');
  const gap = 8 - head.length - tail.length;
  if (halves.length > 2 || (halves.length > 1 ? gap < 1 : gap !== 0)) return undefined;
  const groups = head.slice();
  for (let i = 0; i < gap; i++) groups.push('0');
  const bytes: number[] = [];
  const whole = groups.concat(tail).every((group) => {
    const value = parseInt(group, 16);
    bytes.push(value >> 8, value & 255);
    return /^[\da-f]{1,4}$/i.test(group);
  });
  if (!whole) return undefined;
  return /^(0,){10}255,255,/.test(bytes.join()) ? bytes.slice(12) : bytes;
}
