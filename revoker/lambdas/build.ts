import { join, resolve } from 'node:path';
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
  const handlers = join(root, 'revoker/lambdas/handlers');
  // One call for all, so that what they share is read and parsed once; each bundle is still whole by itself.
  const { metafile } = await build({
    entryPoints: names.map((name) => ({
      in: join(handlers, `${fileNameOf(name)}.ts`),
      out: `${fileNameOf(name)}/index`,
    })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
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
  const bytes = new Map(Object.entries(metafile.outputs).map(([path, output]) => [resolve(path), output.bytes]));
  return names.map((name) => {
    const file = resolve(folder, fileNameOf(name), 'index.mjs');
    return { name, file, bytes: bytes.get(file) ?? 0 };
  });
}
