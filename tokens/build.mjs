// Builds the published package: every module once as ESM and once as CommonJS, with declarations for both.
// Modules are not bundled, so that error classes keep their identity across entry points and bundlers can shake.
import { build, transform } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** Source files of the package, relative to `src`, without tests and ambient declarations. */
function sources(folder = join(here, 'src'), prefix = '') {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${prefix}${entry.name}`;
    if (entry.isDirectory()) return sources(join(folder, entry.name), `${path}/`);
    return entry.name.endsWith('.ts') && !/\.(test|d)\.ts$/.test(entry.name) ? [path] : [];
  });
}

/** `FEATURES.*` as constants: everything on. */
async function featureDefines() {
  const { code } = await transform(readFileSync(join(here, '../scripts/build/features.ts'), 'utf8'), { loader: 'ts' });
  const { allFeatures } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return allFeatures();
}

function emitDeclarations(folder) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(here, 'tsconfig.build.json'), '--outDir', folder], {
    stdio: 'inherit',
  });
  return join(folder, 'tokens/src');
}

/**
 * Writes `dist/esm` and `dist/cjs`. Both are made in a temporary folder and moved into place, so that a reader never
 * finds half a build.
 *
 * @param {{ declarations?: boolean }} [options] `declarations: false` leaves the types out and saves most of the time.
 */
export async function buildTokens({ declarations = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-tokens-'));
  try {
    const shared = {
      entryPoints: sources().map((path) => join(here, 'src', path)),
      outbase: join(here, 'src'),
      bundle: false,
      target: 'es2022',
      define: await featureDefines(),
      logLevel: 'warning',
      // What FEATURES makes constant is constant on purpose.
      logOverride: { 'suspicious-logical-operator': 'silent' },
    };
    await build({ ...shared, format: 'esm', outdir: join(folder, 'dist/esm') });
    await build({ ...shared, format: 'cjs', outdir: join(folder, 'dist/cjs') });
    writeFileSync(join(folder, 'dist/cjs/package.json'), '{ "type": "commonjs", "sideEffects": false }\n');
    if (declarations) {
      const types = emitDeclarations(join(folder, 'types'));
      cpSync(types, join(folder, 'dist/esm'), { recursive: true });
      cpSync(types, join(folder, 'dist/cjs'), { recursive: true });
    }
    const dist = join(here, 'dist');
    const previous = join(folder, 'previous');
    mkdirSync(dist, { recursive: true });
    moveFolder(dist, previous);
    moveFolder(join(folder, 'dist'), dist);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The temporary folder may be on another device, where a rename is not possible. */
function moveFolder(from, to) {
  try {
    renameSync(from, to);
  } catch {
    cpSync(from, to, { recursive: true });
    rmSync(from, { recursive: true, force: true });
  }
}

if (argv[1] && import.meta.url === pathToFileURL(argv[1]).href) await buildTokens();
