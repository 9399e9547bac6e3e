import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { preParseTransformationOf, transformationNames, transformationOf } from './transformations.js';

// Each case follows the description of waf-rule-statement-transformation (AWS WAF Developer Guide).
const cases: Record<string, readonly (readonly [input: string, output: string])[]> = {
  NONE: [['AbC%20', 'AbC%20']],
  LOWERCASE: [
    ['ABCxyz', 'abcxyz'],
    ['\u00c4BC', '\u00c4bc'],
    ['already', 'already'],
  ],
  UPPERCASE: [
    ['abcXYZ', 'ABCXYZ'],
    ['\u00e4bc', '\u00e4BC'],
  ],
  URL_DECODE: [
    ['%41%62c', 'Abc'],
    ['%2Flive%2f', '/live/'],
    ['a+b', 'a+b'],
    ['100%', '100%'],
    ['%zz%4', '%zz%4'],
    ['%2541', '%41'],
    ['%u0041', '%u0041'],
    ['%00', '\u0000'],
    ['%ff', '\u00ff'],
  ],
  URL_DECODE_UNI: [
    ['%u0041%42', 'AB'],
    ['%uff41', 'a'],
    ['%uFF5E', '~'],
    ['%uFF01', '!'],
    ['%u1241', 'A'],
    ['%uZZZZ', '%uZZZZ'],
  ],
  HTML_ENTITY_DECODE: [
    ['&lt;script&gt;', '<script>'],
    ['&#x3c;&#60;&#X3C;', '<<<'],
    ['&QUOT;&Lt;', '"<'],
    ['&sol;&colon;', '/:'],
    ['&unknown;', '&unknown;'],
    ['&lt', '&lt'],
    ['&nbsp;', '\u00a0'],
    ['a & b', 'a & b'],
  ],
  COMPRESS_WHITE_SPACE: [
    ['a  b', 'a b'],
    ['a\t\n\v\f\rb', 'a b'],
    ['a\u00a0\u00a0b', 'a b'],
    ['a \t b', 'a b'],
    [' a ', ' a '],
  ],
  REMOVE_NULLS: [['a\u0000b\u0000', 'ab']],
  REPLACE_NULLS: [['a\u0000b', 'a b']],
  NORMALIZE_PATH: [
    ['/a//b', '/a/b'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/../../c', '/c'],
    ['/a/b/', '/a/b/'],
    ['../a', '../a'],
    ['/..', '/'],
    ['/a/..', '/'],
    ['///', '/'],
    ['/a/b.m3u8', '/a/b.m3u8'],
    ['/a/...', '/a/...'],
  ],
  NORMALIZE_PATH_WIN: [
    ['\\a\\..\\b', '/b'],
    ['/a\\b', '/a/b'],
  ],
  BASE64_DECODE: [
    ['SGVsbG8=', 'Hello'],
    ['SGVsbG8', 'Hello'],
    ['SGV$bG8=', 'SGV$bG8='],
  ],
  BASE64_DECODE_EXT: [
    ['SG Vs-bG8=', 'Hello'],
    ['SGVsbG8=', 'Hello'],
  ],
  HEX_DECODE: [
    ['48656C6c6f', 'Hello'],
    ['4', '4'],
    ['zz', 'zz'],
  ],
  SQL_HEX_DECODE: [
    ['0x414243', 'ABC'],
    ["' or 0x41", "' or A"],
    ['0x4', '0x4'],
  ],
  MD5: [],
  REPLACE_COMMENTS: [
    ['a/*x*/b', 'a b'],
    ['a/*x', 'a '],
    ['a*/b', 'a*/b'],
    ['/*a*//*b*/', '  '],
    ['a/b', 'a/b'],
  ],
  REMOVE_COMMENTS_CHAR: [['a/*b*/--#c', 'abc']],
  CSS_DECODE: [
    ['ja\\vascript', 'javascript'],
    ['\\6a avascript', 'javascript'],
    ['\\00006aavascript', 'javascript'],
    ['\\x', 'x'],
  ],
  JS_DECODE: [
    ['\\u0061\\x62', 'ab'],
    ['\\uff41', 'a'],
    ['\\141', 'a'],
    ['\\n', '\n'],
    ['\\q', 'q'],
  ],
  JS_DECODE_EXT: [['\\u{61}\\u0062', 'ab']],
  ESCAPE_SEQ_DECODE: [
    ['\\a\\b\\f\\n\\r\\t\\v', '\u0007\b\f\n\r\t\v'],
    ['\\\\\\?\\\'\\"', '\\?\'"'],
    ['\\x41\\101', 'AA'],
    ['\\q', '\\q'],
  ],
  CMD_LINE: [
    ['c^md "/c" \'x\'', 'cmd/c x'],
    ['a,b;c', 'a b c'],
    ['cat   FILE', 'cat file'],
    ['call (x', 'call(x'],
    ['a\\b', 'ab'],
  ],
  CMD_LINE_UNIX: [['  Cat "x"', 'cat x']],
  CMD_LINE_WIN: [['C:\\^Win', 'c:\\win']],
  REMOVE_WHITESPACE: [['a \t\u00a0b', 'ab']],
  TRIM: [[' \ta b ', 'a b']],
  TRIM_LEFT: [['  a ', 'a ']],
  TRIM_RIGHT: [[' a  ', ' a']],
  SHA256: [],
  UTF8_TO_UNICODE: [
    ['\u00c3\u00a4b', '%u00e4b'],
    ['plain', 'plain'],
    ['\u00ff', '\u00ff'],
  ],
};

describe('text transformations', () => {
  test('every transformation of the API has its cases here', () => {
    expect(Object.keys(cases).sort()).toEqual([...transformationNames].sort());
  });

  for (const [name, list] of Object.entries(cases)) {
    if (name === 'MD5') continue;
    test.each(list.map(([input, output]) => ({ input, output })))(
      `${name} of $input is $output`,
      ({ input, output }) => {
        expect(transformationOf(name)(input)).toBe(output);
      },
    );
  }

  test.each(['md5', 'sha256'])('%s is the raw digest, one character a byte', (algorithm) => {
    expect(Buffer.from(transformationOf(algorithm.toUpperCase())('token'), 'latin1').toString('hex')).toBe(
      createHash(algorithm).update('token').digest('hex'),
    );
  });

  test('an unknown name is refused', () => {
    expect(() => transformationOf('ROT13')).toThrowError(expect.objectContaining({ code: 'unsupported_statement' }));
  });
});

describe('transformations before the query string is split', () => {
  test.each([
    ['NONE', 'a=1;b=2', 'a=1;b=2'],
    ['URL_DECODE', 'a%3d1', 'a=1'],
    ['URL_DECODE_UNI', 'a%u003d1', 'a=1'],
    ['REPLACE_SEMICOLONS_WITH_AMPERSANDS', 'a=1;b=2', 'a=1&b=2'],
    ['COMBINE_DUPLICATE_QUERY_ARGS_BY_COMMA', 'a=1&b=2&a=3', 'a=1,3&b=2'],
  ] as const)('%s of %s is %s', (type, input, output) => {
    expect(preParseTransformationOf(type)(input)).toBe(output);
  });
});
