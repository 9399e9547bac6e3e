import { must } from './basics.js';

/**
 * What two parties could read differently in a path, so that neither is let guess: characters beyond printable ASCII,
 * backslash and fragment; escaped slashes, backslashes, controls and percent signs
 * that lead to a second escape; empty segments; dot segments, plain or escaped, also those with parameters behind them.
 */
const AMBIGUOUS = /[^!-~]|[\\#]|%(2f|5c|[01][\da-f]|7f|25[\da-f]{2})|\/\/|\/(\.|%2e){1,2}(\/|;|%3b|$)/i;

/** The same for builds without `escapes`, which take no escape at all. */
const PLAIN = /[^!-~]|[\\#%]|\/\/|\/\.{1,2}(\/|;|$)/;

/** What a path needs to have to be worth a closer look; most have none of it. */
const UNUSUAL = /[^\w/.~-]|\/[./]/;

/** RFC 3986 6.2.2.1 and 6.2.2.2. Throws where escapes are broken or not UTF-8. */
export const normaliseEscapes = (text: string): string => {
  must(decodeURIComponent(text) || !text);
  return text.replace(/%../g, (escape) => {
    // Escapes from %80 on are parts of a character.
    const character = escape < '%8' ? decodeURIComponent(escape) : '%';
    return character.search(/[\w.~-]/) ? escape.toUpperCase() : character;
  });
};

/**
 * The normal form of a path: unreserved characters unescaped, escapes in upper case (RFC 3986 6.2.2).
 * Dot segments are not removed but refused, since the origin gets the path as the viewer sent it.
 * Throws when the path is ambiguous.
 *
 * @param path As sent, without its token.
 */
export const normalisePath = (path: string): string => {
  // `search` costs njs half of what `test` does.
  if (FEATURES.escapes ? path.search(UNUSUAL) < 0 : path.search(PLAIN) < 0) return path;
  if (!FEATURES.escapes) throw 0;
  must(path.search(AMBIGUOUS) < 0);
  return normaliseEscapes(path);
};

/** Whether `path` is one of `prefixes` or lies below it, by whole segments: `/live` holds `/live/a`, not `/live-secret`. */
export const isBelow = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => (path + '/').startsWith(prefix.replace(/\/?$/, '/')));
