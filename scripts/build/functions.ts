import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { minify } from 'terser';
import type { FunctionBuild } from '../../functions/config.js';
import { featureDefines, type FeatureName, type Features } from './features.js';
import { inlineAwaited } from './awaited.js';
import { shrink } from './shrink.js';

/** What CloudFront accepts for one function, in bytes; not adjustable (CloudFront quotas). */
export const FUNCTION_BYTES = 10_240;

export const functionNames = ['viewer-request', 'viewer-response'] as const;
export type FunctionName = (typeof functionNames)[number];

/** Our own property names, shortened in the compiled file. None is a name of the platform, of JSON, or of a record. */
const PRIVATE_PROPERTIES =
  /^(tagged|algorithm|claims|signed|signature|payload|found|record|secret|rejections|unknown|allowance|answer|slate_|allowedClients|blackoutMode|renewalKid|audiences|requiredClaims|exactNetworks|allowUnknown|ignoreUncompiled|refuseReplay|address|tlsKey|proofKey|reasonHeader|retryAfter|sample|place|keep|before|by|parameters|allowNone|verify|mac|read|missing|isJwt|http|cleanPath|reason|label|labels|token|text|host|genuine|rules)$/;

function settingsPlugin(source: string, directory: string): Plugin {
  return {
    name: 'portcullis-settings',
    setup(builder) {
      builder.onResolve({ filter: /^portcullis:settings$/ }, () => ({ path: 'settings', namespace: 'portcullis' }));
      builder.onLoad({ filter: /.*/, namespace: 'portcullis' }, () => ({
        contents: source,
        loader: 'ts',
        resolveDir: directory,
      }));
    },
  };
}

/**
 * Writes the plan's plain values into the source where `policy.x` and `settings.x` stand, so that the minifier can
 * leave out what a value rules out. Lists and the like stay where they are.
 */
function constantsPlugin(plan: FunctionBuild): Plugin {
  const values: Record<string, Record<string, unknown>> = {
    policy: { ...plan.policy },
    settings: { ...plan.settings },
  };
  return {
    name: 'portcullis-constants',
    setup(builder) {
      builder.onLoad({ filter: /[\\/](tokens[\\/]src[\\/]core|functions)[\\/][\w-]+\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        const imported = new Set<string>();
        const contents = text.replace(/\b(policy|settings)\.(\w+)\b/g, (_, object: string, name: string) => {
          const value = values[object]?.[name];
          if (!isCompound(value)) return `(${value === undefined ? 'undefined' : JSON.stringify(value)} as any)`;
          imported.add(`${object}$${name}`);
          return `${object}$${name}`;
        });
        const imports = imported.size > 0 ? `import { ${[...imported].join(', ')} } from 'portcullis:settings';\n` : '';
        return { loader: 'ts', contents: imports + contents };
      });
    },
  };
}

/** A value with members, which stands in the compiled function once. */
function isCompound(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Turns a settings value into source: JSON, with regular expressions as literals. */
export function literal(value: unknown): string {
  if (value instanceof RegExp) return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries.map(([name, item]) => `${/^[a-z]\w*$/i.test(name) ? name : JSON.stringify(name)}:${literal(item)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * What viewer-response has no use for: it does not run for what viewer-request answered (`docs/architecture.md`), so the
 * viewer's place, network, device and page, dice, blackouts and the answers of `catif` were decided. It asks once more what
 * tells tokens of one request apart: key, time, path, method, revocation.
 */
const DECIDED: readonly FeatureName[] = [
  'allowClients',
  'blackout',
  'catalpn',
  'catgeoiso3166',
  'cath',
  'catif',
  'catnip',
  'catpor',
  'catreplay',
  'cattpk',
  'countryCodes',
  'embedOrigins',
  'geohash',
  'modeRecord',
  'onUnknown',
  'preflight',
  'tlsKeyLookup',
];

/** A plan for viewer-response, which finds the token once more before it renews it. */
function forViewerResponse(plan: FunctionBuild, features: Features): { plan: FunctionBuild; features: Features } {
  if (!features.catr) return { plan, features };
  const off = Object.fromEntries(DECIDED.map((name) => [name, false]));
  // A claim that is left out here was read by viewer-request.
  return {
    plan: { ...plan, policy: { ...plan.policy, ignoreUncompiled: true, allowUnknown: undefined } },
    features: { ...features, ...off },
  };
}

/** Compiles one function into one file for runtime cloudfront-js-2.0. */
export async function compileFunction(name: FunctionName, given: FunctionBuild, chosen: Features): Promise<string> {
  const { plan, features } =
    name === 'viewer-response' ? forViewerResponse(given, chosen) : { plan: given, features: chosen };
  const source = [
    ...(plan.hooks?.before
      ? [`export { default as before } from ${JSON.stringify(resolve(plan.hooks.before))};`]
      : ['export const before = undefined;']),
    ...(plan.hooks?.after
      ? [`export { default as after } from ${JSON.stringify(resolve(plan.hooks.after))};`]
      : ['export const after = undefined;']),
    // Some code hands the policy on as a whole; what has a plain value or an export of its own is not read from there.
    `export const policy = {}, settings = {};`,
    ...Object.entries({ policy: plan.policy, settings: plan.settings }).flatMap(([object, values]) =>
      Object.entries(values)
        .filter(([, value]) => isCompound(value))
        .map(([name, value]) => `export const ${object}$${name} = ${literal(value)};`),
    ),
  ].join('\n');
  const result = await build({
    entryPoints: [join(root, 'functions', `${name}.ts`)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2017',
    supported: {
      destructuring: false,
      'rest-argument': true,
      'default-argument': false,
      'for-of': false,
      'array-spread': false,
      'object-rest-spread': false,
      'optional-catch-binding': false,
      'optional-chain': false,
      'nullish-coalescing': false,
      'logical-assignment': false,
      class: false,
      'regexp-unicode-property-escapes': false,
    },
    minifySyntax: true,
    minifyWhitespace: true,
    minifyIdentifiers: false,
    legalComments: 'none',
    external: ['cloudfront'],
    mangleProps: PRIVATE_PROPERTIES,
    define: featureDefines(features),
    plugins: [settingsPlugin(source, root), constantsPlugin(plan)],
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'silent',
  });
  const script = `const runtimeCrypto = require('crypto');\n${result.outputFiles[0]?.text ?? ''}`;
  const exported = inlineAwaited(script.replace(/export\s*\{\s*handler\s*\};?\s*$/, ''))
    // "async arguments and closures are not supported" (CloudFront Functions, "Use async and await"): an async function
    // that the minifier put into its only caller would be one.
    .replace(/\bawait (?=[\w$]+\()/g, 'await /*@__NOINLINE__*/')
    // What every request runs: a function put into its caller is made anew each time, which costs njs more than the call.
    // And what mints: put into an async function, its closures lose their variables in njs, and nothing would be renewed.
    .replace(
      /(?<!\w)(?=(?:takeTokens|takeSegment|logVerdict|parseCat|parseJwt|mintToken|renewToken)\()/g,
      '/*@__NOINLINE__*/',
    )
    // A constant that nothing uses; the bundler loses what the source says of it.
    .replace(/\bfromBase64\((?=")/g, '/*@__PURE__*/ fromBase64(');
  const compressed = await minify(exported, {
    ecma: 2017,
    module: false,
    toplevel: true,
    compress: {
      passes: 3,
      pure_getters: true,
      unsafe_arrows: false,
      keep_fargs: false,
      booleans_as_integers: false,
      hoist_funs: false,
      top_retain: ['handler'],
    },
    mangle: false,
    format: { comments: false, ascii_only: true },
  });
  return `${await shrink(compressed.code ?? '')}\n`;
}

export interface BuiltFunction {
  readonly profile: string;
  readonly name: FunctionName;
  readonly file: string;
  readonly bytes: number;
}

/** Compiles both functions of a plan into a folder. */
export async function writeFunctions(
  profile: string,
  plan: FunctionBuild,
  features: Features,
  directory: string,
): Promise<BuiltFunction[]> {
  await mkdir(directory, { recursive: true });
  const built: BuiltFunction[] = [];
  for (const name of functionNames) {
    const code = await compileFunction(name, plan, features);
    const file = join(directory, `${name}.js`);
    await writeFile(file, code);
    built.push({ profile, name, file, bytes: Buffer.byteLength(code) });
  }
  return built;
}
