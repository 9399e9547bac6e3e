import type { Command } from 'commander';
import { CliError, type Cli } from '../cli/output.js';
import type { BuildReport, FeatureCost } from '../build/build.js';
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
    .description('Compile the configuration into the two CloudFront Functions, and say how large they are')
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
  const { buildFunctions, countSteps } = await import('../build/build.js');
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
  progress.done();
  cli.result(report, () => rendered(cli, report, file));
  if (report.failures.length > 0) {
    const names = report.failures.map(({ profile, name, bytes }) => `${profile} ${name} ${bytes}`).join(', ');
    throw new CliError('function_too_large', `Over ${report.limit} bytes: ${names}.`, {
      hint: 'Leave out what the policy does not need (claims.use, formats, placements, revocation.scopes); --features shows what each costs.',
    });
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

function rendered(cli: Cli, report: BuildReport, file: string | undefined): string {
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
    ...(report.features.length > 0 ? ['', featureTable(cli, report.features)] : []),
  ].join('\n');
}

function featureTable(cli: Cli, features: readonly FeatureCost[]): string {
  return cli.table(
    ['feature', { title: 'bytes in viewer-request', align: 'right' }, 'in profile default'],
    features.map(({ feature, bytes, inDefault }) => [feature, bytes.toLocaleString('en'), inDefault ? 'yes' : '']),
  );
}
