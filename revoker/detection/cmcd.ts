/** What stands in CMCD for a session id, an object type and a duration in milliseconds (CTA-5004 3.2), logged as it was sent or encoded. */
export const cmcdValues = { sid: '(?:"|%22)([^"%,]{1,64})', ot: '([a-z]{1,2})', d: '([0-9]{1,7})' } as const;

/** A regular expression for a key's value in logged CMCD headers (CTA-5004 3.1); no other header is looked into. */
export function cmcdInHeaders(key: keyof typeof cmcdValues): string {
  const withinLine = '(?:[^\\n%]|%[1-9A-Fa-f][0-9A-Fa-f])*?';
  return `(?:CMCD|cmcd|Cmcd)-[A-Za-z]+(?::|%3A)(?:${withinLine}(?:[, ]|%2C|%20))?${key}(?:=|%3D)${cmcdValues[key]}`;
}
