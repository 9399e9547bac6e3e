import { isBytes, isList, isText, must, toBase64 } from './basics.js';
import { keysOf, type CborMap, type CborValue } from './cbor.js';
import { MAX_REGEX_COST, MAX_REGEX_LENGTH, MAX_REGEX_TEXT } from './limits.js';

/**
 * The regular expressions that are taken (CTA-5007-B 4.6.10; IEEE 1003.1 extended syntax): single characters, escaped
 * punctuation and bracket expressions, each with at most one quantifier; groups, alternation, anchors. A group may be
 * made optional but not repeated; what all that multiplies to is bounded apart (`costOf`).
 */
const EXTENDED =
  /^((\\[^\w\s]|\[\^?\]?([^\][\\]|\[:[a-z]+:\])*\]|[^\\[\]{}()*+?|^$])([*+?]|\{\d\d?(,\d{0,2})?\})?|[(|^$]|\)\??)*$/;

/** Character classes (IEEE 1003.1 9.3.5) in the engines' own terms. */
const CLASSES: Record<string, string> = {
  alnum: '\\da-zA-Z',
  alpha: 'a-zA-Z',
  digit: '\\d',
  lower: 'a-z',
  upper: 'A-Z',
  xdigit: '\\da-fA-F',
};

/**
 * What a pattern may cost: never fewer than the ways through its alternatives and optional parts, times 8 for each
 * repeat and for a start that is not anchored. Each stretch between opening brackets has one way more than it has bars:
 * nesting adds where this multiplies.
 */
const costOf = (pattern: string): number =>
  pattern
    .split('(')
    .reduce(
      (cost, part) =>
        cost * part.split('|').length * 2 ** (part.split('?').length - 1) * 8 ** (part.split(/[*+{]/).length - 1),
      pattern[0] === '^' ? 1 : 8,
    );

/** Whether the groups that a pattern finds in `text` are those that `expected` gives behind the pattern. */
const matchesPattern = (expected: CborValue[], text: string): boolean => {
  must(isList(expected) && expected.length && expected.every((entry, i) => isText(entry) || (i && entry === null)));
  const pattern = expected[0] as string;
  if (!EXTENDED.test(pattern) || pattern.length > MAX_REGEX_LENGTH || costOf(pattern) > MAX_REGEX_COST)
    throw 'unsupported_claim';
  const found =
    text.length <= MAX_REGEX_TEXT &&
    new RegExp(
      pattern
        // `]` right at the start of a bracket expression stands for itself.
        .replace(/\[(\^?)\]/g, '[$1\\]')
        .replace(/\[:(\w+):\]/g, (_, name: string) => {
          must(isText(CLASSES[name]));
          return CLASSES[name] as string;
        }),
    ).exec(text);
  return (
    !!found &&
    expected.length <= found.length &&
    expected.every((entry, i) => !i || entry === null || entry === found[i])
  );
};

/** A byte string in base64url text; a JWT has it in that form already. Throws when it is of the other kind. */
export const bytesText = (value: CborValue, jwt: boolean): string => {
  must((jwt ? isText : isBytes)(value));
  return jwt ? (value as string) : toBase64(value as Buffer);
};

/** JWT names of match types, in the order of the standard's numbers, which begin at -2; those that the build knows. */
const MATCHES = FEATURES.catuHash
  ? ['sha512-256', 'sha256', 'exact', 'prefix', 'suffix', 'contains', 'regex']
  : ['exact', 'prefix', 'suffix', 'contains', 'regex'];
/** The string methods that match types 1 to 3 are. */
const METHODS = ['-', 'startsWith', 'endsWith', 'includes'] as const;

/**
 * Whether `text` satisfies every match of a match map (CTA-5007-B 4.6.10). Every match is looked at, so that a
 * malformed one is found whatever the others say. Throws when one is malformed, or `'unsupported_claim'`.
 *
 * @param digest SHA-256 of a text, 32 bytes.
 */
export const matchesAll = (
  matches: CborValue,
  text: string,
  digest: (text: string) => Buffer,
  jwt: boolean,
): boolean => {
  let all = true;
  keysOf(matches).forEach((type) => {
    const operand = (matches as CborMap)[type] as string;
    const match = jwt ? MATCHES.indexOf(type) - (FEATURES.catuHash ? 2 : 0) : +type;
    const method = METHODS[match] as 'includes';
    if (FEATURES.catuHash && match === -2) throw 'unsupported_claim';
    if (
      FEATURES.catuRegex && match === 4
        ? !matchesPattern(operand as unknown as CborValue[], text)
        : FEATURES.catuHash && match === -1
          ? bytesText(operand, jwt) !== toBase64(digest(text))
          : (must(isText(operand) && method), match ? !text[method](operand) : text !== operand)
    )
      all = false;
  });
  return all;
};
