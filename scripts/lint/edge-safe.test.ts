import { ESLint } from 'eslint';
import { beforeAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../engine/repository-root.js';

let eslint: ESLint;
beforeAll(() => {
  eslint = new ESLint({ cwd: repositoryRoot() });
});

async function messages(code: string, filePath: string): Promise<string[]> {
  const [result] = await eslint.lintText(code, { filePath });
  return (result?.messages ?? []).map(({ ruleId, message }) => `${ruleId ?? 'syntax'}: ${message}`);
}

describe('what the edge runtime does not have is an error in edge-safe code', () => {
  test.each<[string, string, RegExp]>([
    ['a class', 'export class Token {}', /classes/],
    ['a class expression', 'export const Token = class {};', /classes/],
    [
      'object destructuring',
      'export const f = (request: { uri: string }) => { const { uri } = request; return uri; };',
      /destruct/,
    ],
    [
      'array destructuring',
      'export const f = (list: string[]) => { const [first] = list; return first; };',
      /destruct/,
    ],
    ['destructured parameters', 'export const f = ({ uri }: { uri: string }) => uri;', /destruct/],
    [
      'destructuring assignment',
      'export const f = (a: number, b: number) => { [a, b] = [b, a]; return a + b; };',
      /destruct/,
    ],
    ['spread in a call', 'export const f = (list: number[]) => Math.max(...list);', /spread/],
    ['spread in an array', 'export const f = (list: number[]) => [...list, 1];', /spread/],
    ['spread in an object', 'export const f = (map: object) => ({ ...map });', /spread/],
    ['a default parameter', 'export const f = (depth = 0) => depth;', /default parameters/],
    ['for…of', 'export const f = (list: number[]) => { for (const item of list) console.log(item); };', /for…of/],
    ['for…in', 'export const f = (map: object) => { for (const key in map) console.log(key); };', /for…in/],
    [
      'for await',
      'export async function f(list: AsyncIterable<number>) { for await (const item of list) console.log(item); }',
      /for…of|for await/,
    ],
    ['a generator', 'export function* f() { yield 1; }', /generators/],
    ['optional catch binding', 'export const f = () => { try { return 1; } catch { return 2; } };', /catch binding/],
    ['an async arrow function', 'export const f = async () => 1;', /async closures/],
    ['an async function expression', 'export const f = async function () { return 1; };', /async closures/],
    ['an async method', 'export const f = { async read() { return 1; } };', /async closures/],
    [
      'await in call arguments',
      'export async function f(g: (x: number) => number, h: () => Promise<number>) { return g(await h()); }',
      /await among call arguments/,
    ],
    [
      'await deeper in call arguments',
      'export async function f(g: (x: number) => number, h: () => Promise<number>) { return g(1 + (await h())); }',
      /await among call arguments/,
    ],
    [
      'await in the arguments of new',
      'export async function f(h: () => Promise<number>) { return new Uint8Array(await h()); }',
      /await among call arguments/,
    ],
    ['||=', 'export const f = (a: string) => { a ||= "x"; return a; };', /logical assignment/],
    ['&&=', 'export const f = (a: string) => { a &&= "x"; return a; };', /logical assignment/],
    ['??=', 'export const f = (a?: string) => { a ??= "x"; return a; };', /logical assignment/],
    ['top-level await', 'export const a = await Promise.resolve(1);', /top-level await/],
    ['dynamic import', 'export const f = () => import("./event.js");', /loads nothing/],
    ['a BigInt literal', 'export const a = 1n;', /BigInt/],
    ['BigInt', 'export const a = BigInt(1);', /BigInt/],
    ['the regex flag u', 'export const a = /x/u;', /flags/],
    ['the regex flag s', 'export const a = /x/s;', /flags/],
    ['a lookbehind', 'export const a = /(?<=x)y/;', /lookbehind/],
    ['a negative lookbehind', 'export const a = /(?<!x)y/;', /lookbehind/],
    ['a Unicode property', 'export const a = /\\p{L}/u;', /\\p/],
    ['a tagged template', 'export const a = String.raw`x`;', /String\.raw/],
    ['Map', 'export const a = new Map();', /Map/],
    ['Set', 'export const a = new Set();', /Set/],
    ['Proxy', 'export const a = new Proxy({}, {});', /Proxy/],
    ['Array.from', 'export const a = Array.from("abc");', /Array\.from/],
    ['Object.fromEntries', 'export const a = Object.fromEntries([]);', /Object\.fromEntries/],
    ['Object.hasOwn', 'export const a = Object.hasOwn({}, "a");', /Object\.hasOwn/],
    ['Promise.all', 'export async function f() { await Promise.all([]); }', /Promise\.all/],
    ['then', 'export const f = (a: Promise<number>) => a.then(String);', /await/],
    ['flat', 'export const a = [[1]].flat();', /flat/],
    ['flatMap', 'export const a = [1].flatMap(String);', /flatMap/],
    ['at', 'export const a = "abc".at(-1);', /no at/],
    ['replaceAll', 'export const a = "abc".replaceAll("a", "b");', /replaceAll/],
    ['replaceAll behind ?.', 'export const f = (a?: string) => a?.replaceAll("a", "b");', /replaceAll/],
    ['matchAll', 'export const a = "abc".matchAll(/a/g);', /matchAll/],
    ['localeCompare', 'export const a = "a".localeCompare("b");', /localeCompare/],
    ['eval', 'export const a = eval("1");', /eval/],
    ['Function', 'export const a = new Function("return 1");', /Function|functions from text/],
    ['a timer', 'export const f = () => setTimeout(() => undefined, 1);', /timers/],
    ['the network', 'export async function f() { return fetch("https://example.com"); }', /network/],
    ['process', 'export const a = process.env;', /process/],
    ['URL', 'export const a = new URL("https://example.com");', /URL/],
    ['an Error', 'export const f = () => { throw new Error("x"); };', /throw a reason/],
    [
      'a function in a block',
      'export const f = (a: boolean) => { if (a) { function g() { return 1; } return g(); } return 2; };',
      /no-inner-declarations/,
    ],
    ['a package', 'import { z } from "zod"; export const a = z;', /edge-safe code only/],
    [
      'a module of Node',
      'import { createHmac } from "node:crypto"; export const a = createHmac;',
      /edge-safe code only/,
    ],
  ])('%s', async (_, code, expected) => {
    for (const file of ['functions/probe.ts', 'tokens/src/core/probe.ts', 'tokens/src/compatibility/probe-core.ts']) {
      expect((await messages(code, file)).join('\n')).toMatch(expected);
    }
  });
});

test('what the runtime has passes', async () => {
  const code = `
    import { has } from '@portcullis/tokens/core/basics';
    export const lower = (names: readonly string[]): string[] => names.map((name) => name.toLowerCase());
    export async function read(key: string, get: (key: string) => Promise<string>): Promise<string | undefined> {
      try {
        const value = await get(key);
        return has(value, 'x') ? value.replace(/x/g, 'y') : undefined;
      } catch (_) {
        throw 'store_error';
      }
    }
    export const rest = (...names: string[]): number => names.length + 2 ** 3;
  `;
  expect(await messages(code, 'functions/probe.ts')).toEqual([]);
});

test('elsewhere the language is whole', async () => {
  expect(await messages('export const a = [...new Set([1, 2])].at(-1);', 'revoker/probe.ts')).toEqual([]);
});

test('nothing but the command line and tests imports scripts', async () => {
  const code = "import { createCli } from '../scripts/cli/output.js'; export const a = createCli;";
  expect((await messages(code, 'revoker/probe.ts')).join('\n')).toMatch(/Nothing imports scripts/);
  expect(await messages(code, 'test/probe.ts')).toEqual([]);
});
