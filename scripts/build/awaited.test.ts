import { describe, expect, it } from 'vitest';
import { withoutAliases } from './aliases.js';
import { inlineAwaited } from './awaited.js';

/** Without the numbers that make names unique, and what is left of an empty statement. */
const plain = (source: string): string => source.replace(/\$\d+/g, '').replace(/;{2,}|\n/g, ';');

describe('an async function that another awaits in one place', () => {
  it.each([
    [
      'becomes a part of that',
      'async function f(a){let b=await g(a);return b}async function h(e){let v=await f(e.x);k(v)}',
      'async function h(e){let a=e.x;let b=await g(a);k(b)}',
    ],
    [
      'uses constants and what does not change in the place of its parameters',
      'async function f(a,b,c){await a;return {a,d:b,c}}async function h(e){let v=await f(e,!1);k(v)}',
      'async function h(e){await e;let v={a:e,d:!1,c:void 0};k(v)}',
    ],
    [
      'gives its result to what is declared behind it',
      'async function f(a){let b=1;await b;return b}async function h(e){let u=e,v=await f(u),w=v+1;k(v,w)}',
      'async function h(e){let u=e;let b=1;await b;let w=b+1;k(b,w)}',
    ],
    [
      'keeps a parameter that changes',
      'async function f(a){a++;await a;return a}async function h(e){let v=await f(e);k(v)}',
      'async function h(e){let a=e;a++;await a;k(a)}',
    ],
  ])('%s', (_, source, expected) => {
    expect(plain(inlineAwaited(source))).toBe(expected);
  });

  it.each([
    ['has a closure over its own variable', 'async function f(a){let b=await a;g(()=>b);return b}'],
    ['returns early', 'async function f(a){if(a)return 1;await a;return 2}'],
  ])('stays where it %s', (_, source) => {
    expect(plain(inlineAwaited(`${source}async function h(e){let v=await f(e);k(v)}`))).toContain('await f(e)');
  });

  it.each([
    ['two await it', 'async function h(e){let v=await f(e);k(v)}async function i(e){let v=await f(e);k(v)}'],
    ['it is awaited in a loop', 'async function h(e){for(;e--;){let v=await f(e);k(v)}}'],
    ['it is given too much', 'async function h(e){let v=await f(e,1);k(v)}'],
    ['it is used otherwise', 'async function h(e){k(await f(e))}'],
  ])('stays where %s', (_, source) => {
    expect(plain(inlineAwaited(`async function f(a){await a;return a}${source}`))).toContain('async function f(a)');
  });
});

describe('a variable that is only another name', () => {
  it.each([
    ['for what the script declares', 'var g=1;f=(a,b)=>(b=g,h(b,b))', 'var g=1;f=a=>(g,h(g,g))'],
    ['for a parameter', 'f=(a,b)=>(b=a,()=>({b}))', 'f=(a)=>(a,()=>({b:a}))'],
  ])('is left out %s', (_, source, expected) => {
    expect(withoutAliases(source).replace('(a)=>', 'a=>')).toBe(expected.replace('(a)=>', 'a=>'));
  });

  it.each([
    ['what changes', 'var g=1;f=(a,b)=>(b=g,g=2,h(b))'],
    ['a parameter that changes', 'f=(a,b)=>(b=a,a++,h(b))'],
    ['one of two things', 'var g=1;f=(a,b)=>(a&&(b=g),h(b))'],
    ['a variable that changes itself', 'var g=1;f=(a,b)=>(b=g,b++,h(b))'],
  ])('stays where it names %s', (_, source) => {
    expect(withoutAliases(source)).toBe(source);
  });
});
