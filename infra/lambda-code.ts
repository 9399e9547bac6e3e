// Bundles the Lambdas of the other rooms, one file each, the AWS SDK included: what was tested is what runs, whatever
// the runtime brings along.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { buildSync } from 'esbuild';

/** The repository's root, also from a bundle in `dist/`. */
export function repositoryRoot(): string {
  let folder = fileURLToPath(new URL('.', import.meta.url));
  while (!existsSync(join(folder, 'infra', 'lambda-code.ts'))) {
    const parent = join(folder, '..');
    if (parent === folder) throw new Error('infra/ must be used from a checkout of Portcullis.');
    folder = parent;
  }
  return folder;
}

const bundled = new Map<string, string>();
process.once('exit', () => {
  for (const folder of bundled.values()) rmSync(folder, { recursive: true, force: true });
});

/**
 * The code of a Lambda from its entry file.
 *
 * @param entry path below the repository's root
 */
export function lambdaCode(entry: string): Code {
  let folder = bundled.get(entry);
  if (folder === undefined || !existsSync(folder)) {
    folder = bundle(entry);
    bundled.set(entry, folder);
  }
  return Code.fromAsset(folder);
}

function bundle(entry: string): string {
  const root = repositoryRoot();
  const base = join(tmpdir(), 'portcullis-lambda');
  mkdirSync(base, { recursive: true });
  const folder = mkdtempSync(join(base, 'bundle-'));
  buildSync({
    absWorkingDir: root,
    entryPoints: [join(root, entry)],
    outfile: join(folder, 'index.mjs'),
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    tsconfig: join(root, 'tsconfig.json'),
    // Some dependencies of the SDK are CommonJS and call require.
    // Every feature is on, as wherever Node runs the evaluator.
    banner: {
      js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);globalThis.FEATURES=new Proxy({},{get:()=>true});",
    },
    // An engine for a folder of logs; the Lambdas ask Athena.
    external: ['@duckdb/node-api'],
    legalComments: 'none',
    logLevel: 'error',
  });
  return folder;
}
