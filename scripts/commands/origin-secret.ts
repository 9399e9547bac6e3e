import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { LambdaConfig } from '../../edge/config.js';
import type { SecretVersions } from '../../edge/origin-secret/index.js';
import { CliError, type Cli } from '../cli/output.js';

interface RotateOptions {
  readonly publishWait: number;
  readonly switchWait: number;
  readonly endpoint?: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
}

type OriginSecret = NonNullable<LambdaConfig['originSecret']>;

function seconds(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number > 86_400)
    throw new CliError('usage', `expected seconds from 0 to 86400, not "${text}"`, { exitCode: 2 });
  return number;
}

export function register(program: Command, cli: Cli): void {
  const group = program
    .command('origin-secret')
    .description("The header by which the origin knows Lambda@Edge: status, and rotation in the origin's order")
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis origin-secret status\n  $ portcullis origin-secret rotate --dry-run',
    );

  group
    .command('status')
    .description('Where a rotation stands: settled, published or switched')
    .option('--endpoint <url>', 'another address of Secrets Manager')
    .addHelpText('after', '\nExamples:\n  $ portcullis origin-secret status --json')
    .action(async ({ endpoint }: Pick<RotateOptions, 'endpoint'>) => {
      const { config, versions } = await connect(cli, endpoint);
      const { rotationState } = await import('../../edge/origin-secret/index.js');
      const state = await rotationState({ versions, stage: config.stage });
      cli.result({ secret: config.secret, state }, () => `${config.secret}: ${state}`);
    });

  group
    .command('rotate')
    .description(
      'Publish a new value, wait, switch to it, wait, and retire the old one; goes on where it was broken off',
    )
    .option(
      '--publish-wait <seconds>',
      'until the origin knows the new value (MediaPackage v1: 600, v2: 300)',
      seconds,
      600,
    )
    .option('--switch-wait <seconds>', 'until every Lambda sends it (default: twice its refresh interval)', seconds)
    .option('--endpoint <url>', 'another address of Secrets Manager')
    .option('--dry-run', 'say what would be done', false)
    .option('--yes', 'do not ask', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis origin-secret rotate --yes\n  $ portcullis origin-secret rotate --publish-wait 300   # MediaPackage v2',
    )
    .action((options: RotateOptions) => rotate(cli, options));
}

async function connect(
  cli: Cli,
  endpoint: string | undefined,
): Promise<{ readonly config: OriginSecret; readonly versions: SecretVersions }> {
  const { loadConfig } = await import('../config/index.js');
  const config = (await loadConfig(cli.configPath)).config.lambda?.originSecret;
  if (!config)
    throw new CliError('not_configured', 'The configuration has no lambda.originSecret.', {
      hint: 'docs/lambda-edge.md says what belongs there.',
    });
  const { SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const { secretsManagerVersions } = await import('../../edge/origin-secret/index.js');
  const url = endpoint ?? config.endpoint;
  const client = new SecretsManagerClient({
    region: config.region,
    ...(url === undefined
      ? {}
      : { endpoint: url, credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' } }),
  });
  return { config, versions: secretsManagerVersions(client, config.secret) };
}

async function rotate(cli: Cli, options: RotateOptions): Promise<void> {
  const { config, versions } = await connect(cli, options.endpoint);
  const { rotateOriginSecret, rotationState } = await import('../../edge/origin-secret/index.js');
  const waits = { publish: options.publishWait, switch: options.switchWait ?? 2 * config.refreshAfter + 30 };
  const from = await rotationState({ versions, stage: config.stage });
  const labelled = (await versions.list()).some(({ stages }) => stages.includes(config.stage));
  const steps = [
    ...(labelled
      ? []
      : [`label what is sent (${config.stage})`, `wait ${waits.switch} s until every Lambda goes by the label`]),
    ...(from === 'settled' ? ['publish a new value'] : []),
    ...(from === 'switched' ? [] : [`wait ${waits.publish} s for the origin`, 'switch to the new value']),
    `wait ${waits.switch} s for every Lambda`,
    'retire the old value',
  ];
  if (options.dryRun) {
    cli.result({ secret: config.secret, state: from, steps, dryRun: true }, () =>
      [`${config.secret} is ${from}. It would:`, ...steps.map((step, i) => `  ${i + 1}. ${step}`)].join('\n'),
    );
    return;
  }
  if (!(await cli.confirm(`Rotate ${config.secret}: ${steps.join(', ')}?`, { yes: options.yes })))
    throw new CliError('not_confirmed', 'Nothing was changed.');
  await rotateOriginSecret(
    {
      versions,
      stage: config.stage,
      renew: (text) => renewed(text, config),
      newVersionId: randomUUID,
      wait: async (time, why) => {
        cli.line(`Waiting ${time} s ${why}`);
        await pause(time * 1000);
      },
      note: (line) => cli.line(line),
    },
    waits,
  );
  cli.result({ secret: config.secret, state: 'settled', steps }, () => `${config.secret} is rotated.`);
}

/** The secret with a new value for each header, as MediaPackage recommends them: random UUIDs. */
function renewed(text: string, { headers }: OriginSecret): string {
  const members = Object.values(headers);
  if (members.includes('')) return randomUUID();
  const before = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify({ ...before, ...Object.fromEntries(members.map((member) => [member, randomUUID()])) });
}
