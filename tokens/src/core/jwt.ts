import { has, must } from './basics.js';
import { fromBase64 } from './bytes.js';
import type { CborMap } from './cbor.js';
import { claimKey } from './labels.js';
import { MAX_JSON_DEPTH } from './limits.js';
import type { ParsedToken } from './token.js';

/** Whether nesting is deeper than njs reads. */
const isDeep = (value: unknown, depth: number): boolean =>
  !!value &&
  typeof value === 'object' &&
  (depth > MAX_JSON_DEPTH || Object.keys(value).some((name) => isDeep((value as CborMap)[name], depth + 1)));

/** A fraction's digits aside: njs does not always write the shortest ones. */
const withoutFractions = (text: string): string => text.replace(/\.\d+/g, '');

/**
 * A JSON object. Names that occur twice are refused (RFC 7519 4 leaves a choice; two readers could choose differently),
 * and so is what engines read differently: lone surrogates, bytes that are not UTF-8, and the numbers `.5`, `1.` and
 * `01`, which JSON forbids and njs takes. Throws then. A text that is written as JSON.stringify writes has none of these;
 * builds with `anyJson` leave its spaces out and write its strings and numbers anew before they compare; others take only
 * such.
 */
const readJson = (encoded: string): CborMap => {
  const text = fromBase64(encoded).toString();
  const map: unknown = JSON.parse(text);
  const written = JSON.stringify(map);
  must(
    text[0] === '{' &&
      // The one costs njs half of what the other does, and six bytes.
      (FEATURES.usualJwt ? written.search(/\ufffd/) < 0 : !has(written, '\ufffd')) &&
      (written === text ||
        (FEATURES.anyJson
          ? written ===
            // Without spaces at its end: a replacement there, in a text beyond ASCII, njs 0.7.9 may never end.
            text
              .trim()
              .replace(
                /"(\\.|[^"\\])*"|-?(0|[1-9]\d*)(\.\d+)?(e[-+]?\d+)?|\s+/gi,
                (part) => part.trim() && JSON.stringify(JSON.parse(part)),
              )
          : FEATURES.fractions && withoutFractions(written) === withoutFractions(text))) &&
      // V8 keeps halves of surrogate pairs and any depth; njs, whose verdicts these must be, neither.
      (!FEATURES.anyEngine ||
        !(isDeep(map, 1) || (has(written, '\\ud') && /(^|[^\\])(\\\\)*\\ud[89a-f]/.test(written)))),
  );
  return map as CborMap;
};

/** `{"alg":"HS256","typ":"JWT","kid":` in base64url: 33 bytes in 44 characters. */
const USUAL_HEADER = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6';

/** A JWT's header. The usual one is told by how it begins, and is not read as JSON. */
const readHeader = (encoded: string): CborMap => {
  if (FEATURES.usualJwt && encoded.startsWith(USUAL_HEADER)) {
    const rest = fromBase64(encoded.slice(USUAL_HEADER.length)).toString();
    const kid = rest.slice(1, -2);
    // A kid of printable ASCII without quotes and escapes, and the end: in njs `$` matches before a final line break, too.
    if (rest === '"' + kid + '"}' && kid.search(/[^ !#-[\]-~]/) < 0)
      return FEATURES.rare ? { alg: 'HS256', typ: 'JWT', kid: kid } : { alg: 'HS256', kid: kid };
  }
  return readJson(encoded);
};

/**
 * Takes a JWT in compact form apart (RFC 7515 7.1, RFC 7519 7.2). Throws when it is none.
 * `crit` is refused: this recipient understands no extension (RFC 7515 4.1.11).
 */
export const parseJwt = (text: string): ParsedToken => {
  const parts = text.split('.');
  const header = readHeader(parts[0] as string);
  const payload = readJson(parts[1] as string);
  const claims: CborMap = FEATURES.claimKeys ? {} : payload;
  must(
    parts.length === 3 &&
      // No base64url text has a length of 1 modulo 4; njs reads one as nothing, other engines as what is before.
      (!FEATURES.rare || parts.every((part) => part.length % 4 !== 1)) &&
      // Explicit typing (RFC 8725 3.11): a token made for another purpose (`dpop+jwt`, `logout+jwt`) is not one of ours.
      (!FEATURES.rare || /(^|\/)(at\+)?jwt$/i.test((header['typ'] || 'jwt') as string)) &&
      !header['crit'],
  );
  if (FEATURES.claimKeys)
    Object.keys(payload).forEach((name) => {
      claims[claimKey(name)] = payload[name];
    });
  return {
    isJwt: true,
    algorithm: header['alg'] as string,
    kid: (header['kid'] || '') as string,
    claims: claims,
    signed: [parts[0] + '.' + parts[1]],
    signature: fromBase64(parts[2] as string),
    payload: payload,
  };
};
