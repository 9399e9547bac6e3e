// Builds the command line, the benchmarks, the token library and the functions: run by `npm ci` through `prepare`, and by
// hand after a change. `node scripts/build/bootstrap.mjs --cli` builds the command line alone.
import { build, transform } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const cliFolder = join(root, 'dist/cli');

/** `FEATURES.*` as constants, everything on: how Node runs the evaluator. */
async function featureDefines() {
  const { code } = await transform(readFileSync(join(root, 'scripts/build/features.ts'), 'utf8'), { loader: 'ts' });
  const { allFeatures } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return allFeatures();
}

/** The module `portcullis:bench-parts`: every file in scripts/bench that exports `bench`. */
const benchParts = {
  name: 'bench-parts',
  setup(builder) {
    const folder = join(root, 'scripts/bench');
    builder.onResolve({ filter: /^portcullis:bench-parts$/ }, () => ({ path: 'bench-parts', namespace: 'portcullis' }));
    builder.onLoad({ filter: /.*/, namespace: 'portcullis' }, () => {
      const parts = readdirSync(folder)
        .filter((file) => /^[\w-]+\.ts$/.test(file))
        .filter((file) => /export (async )?function bench\b/.test(readFileSync(join(folder, file), 'utf8')))
        .map((file) => `${JSON.stringify(file.replace('.ts', ''))}: () => import('./${file}')`);
      return { contents: `export const benchParts = { ${parts.join(', ')} };`, loader: 'js', resolveDir: folder };
    });
  },
};

/** The token library is bundled from its sources, as tsconfig's paths say; every other package stays outside. */
const tokensFromSource = {
  name: 'tokens-from-source',
  setup(builder) {
    builder.onResolve({ filter: /^@portcullis\/tokens(\/|$)/ }, ({ path }) => ({
      path: join(root, 'tokens/src', `${path.slice('@portcullis/tokens'.length + 1) || 'index'}.ts`),
    }));
  },
};

/** Made beside and moved into place, so that a command started meanwhile finds a whole build. */
async function buildCommandLine() {
  const made = mkdtempSync(join(tmpdir(), 'portcullis-cli-'));
  try {
    await build({
      entryPoints: [
        { in: join(root, 'scripts/cli/portcullis.ts'), out: 'portcullis' },
        { in: join(root, 'scripts/bench/index.ts'), out: 'bench' },
      ],
      outdir: made,
      bundle: true,
      splitting: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      tsconfig: join(root, 'tsconfig.json'),
      define: await featureDefines(),
      plugins: [tokensFromSource, benchParts],
      logLevel: 'warning',
      // What FEATURES makes constant is constant on purpose.
      logOverride: { 'suspicious-logical-operator': 'silent' },
    });
    rmSync(cliFolder, { recursive: true, force: true });
    mkdirSync(join(root, 'dist'), { recursive: true });
    cpSync(made, cliFolder, { recursive: true });
    chmodSync(cliFolder, 0o755);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/**
 * What `npx portcullis` finds. A `bin` entry in package.json would not do: npm links the commands of dependencies alone, and
 * npx would install the whole project into its cache before running its own command.
 */
function linkCommand() {
  const bin = join(root, 'node_modules/.bin');
  chmodSync(join(cliFolder, 'portcullis.js'), 0o755);
  mkdirSync(bin, { recursive: true });
  rmSync(join(bin, 'portcullis'), { force: true });
  try {
    symlinkSync('../../dist/cli/portcullis.js', join(bin, 'portcullis'));
  } catch (error) {
    console.error(`npx portcullis will not be found (${error.message}); use: node dist/cli/portcullis.js`);
  }
}

await buildCommandLine();
linkCommand();
if (!process.argv.includes('--cli')) {
  const { buildTokens } = await import('../../tokens/build.mjs');
  await buildTokens();
  // A function over CloudFront's limit is for `npm run build` to fail on; an installation goes on.
  try {
    execFileSync(process.execPath, [join(cliFolder, 'portcullis.js'), 'build', '--profile', 'default'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } catch {
    console.error('The functions were not built cleanly; npm run build says more.');
  }
}
