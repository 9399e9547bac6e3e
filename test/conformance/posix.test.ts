// Regular expressions of `catu` and `cath` (CTA-5007-B 4.6.10) against the machine's own POSIX ones: random expressions and
// texts, through the compiled function in both engines and in Node's vm.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { functionHosts, viewerRequestEvent } from '../../scripts/engine/index.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { cat, NOW, PATH } from '../verdicts/requests.js';
import { map } from './case.js';
import { storeEntries } from './store.js';

const PATTERNS = 300;
const TEXTS = 4;

/** Which lines an expression matches, by `grep -E`; undefined where there is none that knows POSIX classes. */
function matchedLines(pattern: string, lines: readonly string[]): Set<number> | undefined {
  const { status, stdout } = spawnSync('grep', ['-nE', '--', pattern], {
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0 && status !== 1) return undefined;
  const numbers = stdout.split('\n').filter((line) => line !== '');
  return new Set(numbers.map((line) => Number(line.split(':')[0]) - 1));
}

const present = matchedLines('^a[[:digit:]]{2}(b|c)?$', ['a12', 'b'])?.has(0) === true;
if (!present) console.warn('Skipped: this machine has no grep -E to hold regular expressions against.');

/** The same numbers each time: a difference found must be found again. */
function seeded(seed: number): <T>(choices: readonly T[]) => T {
  let state = seed;
  return (choices) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return choices[Math.floor((state / 2 ** 32) * choices.length)] as never;
  };
}
const pick = seeded(5007);
const chance = (percent: number): boolean => pick(Array.from({ length: 100 }, (_, i) => i)) < percent;

const plain = ['a', 'b', 'c', '1', '/', '.', '-', '=', ','];
const escaped = ['\\.', '\\/', '\\$', '\\*', '\\(', '\\^', '\\|', '\\{'];
const brackets = ['[ab]', '[^a]', '[a-c]', '[]a]', '[^]a]', '[[:digit:]]', '[[:alpha:]1]', '[^[:lower:]]', '[-a]'];
const special = ['[a-]', '[.]', '[$^]', '[*+]', '[{}]', '[(]', '[|]', '[?]'];
const quantifiers = ['', '', '', '?', '*', '+', '{2}', '{1,2}', '{0,1}', '{2,}'];

const atom = (): string => pick([...plain, ...plain, ...escaped, ...brackets, ...special]) + pick(quantifiers);
function branch(depth: number): string {
  const parts = Array.from({ length: pick([1, 2, 3]) }, () =>
    depth > 0 && chance(30) ? `(${alternatives(depth - 1)})${pick(['', '', '?'])}` : atom(),
  );
  return parts.join('');
}
function alternatives(depth: number): string {
  return branch(depth) + (chance(25) ? `|${alternatives(depth)}` : '');
}
const expression = (): string => pick(['', '^']) + alternatives(2) + pick(['', '$']);
const line = (): string =>
  Array.from({ length: pick([1, 2, 3, 4, 5, 6, 7]) }, () => pick([...plain, '$', '*', '(', '^', '|', '{', ']'])).join(
    '',
  );

interface Tried {
  readonly pattern: string;
  readonly text: string;
  readonly matches: boolean;
}

function tried(): Tried[] {
  return Array.from({ length: PATTERNS }, expression).flatMap((pattern) => {
    const texts = Array.from({ length: TEXTS }, line);
    const matched = matchedLines(pattern, texts);
    return texts.map((text, i) => ({ pattern, text, matches: matched?.has(i) === true }));
  });
}

const hosts = await functionHosts();
const { file } = await compiledFolder(neutralConfig('full'));
const all = present ? tried() : [];

describe.each(hosts)('CTA-5007-B 4.6.10 in $name', (host) => {
  test.skipIf(host.missing || !present)('an expression that is taken matches what it matches by POSIX', async () => {
    const results = await host.run(
      file,
      all.map(({ pattern, text }) => ({
        event: viewerRequestEvent({
          uri: `/${cat({ cath: map(['x-text', map([4, [pattern]])]) })}${PATH}`,
          headers: { 'x-text': text },
        }),
        now: NOW * 1000,
        store: { entries: storeEntries },
      })),
    );
    let taken = 0;
    const differing = all.filter(({ matches }, i) => {
      const reason = results[i]?.result?.headers?.['x-portcullis-reason']?.value;
      if (reason === 'unsupported_claim') return false;
      taken++;
      return reason !== (matches ? undefined : 'header_mismatch');
    });
    expect(differing).toEqual([]);
    // Bounds refuse some, and must not refuse most.
    expect(taken).toBeGreaterThan(all.length / 2);
    expect(all.filter(({ matches }) => matches).length).toBeGreaterThan(all.length / 20);
  });
});
