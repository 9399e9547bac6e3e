/** The longest token, and all tokens of one request together, in characters (CTA-5007-B 4.3.1.1: at least 4,096 bytes). */
export const MAX_TOKEN_LENGTH = 4096;
/** Characters of a key id; longer ones belong to no key. */
export const MAX_KID_LENGTH = 128;
/** Tokens looked at in one request (CTA-5007-B 4.4: at least six). */
export const MAX_TOKENS = 6;
/** CBOR items in one token: enough for 50 methods, networks and countries together. */
export const MAX_ITEMS = 600;
/** Nesting of arrays, maps and tags: `catif` holding a claim set that holds `catu` needs nine. */
export const MAX_DEPTH = 12;
/** Nesting of JSON: what njs reads. Other engines are held to it, so that one token has one verdict. */
export const MAX_JSON_DEPTH = 31;
/** Characters of a text that a regular expression is run on. */
export const MAX_REGEX_TEXT = 512;
/** Characters of a regular expression. */
export const MAX_REGEX_LENGTH = 256;
/** What a regular expression may cost (`matchesPattern`): three repeats and four alternatives, or one repeat and 256. */
export const MAX_REGEX_COST = 2048;
