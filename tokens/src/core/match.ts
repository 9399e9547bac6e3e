import { isText, must } from './basics.js';
import { toBase64 } from './bytes.js';
import type { CborMap, CborValue } from './cbor.js';
import { bytesText, facts, jwt, none, countKeys, text } from './claim-values.js';
import { MAX_REGEX_COST, MAX_REGEX_LENGTH, MAX_REGEX_TEXT } from './limits.js';

/**
 * The regular expressions that are taken (CTA-5007-B 4.6.10; IEEE 1003.1 extended syntax): single characters, escaped
 * punctuation and bracket expressions, each with at most one quantifier; groups, alternation, anchors. A group may be
 * made optional but not repeated; what all that multiplies to is bounded apart (`MAX_REGEX_COST`).
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

/** Whether the groups that a pattern finds in `subject` are those that `expected` gives behind the pattern. */
export const matchesPattern = (expected: readonly CborValue[], subject: string): boolean => {
  const pattern = expected[0] as string;
  if (
    !EXTENDED.test(pattern) ||
    pattern[MAX_REGEX_LENGTH] ||
    // What it may cost: never fewer than the ways through its alternatives and optional parts, times 8 for each repeat
    // and for a start that is not anchored; 16 times that, since what is counted are the pieces between. Each stretch
    // between opening brackets has one way more than it has bars: nesting adds where this multiplies.
    pattern
      .split('(')
      .reduce(
        (cost, part) => cost * part.split('|').length,
        8 ** pattern.split(/[*+{]|^[^^]/).length * 2 ** pattern.split('?').length,
      ) >
      16 * MAX_REGEX_COST
  )
    throw 'unsupported_claim';
  const found =
    !subject[MAX_REGEX_TEXT] &&
    new RegExp(
      pattern
        // `]` right at the start of a bracket expression stands for itself.
        .replace(/\[(\^?)\]/g, '[$1\\]')
        .replace(/\[:(\w+):\]/g, (_, name: string) => {
          text(CLASSES[name]);
          return CLASSES[name] as string;
        }),
    ).exec(subject);
  return none(expected, (entry: CborValue, i) => {
    must(isText(entry) || entry === null);
    return !found || !(i in found) || (i && entry !== null && entry !== found[i]);
  });
};

/** JWT names of match types, in the order of the standard's numbers, which begin at -2; those that the build knows. */
const MATCHES = /* @__PURE__ */ (
  (FEATURES.catuHash ? 'sha512-256 sha256 ' : '') +
  'exact prefix suffix contains' +
  (FEATURES.catuRegex ? ' regex' : '')
).split(' ');
/** The string methods that match types 1 to 3 are. */
const METHODS = ['', 'startsWith', 'endsWith', 'includes'];

/**
 * In how many entries of a map some match (CTA-5007-B 4.6.10) does not hold for the text that the entry's key stands for;
 * that is undefined where there is none. Throws when a match is malformed, or `'unsupported_claim'`.
 */
export const failures = (map: CborMap, subject: (key: string) => string | undefined): number =>
  countKeys(map, (key) => {
    const matches = map[key] as CborMap;
    const value = subject(key);
    // Matches are read even where there is nothing to hold them against.
    const given = value || '';
    return (
      countKeys(matches, (type) => {
        const operand = matches[type] as string;
        const place = jwt ? MATCHES.indexOf(type) : +type;
        const match = FEATURES.catuHash && jwt ? place - 2 : place;
        if (FEATURES.catuHash && match === -2) throw 'unsupported_claim';
        if (FEATURES.catuRegex && match === 4) return !matchesPattern(operand as unknown as CborValue[], given);
        if (FEATURES.catuHash && match === -1) return bytesText(operand) !== toBase64(facts.host.digest(given));
        text(operand);
        // A number that is no match type's is no method, which throws; so is what a CAT's text comes to.
        return match === 0 ? given !== operand : !given[METHODS[match] as 'includes'](operand);
      }) ||
      (FEATURES.cath && value === undefined)
    );
  });
