import type { Command } from 'commander';
import { CliError, type Cli } from '../cli/output.js';
import type { BuildReport, FeatureCost } from '../build/build.js';
import type { BuiltLambda } from '../build/lambda.js';
import type { PortcullisConfig } from '../config/schema.js';
import type { ProfileName } from '../config/functions-config.js';

interface BuildFlags {
  readonly output?: string;
  readonly profile: string[];
  readonly profiles: boolean;
  readonly features?: boolean;
  readonly dryRun?: boolean;
}

export function register(program: Command, cli: Cli): void {
  program
    .command('build')
    .description(
      'Compile the configuration into the two CloudFront Functions, and into Lambda@Edge packages where it asks for them',
    )
    .option('--output <folder>', 'where they go (default: dist/functions)')
    .option(
      '--profile <name>',
      'only this profile beside the configuration; may be repeated (default: all)',
      (name: string, before: string[]) => [...before, name],
      [] as string[],
    )
    .option('--no-profiles', 'the configuration alone')
    .option('--features', 'also measure what each feature costs in bytes')
    .option('--dry-run', 'check the configuration and say what would be compiled in; write nothing')
    .addHelpText(
      'after',
      `
Each function must fit into 10,240 bytes, a limit of CloudFront that nobody raises. Only what the configuration uses is
compiled in; a configuration over the limit fails with exit code 1 and says what to leave out.

With a section lambda in the configuration, its handlers are put beside the functions: lambda/<name>/index.js to read, and
lambda/<name>.zip to upload. The same sources and configuration make the same package, byte for byte.

Examples:
  $ portcullis build
  $ portcullis build --no-profiles --config live.config.ts
  $ portcullis build --features --json
  $ portcullis build --dry-run`,
    )
    .action((flags: BuildFlags) => run(cli, flags));
}

async function run(cli: Cli, flags: BuildFlags): Promise<void> {
  const { loadConfig, profileNames } = await import('../config/index.js');
  const unknown = flags.profile.find((name) => !(profileNames as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new CliError('usage', `--profile must be one of ${profileNames.join(', ')}, not "${unknown}"`, {
      exitCode: 2,
    });
  }
  const { config, folder, file } = await loadConfig(cli.configPath);
  const { buildFunctions, countSteps, functionsFolder } = await import('../build/build.js');
  if (flags.dryRun) return preview(cli, config, file);
  const profiles = !flags.profiles ? [] : flags.profile.length > 0 ? (flags.profile as ProfileName[]) : profileNames;
  const options = { profiles, featureCosts: flags.features };
  const progress = cli.progress(countSteps(options), 'compiling');
  const report = await buildFunctions({
    ...options,
    config,
    folder,
    output: flags.output,
    onStep: () => progress.tick(),
  });
  const lambdas = await buildLambdas(config, flags.output ?? functionsFolder);
  progress.done();
  cli.result({ ...report, ...(lambdas.length > 0 ? { lambdas } : {}) }, () => rendered(cli, report, lambdas, file));
  if (report.failures.length > 0) {
    const names = report.failures.map(({ profile, name, bytes }) => `${profile} ${name} ${bytes}`).join(', ');
    throw new CliError('function_too_large', `Over ${report.limit} bytes: ${names}.`, {
      hint: 'Leave out what the policy does not need (claims.use, formats, placements, revocation.scopes); --features shows what each costs.',
    });
  }
  const unfit = lambdas.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
  if (unfit.length > 0) throw new CliError('lambda_not_deployable', unfit.join('; '));
}

/** Builds what the configuration wants at Lambda@Edge, beside the functions. */
async function buildLambdas(config: PortcullisConfig, output: string): Promise<BuiltLambda[]> {
  if (!config.lambda) return [];
  const { join } = await import('node:path');
  const { writeLambdas } = await import('../build/lambda.js');
  const { lambdaPlans } = await import('../build/lambda-plans.js');
  try {
    return await writeLambdas(lambdaPlans(config), join(output, 'lambda'));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new CliError('invalid_config', `lambda.keys: ${error.message}`);
  }
}

async function preview(
  cli: Cli,
  config: Parameters<typeof import('../build/plan.js').functionPlan>[0],
  file?: string,
): Promise<void> {
  const { functionPlan } = await import('../build/plan.js');
  const { features, placements } = functionPlan(config);
  const on = Object.entries(features).flatMap(([name, wanted]) => (wanted ? [name] : []));
  cli.result({ config: file ?? null, features: on, placements }, () =>
    [
      `Configuration: ${file ?? 'none; the defaults hold'}`,
      `Compiled in:   ${on.join(' ')}`,
      'Nothing was written.',
    ].join('\n'),
  );
}

function rendered(cli: Cli, report: BuildReport, lambdas: readonly BuiltLambda[], file: string | undefined): string {
  const share = (bytes: number): string => `${Math.round((bytes / report.limit) * 100)} %`;
  const table = cli.table(
    ['build', 'function', { title: 'bytes', align: 'right' }, { title: 'of the limit', align: 'right' }, ''],
    report.functions.map(({ profile, name, bytes }) => [
      profile,
      name,
      bytes.toLocaleString('en'),
      share(bytes),
      bytes > report.limit ? 'over' : '',
    ]),
  );
  return [
    `Configuration: ${file ?? 'none; the defaults hold'}. Limit: ${report.limit.toLocaleString('en')} bytes a function.`,
    '',
    table,
    ...(lambdas.length > 0 ? ['', lambdaTable(cli, lambdas)] : []),
    ...(report.features.length > 0 ? ['', featureTable(cli, report.features)] : []),
  ].join('\n');
}

function lambdaTable(cli: Cli, lambdas: readonly BuiltLambda[]): string {
  return cli.table(
    [
      'Lambda@Edge',
      'event',
      { title: 'bundle', align: 'right' },
      { title: 'package', align: 'right' },
      { title: 'limit', align: 'right' },
      { title: 'longest answer', align: 'right' },
      { title: 'limit', align: 'right' },
      'file',
    ],
    lambdas.map(({ name, event, bytes, zipBytes, limit, answerBytes, answerLimit, zip }) => [
      name,
      event,
      bytes.toLocaleString('en'),
      zipBytes.toLocaleString('en'),
      limit.toLocaleString('en'),
      answerBytes.toLocaleString('en'),
      answerLimit.toLocaleString('en'),
      zip,
    ]),
  );
}

function featureTable(cli: Cli, features: readonly FeatureCost[]): string {
  return cli.table(
    ['feature', { title: 'bytes in viewer-request', align: 'right' }, 'in profile default'],
    features.map(({ feature, bytes, inDefault }) => [feature, bytes.toLocaleString('en'), inDefault ? 'yes' : '']),
  );
}
