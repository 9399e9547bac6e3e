import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { allFeatures } from '../../scripts/build/features.js';
import { repositoryRoot, type NjsEngine } from '../../scripts/engine/index.js';

const run = promisify(execFile);

/** How many of the ids `<prefix><from>` … are found revoked by the edge's reader in an njs engine. */
export async function countRevokedInNjs(
  engine: NjsEngine,
  pairs: ReadonlyMap<string, string>,
  list: { readonly prefix: string; readonly from: number; readonly to: number },
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-capacity-'));
  try {
    const { outputFiles } = await build({
      stdin: {
        contents: `import { bucketKey, findRevocation } from './tokens/src/core/revocation.ts'; globalThis.core = { bucketKey, findRevocation };`,
        resolveDir: repositoryRoot(),
      },
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2017',
      define: allFeatures(),
    });
    await writeFile(join(folder, 'pairs.json'), JSON.stringify(Object.fromEntries(pairs)));
    const main = `${outputFiles[0]?.text ?? ''}
      const fs = require('fs');
      const crypto = require('crypto');
      const pairs = JSON.parse(fs.readFileSync(${JSON.stringify(join(folder, 'pairs.json'))}));
      function count(prefix, from, to) {
        let found = 0;
        for (let i = from; i < to; i += 1) {
          const digest = crypto.createHash('sha256').update('s:' + prefix + i).digest();
          let key = core.bucketKey(digest);
          let bucket = pairs[key];
          let entries = bucket || '';
          while (bucket && bucket[0] === '+') {
            key += '+';
            bucket = pairs[key];
            entries += bucket;
          }
          const answer = core.findRevocation(entries, digest, undefined);
          if (answer === 'revoked') found += 1;
        }
        console.log(String(found));
      }
      count(${JSON.stringify(list.prefix)}, ${list.from}, ${list.to});`;
    await writeFile(join(folder, 'main.js'), main);
    const [program, ...first] = engine.command;
    const { stdout } = await run(program, [...first, join(folder, 'main.js')]);
    return Number(stdout.trim());
  } finally {
    await rm(folder, { recursive: true });
  }
}
