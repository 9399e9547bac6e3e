import { createHash } from 'node:crypto';
import type { PreParseTextTransformationType, TextTransformationType } from '@aws-sdk/client-wafv2';
import { WafRulesError } from './errors.js';

// Text transformations as the AWS WAF Developer Guide describes them (waf-rule-statement-transformation). Every string
// here is bytes: one character from U+0000 to U+00FF per byte.

/** A transformation of bytes to bytes. */
export type Transformation = (input: string) => string;

/** Upper-case A to Z only: bytes beyond ASCII stay. */
const lowercase: Transformation = (input) =>
  /[A-Z]/.test(input) ? input.replace(/[A-Z]+/g, (run) => run.toLowerCase()) : input;
const uppercase: Transformation = (input) =>
  /[a-z]/.test(input) ? input.replace(/[a-z]+/g, (run) => run.toUpperCase()) : input;

/** A 16-bit escape as one byte: full-width ASCII folded, else the low byte. */
const foldWide = (code: number): string =>
  String.fromCharCode(code >= 0xff01 && code <= 0xff5e ? code - 0xfee0 : code & 0xff);

/** `%HH` only. What becomes of `+` and of a bad `%` is not documented: both stay. */
const urlDecode: Transformation = (input) => {
  if (!input.includes('%')) return input;
  return input.replace(/%([0-9a-fA-F]{2})/g, (_escape, digits: string) => String.fromCharCode(parseInt(digits, 16)));
};

const urlDecodeUni: Transformation = (input) => {
  if (!input.includes('%')) return input;
  return input.replace(/%(?:[uU]([0-9a-fA-F]{4})|([0-9a-fA-F]{2}))/g, (_escape, wide?: string, narrow?: string) =>
    wide !== undefined ? foldWide(parseInt(wide, 16)) : String.fromCharCode(parseInt(narrow as string, 16)),
  );
};

const entities: Readonly<Record<string, number>> = {
  quot: 34,
  amp: 38,
  lt: 60,
  gt: 62,
  nbsp: 160,
  apos: 39,
  sol: 47,
  bsol: 92,
  colon: 58,
  semi: 59,
  comma: 44,
  period: 46,
  excl: 33,
  num: 35,
  dollar: 36,
  percnt: 37,
  lpar: 40,
  rpar: 41,
  ast: 42,
  plus: 43,
  equals: 61,
  quest: 63,
  commat: 64,
  lsqb: 91,
  lbrack: 91,
  rsqb: 93,
  rbrack: 93,
  hat: 94,
  lowbar: 95,
  grave: 96,
  lcub: 123,
  lbrace: 123,
  verbar: 124,
  vert: 124,
  rcub: 125,
  rbrace: 125,
  tab: 9,
  newline: 10,
  copy: 169,
  reg: 174,
  cent: 162,
  pound: 163,
  yen: 165,
  sect: 167,
  laquo: 171,
  raquo: 187,
  frac12: 189,
  deg: 176,
};

/** `&#xhh;`, `&#nn;` and named entities in any case. */
const htmlEntityDecode: Transformation = (input) => {
  if (!input.includes('&')) return input;
  return input.replace(
    /&(?:#[xX]([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([A-Za-z][A-Za-z0-9]{1,7}));/g,
    (whole: string, hex?: string, decimal?: string, name?: string) => {
      if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16) & 0xff);
      if (decimal !== undefined) return String.fromCharCode(parseInt(decimal, 10) & 0xff);
      const code = entities[(name as string).toLowerCase()];
      return code === undefined ? whole : String.fromCharCode(code);
    },
  );
};

/** Bytes 9 to 13 and 160 become spaces, runs of spaces one. */

const compressWhiteSpace: Transformation = (input) => input.replace(/[\t-\r\u00a0 ]+/g, ' ');

const normalizePath: Transformation = (input) => {
  if (!input.includes('//') && !input.includes('./') && !/(^|\/)\.{1,2}$/.test(input)) return input;
  const rooted = input.startsWith('/');
  const ends = /\/\.{0,2}$/.test(input);
  const kept: string[] = [];
  for (const segment of input.split('/')) {
    if (segment === '' || segment === '.') continue;
    // A `../` at the very beginning has nothing to take away and stays.
    if (segment === '..' && kept.length > 0 && kept[kept.length - 1] !== '..') kept.pop();
    else if (segment === '..' && rooted) continue;
    else kept.push(segment);
  }
  const path = (rooted ? '/' : '') + kept.join('/');
  return ends && path !== '/' && path !== '' ? `${path}/` : path;
};

const base64Alphabet = /^[A-Za-z0-9+/]*={0,2}$/;

/** Strict: what becomes of bad input is not documented, it stays as it is. */
const base64Decode: Transformation = (input) =>
  base64Alphabet.test(input) && input.replace(/=+$/, '').length % 4 !== 1
    ? Buffer.from(input, 'base64').toString('latin1')
    : input;

/** Forgiving: characters outside the alphabet are skipped. */
const base64DecodeExt: Transformation = (input) =>
  Buffer.from(input.replace(/[^A-Za-z0-9+/]/g, ''), 'base64').toString('latin1');

const hexDecode: Transformation = (input) =>
  input.length > 0 && input.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(input)
    ? Buffer.from(input, 'hex').toString('latin1')
    : input;

const sqlHexDecode: Transformation = (input) =>
  input.replace(/0x((?:[0-9a-fA-F]{2})+)/g, (_whole, digits: string) => Buffer.from(digits, 'hex').toString('latin1'));

const digest =
  (algorithm: 'md5' | 'sha256'): Transformation =>
  (input) =>
    createHash(algorithm).update(Buffer.from(input, 'latin1')).digest().toString('latin1');

/** Each comment one space, an unterminated one too; a lone end mark stays. */
const replaceComments: Transformation = (input) => {
  if (!input.includes('/*')) return input;
  let out = '';
  let at = 0;
  for (;;) {
    const start = input.indexOf('/*', at);
    if (start < 0) return out + input.slice(at);
    out += `${input.slice(at, start)} `;
    const end = input.indexOf('*/', start + 2);
    if (end < 0) return out;
    at = end + 2;
  }
};

/** CSS 2 escapes: up to six digits and one white space, of which the low two bytes count; `\x` is x. */
const cssDecode: Transformation = (input) =>
  input.replace(/\\(?:([0-9a-fA-F]{1,6})[ \t\r\n\f]?|\r?\n|([^]))/g, (_whole, digits?: string, other?: string) =>
    digits !== undefined ? foldWide(parseInt(digits, 16) & 0xffff) : (other ?? ''),
  );

const jsEscapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

const jsDecode: Transformation = (input) =>
  input.replace(
    /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|([^]))/g,
    (_whole, wide?: string, narrow?: string, octal?: string, other?: string) => {
      if (wide !== undefined) return foldWide(parseInt(wide, 16));
      if (narrow !== undefined) return String.fromCharCode(parseInt(narrow, 16));
      if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 0xff);
      return jsEscapes[other as string] ?? (other as string);
    },
  );

/** As JS_DECODE, and the braced form `\u{…}`. */
const jsDecodeExt: Transformation = (input) =>
  jsDecode(
    input.replace(/\\u\{([0-9a-fA-F]{1,6})\}/g, (_whole, digits: string) => foldWide(parseInt(digits, 16) & 0xffff)),
  );

const ansiEscapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  "'": "'",
  '"': '"',
};

const escapeSequenceDecode: Transformation = (input) =>
  input.replace(
    /\\(?:([abfnrtv\\?'"])|x([0-9a-fA-F]{2})|([0-7]{1,3}))/g,
    (_whole, named?: string, hex?: string, octal?: string) => {
      if (named !== undefined) return ansiEscapes[named] as string;
      return String.fromCharCode((hex !== undefined ? parseInt(hex, 16) : parseInt(octal as string, 8)) & 0xff);
    },
  );

/** In the order the guide lists the steps. */
const commandLine =
  (deleted: RegExp, trim: boolean): Transformation =>
  (input) => {
    const squeezed = lowercase(
      input
        .replace(deleted, '')
        .replace(/ +([/(])/g, '$1')
        .replace(/[,;]/g, ' ')
        .replace(/ {2,}/g, ' '),
    );
    return trim ? squeezed.trim() : squeezed;
  };

/** Code points of UTF-8 text in the form `%uHHHH`; the output's form is not documented. */
const utf8ToUnicode: Transformation = (input) => {
  const bytes = Buffer.from(input, 'latin1');
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd')) return input;
  let out = '';
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    out += code < 128 ? character : `%u${code.toString(16).padStart(4, '0')}`;
  }
  return out;
};

const none: Transformation = (input) => input;

const table: Readonly<Record<TextTransformationType, Transformation>> = {
  NONE: none,
  LOWERCASE: lowercase,
  UPPERCASE: uppercase,
  URL_DECODE: urlDecode,
  URL_DECODE_UNI: urlDecodeUni,
  HTML_ENTITY_DECODE: htmlEntityDecode,
  COMPRESS_WHITE_SPACE: compressWhiteSpace,
  // eslint-disable-next-line no-control-regex -- NUL is what is looked for
  REMOVE_NULLS: (input) => input.replace(/\u0000/g, ''),
  // eslint-disable-next-line no-control-regex -- NUL is what is looked for
  REPLACE_NULLS: (input) => input.replace(/\u0000/g, ' '),
  NORMALIZE_PATH: normalizePath,
  NORMALIZE_PATH_WIN: (input) => normalizePath(input.replace(/\\/g, '/')),
  BASE64_DECODE: base64Decode,
  BASE64_DECODE_EXT: base64DecodeExt,
  HEX_DECODE: hexDecode,
  SQL_HEX_DECODE: sqlHexDecode,
  MD5: digest('md5'),
  SHA256: digest('sha256'),
  REPLACE_COMMENTS: replaceComments,
  REMOVE_COMMENTS_CHAR: (input) => input.replace(/\/\*|\*\/|--|#/g, ''),
  CSS_DECODE: cssDecode,
  JS_DECODE: jsDecode,
  JS_DECODE_EXT: jsDecodeExt,
  ESCAPE_SEQ_DECODE: escapeSequenceDecode,
  CMD_LINE: commandLine(/[\\"'^]/g, false),
  CMD_LINE_UNIX: commandLine(/[\\"']/g, true),
  CMD_LINE_WIN: commandLine(/["'^]/g, true),
  REMOVE_WHITESPACE: (input) => input.replace(/[\t-\r\u00a0 ]+/g, ''),
  TRIM: (input) => input.replace(/^[\t-\r\u00a0 ]+|[\t-\r\u00a0 ]+$/g, ''),
  TRIM_LEFT: (input) => input.replace(/^[\t-\r\u00a0 ]+/, ''),
  TRIM_RIGHT: (input) => input.replace(/[\t-\r\u00a0 ]+$/, ''),
  UTF8_TO_UNICODE: utf8ToUnicode,
};

/**
 * Transformations whose effect, or part of it, no page we read states: the API lists the names only, or leaves the
 * output open. They are simulated by the usual meaning of the name; a simulation that uses one says so.
 */
export const undocumentedTransformations: ReadonlySet<string> = new Set([
  'CMD_LINE_UNIX',
  'CMD_LINE_WIN',
  'JS_DECODE_EXT',
  'REMOVE_COMMENTS_CHAR',
  'UTF8_TO_UNICODE',
]);

/** Names of all transformations the simulator knows. */
export const transformationNames = Object.keys(table) as TextTransformationType[];

/**
 * The transformation of a name.
 *
 * @throws WafRulesError `unsupported_statement` for a name the API does not list
 */
export function transformationOf(type: string | undefined): Transformation {
  const found = (table as Readonly<Record<string, Transformation>>)[type ?? ''];
  if (!found) throw new WafRulesError('unsupported_statement', `No text transformation is called "${type}".`);
  return found;
}

/** Transformations of the raw query string, before it is split (waf-rule-statement-preparse-transformation). */
export function preParseTransformationOf(type: PreParseTextTransformationType | undefined): Transformation {
  switch (type) {
    case undefined:
    case 'NONE':
      return none;
    case 'URL_DECODE':
      return urlDecode;
    case 'URL_DECODE_UNI':
      return urlDecodeUni;
    case 'REPLACE_SEMICOLONS_WITH_AMPERSANDS':
      return (input) => input.replace(/;/g, '&');
    case 'COMBINE_DUPLICATE_QUERY_ARGS_BY_COMMA':
      return (input) => {
        const combined = new Map<string, string[]>();
        for (const pair of input.split('&')) {
          const equals = pair.indexOf('=');
          const name = equals < 0 ? pair : pair.slice(0, equals);
          const values = combined.get(name) ?? [];
          values.push(equals < 0 ? '' : pair.slice(equals + 1));
          combined.set(name, values);
        }
        return [...combined].map(([name, values]) => `${name}=${values.join(',')}`).join('&');
      };
    default:
      throw new WafRulesError('unsupported_statement', `No pre-parse transformation is called "${String(type)}".`);
  }
}
