import { describe, expect, it } from 'vitest';
import { nameRepeated } from './shorten.js';

const withNames = (source: string, length = 1): string => nameRepeated(source, () => length).code;

describe('names for what a script says often', () => {
  it.each([
    ['properties', 'a.length+b.length+c.length', 'var n0$$="length";a[n0$$]+b[n0$$]+c[n0$$]'],
    ['properties that are said too seldom', 'a.length+b.length', 'a.length+b.length'],
    ['texts', 'f("some text");f("some text")', 'var n0$$="some text";f(n0$$);f(n0$$)'],
    ['a property and a text that are alike', 'a.slice+b.slice+f("slice")', 'var n0$$="slice";a[n0$$]+b[n0$$]+f(n0$$)'],
    ['functions of the platform', 'Object.keys(a);Object.keys(b)', 'var n0$$=Object.keys;n0$$(a);n0$$(b)'],
    ['undefined, once it is named', 'f(void 0);f(void 0);g(void f())', 'var n0$$;f(n0$$);f(n0$$);g(void f())'],
    [
      'a text after a word',
      'x=()=>{return"some text"};f("some text")',
      'var n0$$="some text";x=()=>{return n0$$};f(n0$$)',
    ],
    [
      'keys of objects and required modules stay',
      '({"a-b-c-d":require("crypto"),"a-b-c-d":require("crypto")})',
      '({"a-b-c-d":require("crypto"),"a-b-c-d":require("crypto")})',
    ],
  ])('%s', (_, source, expected) => {
    expect(withNames(source)).toBe(expected);
  });

  it('are given only where the name is short enough', () => {
    const source = 'a.sort+b.sort+c.sort+d.sort+e.sort+f.sort';
    expect(withNames(source, 1)).not.toBe(source);
    expect(withNames(source, 2)).toBe(source);
  });
});
