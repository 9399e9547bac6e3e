// Bundles the app and runs it: `cdk --app "node infra/run.mjs" synth`, or alone with CDK_OUTDIR set.
import { mkdirSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));
const outfile = `${root}dist/infra/app.mjs`;
mkdirSync(`${root}dist/infra`, { recursive: true });
await build({
  entryPoints: [`${root}infra/app.ts`],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  tsconfig: `${root}tsconfig.json`,
  packages: 'external',
  logLevel: 'error',
});
const { main } = await import(pathToFileURL(outfile).href);
main();
