import { minify } from 'terser';
import { shortNames } from './names.js';
import { nameRepeated } from './shorten.js';

/** What CloudFront calls. */
const reserved = new Set(['handler']);

/**
 * Writes a compressed script in fewer bytes: repeated texts get names, and then every name gets short. How short a text's
 * name is decides whether it is worth one, and is known only when all names are given out: so what turns out not to be
 * is left as it was, and the names are given out again.
 *
 * @param source A script of whole names, as the compressor leaves it.
 */
export async function shrink(source: string): Promise<string> {
  const lengths = new Map<string, number>();
  let best: string | undefined;
  for (;;) {
    const { code, texts } = nameRepeated(source, (text) => lengths.get(text) ?? 1);
    const named = shortNames(await printed(code), reserved);
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
