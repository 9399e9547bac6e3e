import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { functionNames, type FunctionName } from '../workflows/index.js';

/** `AskApproval` → `ask-approval`: a function's file, folder and last part of its name. */
export function fileNameOf(name: FunctionName): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

export interface BuiltFunction {
  readonly name: FunctionName;
  /** One ES module, export `handler`, everything it needs inside. */
  readonly file: string;
  readonly bytes: number;
}

/**
 * Bundles the workflows' functions, each into `<folder>/<function>/index.mjs`. The AWS SDK goes in: what was tested is
 * what runs, and the runtime's own copy lacks the KeyValueStore's signature.
 *
 * @param root the repository's root
 */
export async function buildFunctions(
  folder: string,
  names: readonly FunctionName[] = functionNames,
  root: string = fileURLToPath(new URL('../../', import.meta.url)),
): Promise<BuiltFunction[]> {
  const built: BuiltFunction[] = [];
  for (const name of names) {
    const file = join(folder, fileNameOf(name), 'index.mjs');
    await mkdir(join(folder, fileNameOf(name)), { recursive: true });
    const { metafile } = await build({
      entryPoints: [join(root, 'revoker/lambdas/handlers', `${fileNameOf(name)}.ts`)],
      outfile: file,
      bundle: true,
      minify: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      tsconfig: join(root, 'tsconfig.json'),
      // Some dependencies of the SDK are CommonJS and call require.
      banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
      // The engine for folders of logs; the functions ask Athena.
      external: ['@duckdb/node-api'],
      legalComments: 'none',
      logLevel: 'error',
      metafile: true,
    });
    const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
    built.push({ name, file, bytes });
  }
  return built;
}
