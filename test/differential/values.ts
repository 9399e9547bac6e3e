import { Float, Raw, Tagged } from '../engine/token-maker.js';
import type { Random } from './random.js';

/** Texts that readers have disagreed on somewhere. */
const texts = [
  '',
  'a',
  'GET',
  'US',
  'us-ca',
  '/echo/',
  'https',
  '__proto__',
  'constructor',
  'toString',
  '203.0.113.0/24',
  '2001:db8::/56',
  '::/0',
  '1.1.1.1/0x8',
  '0',
  'caf\u00e9',
  '\ud83d\ude00',
  '\u2028',
  '\u212a\u017f',
  'a\u0000b',
  'a"b\\c',
  '\u00a0x\ufeff',
  '$1',
  'x'.repeat(70),
];

const numbers = [
  0,
  -0,
  1,
  2,
  -1,
  23,
  24,
  -24,
  -25,
  255,
  256,
  65535,
  65536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e21,
  1e300,
  5e-324,
  0.1,
  0.5,
  -1.5,
  1.1,
  1e-7,
  123456.789,
  1744960832.960832,
  1800000000.25,
];

export const anyText = (random: Random): string =>
  random.chance(0.7)
    ? random.pick(texts)
    : Array.from({ length: random.below(9) }, () =>
        String.fromCharCode(random.pick([32 + random.below(95), random.below(0x800)])),
      ).join('');

export const anyNumber = (random: Random): number =>
  random.chance(0.7)
    ? random.pick(numbers)
    : random.chance(0.5)
      ? random.below(2 ** 32) - 2 ** 31
      : (random.next() - 0.5) * 10 ** random.below(20);

/** Anything that CBOR can write, and some that it should not. */
export function anyCbor(random: Random, depth = 0): unknown {
  return random.weighed<unknown>([
    [4, () => anyNumber(random)],
    [4, () => anyText(random)],
    [3, () => random.bytes(random.below(20))],
    [1, () => random.pick([true, false, null, undefined])],
    [1, () => new Float(anyNumber(random), random.pick([2, 4, 8] as const))],
    [1, () => random.pick([2n ** 53n + 1n, 2n ** 64n - 1n, -(2n ** 64n), 2n ** 63n])],
    [1, () => new Tagged(random.pick([0, 1, 2, 24, 52, 54, 61, 258]), depth > 3 ? 1 : anyCbor(random, depth + 1))],
    [0.3, () => new Raw(random.bytes(1 + random.below(6)))],
    [depth > 3 ? 0 : 3, () => Array.from({ length: random.below(4) }, () => anyCbor(random, depth + 1))],
    [
      depth > 3 ? 0 : 3,
      () =>
        new Map(
          Array.from({ length: random.below(4) }, () => [
            random.weighed<unknown>([
              [4, () => random.below(12) - 3],
              [3, () => anyText(random)],
              [1, () => anyNumber(random)],
              [0.3, () => [random.below(8), random.below(400)]],
              [0.2, () => random.bytes(2)],
            ]),
            anyCbor(random, depth + 1),
          ]),
        ),
    ],
    [0.1, () => nested(random.below(20))],
  ]);
}

/** Anything that JSON can write. */
export function anyJson(random: Random, depth = 0): unknown {
  return random.weighed<unknown>([
    [4, () => anyNumber(random)],
    [4, () => anyText(random)],
    [1, () => random.pick([true, false, null])],
    [depth > 3 ? 0 : 3, () => Array.from({ length: random.below(4) }, () => anyJson(random, depth + 1))],
    [
      depth > 3 ? 0 : 3,
      () =>
        Object.fromEntries(
          Array.from({ length: random.below(4) }, () => [anyText(random), anyJson(random, depth + 1)]),
        ),
    ],
    [0.1, () => nested(random.below(40))],
  ]);
}

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

/** JSON text as other writers have it: spaces, escapes, numbers spelled otherwise, and sometimes what JSON forbids. */
export function oddJson(value: unknown, random: Random): string {
  const space = (): string =>
    random.chance(0.2)
      ? random.chance(0.01)
        ? random.pick(['\u00a0', '\f'])
        : random.pick([' ', '\n', '\t', '\r', '  '])
      : '';
  const inner = (one: unknown): string => space() + oddJson(one, random) + space();
  if (Array.isArray(value)) return `[${value.map(inner).join(',')}${random.chance(0.01) ? ',' : ''}]`;
  if (value !== null && typeof value === 'object')
    return `{${Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([name, one]) => `${space()}${oddString(name, random)}${space()}:${inner(one)}`)
      .join(',')}}`;
  if (typeof value === 'string') return oddString(value, random);
  if (typeof value === 'number') return oddNumber(value, random);
  return JSON.stringify(value);
}

function oddString(text: string, random: Random): string {
  const escaped = [...JSON.stringify(text).slice(1, -1)].map((character) =>
    /[\w/-]/.test(character) && random.chance(0.05)
      ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
      : character === '/' && random.chance(0.2)
        ? '\\/'
        : character,
  );
  // An escape that was cut open by one of these is another way to be wrong.
  if (random.chance(0.03))
    escaped.splice(
      random.below(escaped.length + 1),
      0,
      random.pick(['\\ud83d', '\\ud83d\\ude00', '\\u00', '\\x', '\u0007', '\\u000', '\\\\ud800', '\\uDFFF']),
    );
  return `"${escaped.join('')}"`;
}

function oddNumber(value: number, random: Random): string {
  const plain = JSON.stringify(value);
  return random.weighed<string>([
    [60, () => plain],
    [4, () => `${value}0`],
    [4, () => `${value}.0`],
    [4, () => `${value}e0`],
    [1, () => `${value / 10}E+1`],
    [1, () => `${value * 10}e-1`],
    [0.5, () => `0${value}`],
    [0.5, () => `${value}.`],
    [0.5, () => `+${value}`],
    [0.5, () => '.5'],
    [0.5, () => '1e999'],
    [0.5, () => '-0'],
    [0.5, () => '123456789012345678901234567890'],
    [0.3, () => random.pick(['NaN', '0x10', '-', '1e', '--1', '1_0', 'Infinity', '-.5', '1.5.5'])],
  ]);
}
