import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { localStateFile } from '../cli/connection.js';
import { CliError, type Cli } from '../cli/output.js';
import type { GuardConfig } from '../../edge/guard/index.js';
import type { LoadedConfig } from '../config/index.js';
import type { LocalEdgeOptions } from '../local-edge/index.js';
import type { SimulatedViewer, ViewerHeaderPolicy } from '../local-edge/viewer.js';

interface StartOptions {
  readonly port: number;
  readonly ephemeral: boolean;
  readonly state: string;
  readonly functions?: string;
  readonly viewer?: string;
  readonly viewerHeaderPolicy: string;
  readonly viewerResponseRequest: string;
  readonly guard: string[];
  readonly origin?: string;
  readonly lambda: boolean;
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    throw new CliError('usage', `--port must be a number from 0 to 65535, not "${text}"`, { exitCode: 2 });
  }
  return port;
}

export function register(program: Command, cli: Cli): void {
  program
    .command('start')
    .description(
      'Run the local edge: compiled functions in workerd, demo stream, KeyValueStore API, vending, player page',
    )
    .option('--port <number>', 'port of the edge; 0: any free one', portNumber, 8080)
    .option('--ephemeral', 'keep all state in memory', false)
    .option('--state <folder>', 'folder that keeps keys, store, ledger and logs', '.portcullis')
    .option('--functions <folder>', 'compiled functions to run (default: the configuration, compiled afresh)')
    .option('--viewer <fields>', 'who every request comes from, e.g. "country=DE; region=BE; ip=198.51.100.7"')
    .option(
      '--viewer-header-policy <all|none|list>',
      "which CloudFront-Viewer-* headers the behaviour's policies list; only these are set, and only these overwritten",
      'all',
    )
    .option(
      '--viewer-response-request <original|modified>',
      'which request viewer-response is shown (AWS documents the original)',
      'original',
    )
    .option(
      '--guard <pattern>',
      'path pattern with the functions attached; may be repeated (default: everything)',
      (pattern: string, before: string[]) => [...before, pattern],
      [] as string[],
    )
    .option('--origin <url>', 'origin to protect instead of the demo stream')
    .option(
      '--lambda',
      'run Lambda@Edge as well: public-key tokens start below /start and go on as session tokens',
      false,
    )
    .addHelpText(
      'after',
      `
Examples:
  $ portcullis start                        # http://127.0.0.1:8080/demo/, state in .portcullis/
  $ portcullis start --json --port 0 --ephemeral
  $ portcullis start --lambda                 # the page can start with a public-key token
  $ portcullis start --config live.config.ts
  $ portcullis start --viewer "country=DE; asn=64501" --viewer-header-policy country,asn
  $ portcullis start --guard '/live/*'      # behaviours are chosen on the path as sent`,
    )
    .action(async (options: StartOptions) => {
      await start(cli, options);
    });
}

async function start(cli: Cli, options: StartOptions): Promise<void> {
  const choices = await readChoices(options);
  const stateFile = resolve(process.env['PORTCULLIS_LOCAL'] ?? localStateFile);
  const { loadConfig, parseConfig } = await import('../config/index.js');
  const { functionPlan } = await import('../build/plan.js');
  const loaded = withStart(await loadConfig(cli.configPath), options, parseConfig);
  const { placements, features } = functionPlan(loaded.config, loaded.folder);
  const { startSettings } = await import('../build/start-settings.js');
  const startPath = startSettings(loaded.config);
  const { startLocalEdge } = await import('../local-edge/index.js');
  let edge: Awaited<ReturnType<typeof startLocalEdge>>;
  // Signals end a start that is under way as well.
  const ended = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done());
  });
  const functionsFolder = choices.functionsFolder ?? (await compileConfigured(cli, options, loaded));
  const dropFunctions = async (): Promise<void> => {
    if (options.ephemeral && choices.functionsFolder === undefined) {
      await rm(functionsFolder, { recursive: true, force: true });
    }
  };
  try {
    edge = await startLocalEdge({
      port: options.port,
      functionsFolder,
      ...(options.ephemeral ? {} : { stateFolder: options.state }),
      ...(choices.viewer === undefined ? {} : { viewer: choices.viewer }),
      viewerHeaders: choices.viewerHeaders,
      viewerResponseRequest: choices.viewerResponseRequest,
      placements,
      formats: (['cat', 'jwt'] as const).filter((format) => features[format]),
      renewal: features.catr,
      ...(startPath === undefined ? {} : { start: startPath }),
      ...(loaded.config.lambda ? { lambdas: await contentLambdas(loaded.config) } : {}),
      ...(loaded.config.issuer === undefined ? {} : { issuer: loaded.config.issuer }),
      ...(options.guard.length > 0 ? { guard: options.guard } : {}),
      ...(options.origin === undefined ? {} : { origin: options.origin }),
    });
  } catch (error) {
    await dropFunctions();
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new CliError('port_taken', `Port ${options.port} is taken.`, {
        hint: 'Choose another with --port, or any free one with --port 0.',
      });
    }
    throw new CliError('start_failed', error instanceof Error ? error.message : String(error));
  }
  const { addresses } = edge;
  const state = JSON.stringify(addresses, null, 2);
  await mkdir(dirname(stateFile), { recursive: true });
  await writeFile(stateFile, `${state}\n`);
  cli.result(addresses, () =>
    [
      'Portcullis local edge',
      `  page           ${addresses.page}`,
      `  edge           ${addresses.edge}`,
      `  vending        POST ${addresses.vend}`,
      `  KeyValueStore  ${addresses.kvs.endpoint}`,
      `  DynamoDB       ${addresses.dynamodb.endpoint}`,
      `  WAF            ${addresses.waf.endpoint}`,
      `  access log     ${addresses.accessLog}`,
      options.ephemeral ? '  state          in memory' : `  state          ${resolve(options.state)}`,
      '',
      'Open the page; revoke what plays with: npx portcullis revoke session <id> --local',
      'Ctrl-C ends everything.',
    ].join('\n'),
  );
  await ended;
  await edge.close();
  await dropFunctions();
  // Another edge may have been started since and own the file now.
  if ((await readFile(stateFile, 'utf8').catch(() => '')) === `${state}\n`) await rm(stateFile, { force: true });
  process.exit(0);
}

/** What the configuration wants at Lambda@Edge for the content itself. */
async function contentLambdas(config: LoadedConfig['config']): Promise<NonNullable<LocalEdgeOptions['lambdas']>> {
  const { lambda } = config;
  if (!lambda?.guard) return { originSecret: lambda?.originSecret };
  const { guardPlan } = await import('../build/lambda-plans.js');
  const { keys, hosts, proof, guard, originSecret } = lambda;
  const plan = guardPlan(config, { event: guard.event, keys, hosts, proof });
  return { guard: plan.config as GuardConfig, originSecret };
}

/** The configuration with a start path, which `--lambda` adds for the demo's own key where it has none. */
function withStart(
  loaded: LoadedConfig,
  { lambda }: StartOptions,
  parse: (input: unknown, source?: string) => LoadedConfig['config'],
): LoadedConfig {
  if (!lambda || loaded.config.lambda?.start) return loaded;
  const { input } = loaded;
  const keys = [...(input.lambda?.keys ?? []), { kind: 'jwks' as const, jwks: { keys: [] } }];
  const config = parse({ ...input, lambda: { ...input.lambda, keys, start: { kid: 'edge' } } }, loaded.file);
  return { ...loaded, config };
}

interface Choices {
  readonly viewer: SimulatedViewer | undefined;
  readonly viewerHeaders: ViewerHeaderPolicy;
  readonly viewerResponseRequest: 'original' | 'modified';
  /** Absent: the configuration's, yet to be compiled. */
  readonly functionsFolder: string | undefined;
}

/** Validates the options, before anything heavy is loaded. */
async function readChoices(options: StartOptions): Promise<Choices> {
  const { readViewer, readViewerHeaderPolicy, ViewerSyntaxError } = await import('../local-edge/viewer.js');
  const { viewerResponseRequest } = options;
  if (viewerResponseRequest !== 'original' && viewerResponseRequest !== 'modified') {
    throw new CliError('usage', '--viewer-response-request must be original or modified', { exitCode: 2 });
  }
  const functionsFolder = options.functions === undefined ? undefined : resolve(options.functions);
  if (functionsFolder !== undefined && !existsSync(join(functionsFolder, 'viewer-request.js'))) {
    throw new CliError('functions_missing', `No viewer-request.js in ${functionsFolder}.`, { exitCode: 2 });
  }
  try {
    return {
      viewer: options.viewer === undefined ? undefined : readViewer(options.viewer),
      viewerHeaders: readViewerHeaderPolicy(options.viewerHeaderPolicy),
      viewerResponseRequest,
      functionsFolder,
    };
  } catch (error) {
    if (!(error instanceof ViewerSyntaxError)) throw error;
    throw new CliError('usage', error.message.replace('x-sim-viewer: ', ''), { exitCode: 2 });
  }
}

/** Compiles the configuration, so that what runs is what it says now; where to, is the result. */
async function compileConfigured(cli: Cli, options: StartOptions, loaded: LoadedConfig): Promise<string> {
  const { buildFunctions } = await import('../build/build.js');
  const output = options.ephemeral
    ? await mkdtemp(join(tmpdir(), 'portcullis-functions-'))
    : resolve(options.state, 'functions');
  cli.line('Compiling the functions');
  const { failures, limit } = await buildFunctions({
    config: loaded.config,
    folder: loaded.folder,
    output,
    profiles: [],
  });
  for (const { name, bytes } of failures) {
    cli.warn(`${name} has ${bytes} bytes: CloudFront takes ${limit} at most. It runs here all the same.`);
  }
  return output;
}
