import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem } from './errors.js';
import { configSchema, type PortcullisConfig, type PortcullisConfigInput } from './schema.js';

/** The file that is read where none is named. */
export const defaultConfigFile = 'portcullis.config.ts';

export interface LoadedConfig {
  /** The file's absolute path; undefined where there is none and the defaults hold. */
  readonly file: string | undefined;
  /** The folder that files in the configuration are named from. */
  readonly folder: string;
  /** As it was written. */
  readonly input: PortcullisConfigInput;
  /** Validated, defaults filled in. */
  readonly config: PortcullisConfig;
}

/**
 * Validates a configuration.
 *
 * @param source What messages call it: the file's name.
 * @throws ConfigError naming the path of each problem and what was expected there.
 */
export function parseConfig(input: unknown, source = 'configuration'): PortcullisConfig {
  const parsed = configSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    source,
    parsed.error.issues.flatMap((issue) => problemsOf(issue, [])),
  );
}

/** A union's own message says nothing: the alternative that came furthest says what is wrong. */
function problemsOf(issue: z.core.$ZodIssue, before: readonly PropertyKey[]): ConfigProblem[] {
  const path = [...before, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const depth = (issues: readonly z.core.$ZodIssue[]): number => Math.max(...issues.map((one) => one.path.length));
    const deepest = Math.max(...issue.errors.map(depth));
    if (deepest > 0) {
      const closest = issue.errors.find((issues) => depth(issues) === deepest) ?? [];
      return closest.flatMap((one) => problemsOf(one, path));
    }
    const expectations = issue.errors.flatMap((issues) => issues.map((one) => withoutPreface(one.message)));
    return [{ path: path.join('.'), message: [...new Set(expectations)].join(', or ') }];
  }
  const where = issue.code === 'unrecognized_keys' ? [...path, issue.keys.join(', ')] : path;
  const message = issue.code === 'unrecognized_keys' ? 'no such setting' : withoutPreface(issue.message);
  return [{ path: where.join('.'), message }];
}

const withoutPreface = (message: string): string => message.replace(/^Invalid (input|option): /, '');

/**
 * Reads a configuration: TypeScript or JavaScript (through esbuild, its default export), or JSON. Where there is no such
 * file, the defaults hold.
 *
 * @throws ConfigError when it cannot be read, or is wrong.
 */
export async function loadConfig(path: string = defaultConfigFile): Promise<LoadedConfig> {
  const file = resolve(path);
  if (!existsSync(file)) return { file: undefined, folder: resolve('.'), input: {}, config: parseConfig({}) };
  const input = file.endsWith('.json') ? readJson(path, file) : await readModule(path, file);
  return { file, folder: dirname(file), input: input as PortcullisConfigInput, config: parseConfig(input, path) };
}

function readJson(path: string, file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    throw new ConfigError(path, [{ path: '', message: `expected JSON; ${(error as Error).message}` }]);
  }
}

/** Bundled in memory, since Node cannot read TypeScript by itself. */
async function readModule(path: string, file: string): Promise<unknown> {
  const { build } = await import('esbuild');
  try {
    const built = await build({
      entryPoints: [file],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      write: false,
      logLevel: 'silent',
      plugins: [
        {
          // defineConfig only gives types: the schemas behind its door need not be bundled for it.
          name: 'define-config',
          setup(builder) {
            builder.onResolve({ filter: /scripts\/config\/(index|define)(\.[jt]s)?$/ }, () => ({
              path: 'define-config',
              namespace: 'portcullis',
            }));
            builder.onLoad({ filter: /^define-config$/, namespace: 'portcullis' }, () => ({
              contents: 'export const defineConfig = (config) => config;',
            }));
          },
        },
      ],
    });
    const text = built.outputFiles[0]?.text ?? '';
    const module = (await import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`)) as {
      default?: unknown;
    };
    if (module.default === undefined) throw new Error('expected a default export: export default defineConfig({ … })');
    return module.default;
  } catch (error) {
    throw new ConfigError(path, [{ path: '', message: (error as Error).message }]);
  }
}
