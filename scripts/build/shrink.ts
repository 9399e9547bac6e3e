import { minify, type CompressOptions } from 'terser';
import { withoutAliases } from './aliases.js';
import { gatherAsyncLocals } from './async-locals.js';
import { looseWhereNumbers } from './equality.js';
import { gathered } from './gather.js';
import { inlineCalls } from './inline.js';
import { localsToParameters, uniqueNames } from './locals.js';
import { shortNames } from './names.js';
import { nameRepeated } from './shorten.js';
import { switchesToConditionals } from './switches.js';
import { throwsToCalls } from './throws.js';

/** What CloudFront calls. */
const reserved = new Set(['handler']);

/**
 * Writes a compressed script in fewer bytes: repeated texts get names, and then every name gets short. How short a text's
 * name is decides whether it is worth one, and is known only when all names are given out: so what turns out not to be
 * is left as it was, and the names are given out again.
 *
 * @param compressed A script of whole names, as the compressor leaves it.
 */
export async function shrink(compressed: string): Promise<string> {
  const source = await expressed(compressed);
  const lengths = new Map<string, number>();
  let best: string | undefined;
  for (;;) {
    const { code, texts } = nameRepeated(source, (text) => lengths.get(text) ?? 1);
    const named = shortNames(await printed(gathered(code)), reserved);
    if (best === undefined || named.code.length < best.length) best = named.code;
    let grew = false;
    for (const [name, text] of texts) {
      const length = named.lengths.get(name) ?? 1;
      grew ||= length > (lengths.get(text) ?? 1);
      lengths.set(text, Math.max(length, lengths.get(text) ?? 1));
    }
    if (!grew) return best;
  }
}

/** The same script in fewer statements and more expressions. */
async function expressed(source: string): Promise<string> {
  const moved = await tidied(await localsToParameters(uniqueNames(throwsToCalls(source)), measured));
  const inlined = await inlineCalls(
    looseWhereNumbers(uniqueNames(await tidied(switchesToConditionals(moved)))),
    measured,
  );
  return tidied(withoutAliases(await gatherAsyncLocals(inlined, measured)));
}

/** The same script, without a character that it can do without. */
async function printed(source: string): Promise<string> {
  const { code } = await minify(source, {
    ecma: 2017,
    module: false,
    compress: false,
    mangle: false,
    format: { comments: false, ascii_only: true },
  });
  return code ?? '';
}

/** What makes expressions of statements, and leaves variables and functions where they are. */
const compress: CompressOptions = {
  defaults: false,
  arrows: true,
  booleans: true,
  comparisons: true,
  conditionals: true,
  dead_code: true,
  ecma: 2017,
  evaluate: true,
  if_return: true,
  passes: 3,
  sequences: 1000,
  side_effects: true,
};

async function tidied(source: string): Promise<string> {
  const { code } = await minify(source, {
    ecma: 2017,
    module: false,
    compress,
    mangle: false,
    format: { comments: false, ascii_only: true },
  });
  return code ?? '';
}

/** Sizes by function: the many builds of one run have most functions in common. */
const sizes = new Map<string, number>();

/** The bytes of a function once it is tidied and its variables are named. */
async function measured(functionText: string): Promise<number> {
  // Which numbers the names have depends on what else is in the script.
  const numbers = new Map<string, string>();
  const numbered = functionText.replace(/[\w$]+\$\d+(?![\w$])/g, (name) => {
    const number = numbers.get(name) ?? `name$${numbers.size}`;
    numbers.set(name, number);
    return number;
  });
  const known = sizes.get(numbered);
  if (known !== undefined) return known;
  const { code = '' } = await minify(`x=${numbered}`, {
    ecma: 2017,
    module: false,
    compress: { ...compress, passes: 1 },
    mangle: true,
  });
  const size = code.replace(/\bvoid 0\b/g, '_').length;
  sizes.set(numbered, size);
  return size;
}
