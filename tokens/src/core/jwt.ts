import { fromBase64, has, isList, must } from './basics.js';
import type { CborMap } from './cbor.js';
import { claimKey } from './labels.js';
import { MAX_JSON_DEPTH } from './limits.js';
import type { ParsedToken } from './token.js';

/** How many names an object holds, and all within it. Throws where nesting is deeper than njs reads at all. */
const countNames = (value: unknown, depth: number): number => {
  if (!value || typeof value !== 'object') return 0;
  if (FEATURES.publicKey) must(depth < MAX_JSON_DEPTH);
  const names = Object.keys(value);
  return names.reduce(
    (sum, name) => sum + countNames((value as CborMap)[name], depth + 1),
    isList(value) ? 0 : names.length,
  );
};

/**
 * A JSON object. Names that occur twice are refused (RFC 7519 4 leaves a choice; two readers could choose differently),
 * and so is what engines read differently: escaped surrogates, bytes that are not UTF-8, and the numbers `.5`, `1.` and
 * `01`, which JSON forbids and njs takes. Throws then. A text that is written as JSON.stringify writes has none of these;
 * builds without `anyJson` take only such.
 */
const readJson = (encoded: string): CborMap => {
  const text = fromBase64(encoded).toString();
  const map: unknown = JSON.parse(text);
  const written = JSON.stringify(map);
  if (!FEATURES.anyJson) {
    // Fractions aside: njs does not always write the shortest one.
    const fraction = /\.\d+/g;
    must(written.replace(fraction, '') === text.replace(fraction, ''));
  } else if (written !== text) {
    // With its strings emptied, the text has one colon for each name written.
    const bare = text.replace(/"[^"\\]*(\\.[^"\\]*)*"/g, '""');
    must(
      text.search(/\\ud[89a-f]/i) < 0 &&
        bare.search(/[[:,]\s*-?(\.|0\d)|\d\.(?!\d)/) < 0 &&
        bare.split(':').length - 1 === countNames(map, 0),
    );
  }
  must(text[0] === '{' && text.indexOf('\ufffd') < 0);
  // V8 keeps halves of surrogate pairs and any depth; njs, whose verdicts these must be, neither.
  if (FEATURES.publicKey)
    must((!has(written, '\\ud') || written.search(/(^|[^\\])(\\\\)*\\ud[89a-f]/) < 0) && countNames(map, 0) >= 0);
  return map as CborMap;
};

/**
 * Takes a JWT in compact form apart (RFC 7515 7.1, RFC 7519 7.2). Throws when it is none.
 * `crit` is refused: this recipient understands no extension (RFC 7515 4.1.11).
 */
export const parseJwt = (text: string): ParsedToken => {
  const parts = text.split('.');
  // No base64url text has a length of 1 modulo 4; engines differ in what they make of one.
  must((!FEATURES.rare || parts.every((part) => part.length % 4 !== 1)) && parts.length === 3);
  const header = readJson(parts[0] as string);
  const kid = (header['kid'] || '') as string;
  const payload = readJson(parts[1] as string);
  const claims: CborMap = {};
  must(
    // Explicit typing (RFC 8725 3.11): a token made for another purpose is not one of ours.
    (!FEATURES.rare || !header['typ'] || /jwt$/i.test(header['typ'] as string)) && !header['crit'],
  );
  Object.keys(payload).forEach((name) => {
    claims[claimKey(name)] = payload[name];
  });
  return {
    isJwt: true,
    algorithm: header['alg'] as string,
    kid: kid,
    claims: claims,
    signed: [parts[0] + '.' + parts[1]],
    signature: fromBase64(parts[2] as string),
    payload: payload,
  };
};
