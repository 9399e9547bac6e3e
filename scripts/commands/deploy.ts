import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { TerraformLambda } from '../../infra/terraform/module.js';
import { CliError, type Cli } from '../cli/output.js';
import type { PortcullisConfig } from '../config/index.js';
import type {
  DeployAccess,
  DeployClients,
  DeployConfiguration,
  DeploymentManifest,
  DeploymentStatus,
  DesiredState,
  LoadDeployConfiguration,
} from '../deploy/index.js';

interface ConnectionOptions {
  readonly endpoint?: string;
  readonly metricsEndpoint?: string;
}

interface ApplyOptions extends ConnectionOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly disarm?: boolean;
  readonly smoke: boolean;
}

interface RollbackOptions extends ConnectionOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly deleteStore?: boolean;
}

/** What the commands take from outside; tests put their own here. */
export interface DeployCommandSurroundings {
  readonly load: LoadDeployConfiguration;
  readonly wait: (milliseconds: number) => Promise<void>;
}

const surroundings: DeployCommandSurroundings = {
  load: async (file) => (await import('../deploy/load.js')).loadDeployConfiguration(file),
  wait: (milliseconds) => sleep(milliseconds),
};

export function register(program: Command, cli: Cli, around: DeployCommandSurroundings = surroundings): void {
  const deploy = program
    .command('deploy')
    .description('Attach the functions to a CloudFront distribution in stages, watch them, go back')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis deploy plan\n  $ portcullis deploy apply\n  $ portcullis deploy status\n  $ portcullis deploy rollback',
    );
  const connected = (command: Command): Command =>
    command
      .option('--endpoint <url>', 'address of a loopback double of CloudFront (default: AWS)')
      .option('--metrics-endpoint <url>', 'address of a loopback double of CloudWatch');

  connected(deploy.command('plan').description('Show what apply would change, what was proved, and what is wrong'))
    .option('--disarm', 'going back from stage enforce is meant')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy plan\n  $ portcullis deploy plan --json')
    .action((options: ConnectionOptions & { disarm?: boolean }) =>
      withDeployment(cli, around, options, (session) => plan(cli, session, options)),
    );

  connected(deploy.command('apply').description('Carry the plan out: test, publish, attach, try from outside, record'))
    .option('--disarm', 'going back from stage enforce is meant')
    .option('--no-smoke', 'do not try the live URL afterwards')
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy apply\n  $ portcullis deploy apply --yes --json')
    .action((options: ApplyOptions) => withDeployment(cli, around, options, (session) => apply(cli, session, options)));

  connected(deploy.command('status').description('What runs where, drift, metrics, refusals, alarms'))
    .option('--minutes <n>', 'how far back metrics and refusals reach', '60')
    .addHelpText(
      'after',
      '\nExit code 1 when an alarm stands.\n\nExamples:\n  $ portcullis deploy status\n  $ portcullis deploy status --minutes 1440 --json',
    )
    .action((options: ConnectionOptions & { minutes: string }) =>
      withDeployment(cli, around, options, (session) => status(cli, session, Number(options.minutes))),
    );

  connected(deploy.command('rollback').description('Undo the newest deployment, exactly'))
    .option('--force', 'write over what others changed in the same places since')
    .option('--delete-store', 'delete the KeyValueStore too, with its keys and revocations')
    .option('--dry-run', 'show what would be undone and change nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy rollback\n  $ portcullis deploy rollback --dry-run')
    .action((options: RollbackOptions) =>
      withDeployment(cli, around, options, (session) => rollback(cli, session, options)),
    );

  connected(deploy.command('history').description('The recorded deployments, newest last'))
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy history')
    .action((options: ConnectionOptions) =>
      withDeployment(cli, around, options, async (session) => {
        const all = await session.access.record.list(session.configuration.deployment.name);
        cli.result(all, () =>
          all.length === 0
            ? 'Nothing was deployed from here.'
            : cli.table(['id', 'state', 'changes', 'made'], all.map(historyRow)),
        );
      }),
    );

  const canary = deploy
    .command('canary')
    .description('Try a deployment on a few requests (CloudFront continuous deployment)');
  connected(
    canary.command('start').description('Copy the distribution, deploy to the copy, send it the configured requests'),
  )
    .option('--probe', 'also find out which request viewer-response is given')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy canary start')
    .action((options: ConnectionOptions & { probe?: boolean; yes?: boolean }) =>
      withDeployment(cli, around, options, (session) => canaryStart(cli, session, options)),
    );
  connected(canary.command('end').description('Send every request to the distribution itself and take the copy away'))
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      '\nTo go live with what was tried, run deploy apply first.\n\nExamples:\n  $ portcullis deploy canary end',
    )
    .action((options: ConnectionOptions & { yes?: boolean }) =>
      withDeployment(cli, around, options, async (session) => {
        const { endCanary } = await import('../deploy/index.js');
        await confirmed(cli, 'Take the staging distribution away?', options);
        await endCanary(session.access, session.desired);
        cli.result({ ended: true }, () => 'The canary is over.');
      }),
    );

  deploy
    .command('policy')
    .description('The IAM policy that a deployer of this environment needs')
    .requiredOption('--account <id>', 'AWS account, twelve digits')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy policy --account 111122223333 > deployer.json')
    .action(async (options: { account: string }) => {
      if (!/^\d{12}$/.test(options.account)) {
        throw new CliError('usage', `--account: expected twelve digits, not "${options.account}".`, { exitCode: 2 });
      }
      const { deployerPolicy } = await import('../deploy/index.js');
      const { deployment } = await around.load(cli.configPath);
      const policy = deployerPolicy(deployment, options.account);
      cli.result(policy, () => JSON.stringify(policy, null, 2));
    });

  deploy
    .command('terraform')
    .description('Write the gate as a Terraform module, without keys')
    .option('--out <folder>', 'where to write it (default: terraform/portcullis-<name>)')
    .option('--stage <stage>', 'log or enforce', 'enforce')
    .addHelpText('after', '\nExamples:\n  $ portcullis deploy terraform --out modules/portcullis')
    .action((options: { out?: string; stage: string }) => terraform(cli, around, options));
}

interface DeploySession {
  readonly configuration: DeployConfiguration;
  readonly desired: DesiredState;
  readonly clients: DeployClients;
  readonly access: DeployAccess;
}

async function withDeployment(
  cli: Cli,
  around: DeployCommandSurroundings,
  options: ConnectionOptions,
  work: (session: DeploySession) => Promise<void>,
): Promise<void> {
  const deploy = await import('../deploy/index.js');
  const configuration = await around.load(cli.configPath);
  const { deployment, facts, tokens } = configuration;
  const clients = deploy.deployClients(options, around.wait);
  try {
    const guarded = deployment.behaviours.find((behaviour) => behaviour.stage !== 'off') ?? deployment.behaviours[0];
    const access: DeployAccess = {
      cloudFront: clients.cloudFront,
      keyValues: clients.keyValues,
      record: await deploymentRecord(deployment),
      wait: around.wait,
      now: () => new Date(),
      note: (text) => cli.line(text),
      computeCeiling: deployment.computeCeiling,
      testPath: deploy.testContentPath(guarded?.content ?? [guarded?.pattern ?? '/*']),
      testSuite: (key, contentPath) =>
        deploy.testSuite({
          ...tokens,
          requestHeaders: tokens.headers,
          key,
          contentPath,
          headers: facts.headers,
          now: Date.now,
        }),
    };
    const desired = await deploy.desiredState(deployment, facts, (stage) => configuration.compile(stage));
    await work({ configuration, desired, clients, access });
  } catch (error) {
    if (!(error instanceof deploy.DeployError)) throw awsError(error) ?? error;
    const details = error.details.map((line) => `\n  ${line}`).join('');
    throw new CliError(error.code, error.message + details, error.hint === undefined ? {} : { hint: error.hint });
  } finally {
    clients.close();
  }
}

async function deploymentRecord(deployment: DeployConfiguration['deployment']): Promise<DeployAccess['record']> {
  const { combinedRecord, folderRecord, ledgerRecord } = await import('../deploy/index.js');
  const local = folderRecord(deployment.record.folder);
  if (deployment.record.table === undefined) return local;
  const { createLedgerClient } = await import('../../revoker/ledger/dynamodb.js');
  const endpoint = process.env['AWS_ENDPOINT_URL_DYNAMODB'];
  return combinedRecord([
    local,
    ledgerRecord(createLedgerClient(endpoint === undefined ? {} : { endpoint }), deployment.record.table),
  ]);
}

/** The errors of the SDK that a person can do something about, in words. */
function awsError(error: unknown): CliError | undefined {
  const name = error instanceof Error ? error.name : '';
  const message = error instanceof Error ? error.message : '';
  if (/Credentials|ExpiredToken|InvalidClientTokenId|UnrecognizedClient/.test(name)) {
    return new CliError('no_credentials', `AWS does not accept the credentials: ${message}`, {
      hint: 'Sign in (aws sso login) or name a profile in AWS_PROFILE.',
    });
  }
  if (/AccessDenied/.test(name)) {
    return new CliError('access_denied', `These credentials may not do that: ${message}`, {
      hint: 'See what a deployer needs with: npx portcullis deploy policy --account <id>',
    });
  }
  if (/Throttling|TooManyRequests/.test(name)) {
    return new CliError('throttled', 'CloudFront asks for patience: too many requests.', {
      hint: 'Run the same command again in a minute; it goes on where it stopped.',
    });
  }
  return undefined;
}

async function confirmed(cli: Cli, question: string, options: { yes?: boolean }): Promise<void> {
  const agreed = await cli.confirm(question, options.yes === undefined ? {} : { yes: options.yes });
  if (!agreed) throw new CliError('not_confirmed', 'Nothing was changed.');
}

async function plan(cli: Cli, session: DeploySession, options: { disarm?: boolean }): Promise<void> {
  const { blockingFindings, makePlan, observe, renderPlan } = await import('../deploy/index.js');
  const made = makePlan(session.desired, await observe(session.access, session.desired), disarmOf(options));
  cli.result(made, () => renderPlan(made));
  const blocking = blockingFindings(made.findings);
  if (blocking.length > 0) process.exitCode = 1;
}

const disarmOf = (options: { disarm?: boolean }): { disarm?: boolean } =>
  options.disarm === undefined ? {} : { disarm: options.disarm };

async function apply(cli: Cli, session: DeploySession, options: ApplyOptions): Promise<void> {
  const { applyDeployment, blockingFindings, makePlan, observe, renderPlan } = await import('../deploy/index.js');
  const { access, desired } = session;
  const made = makePlan(desired, await observe(access, desired), disarmOf(options));
  if (options.dryRun) {
    cli.result({ dryRun: true, plan: made }, () => renderPlan(made));
    if (blockingFindings(made.findings).length > 0) process.exitCode = 1;
    return;
  }
  if (!cli.json) cli.line(renderPlan(made));
  if (made.steps.length > 0 && blockingFindings(made.findings).length === 0) {
    await confirmed(cli, `Apply to distribution ${desired.distribution}?`, options);
  }
  const result = await applyDeployment(access, desired, disarmOf(options));
  const smoke = options.smoke ? await smokeChecks(session, result.manifest) : [];
  const manifest: DeploymentManifest = { ...result.manifest, checks: [...result.manifest.checks, ...smoke] };
  if (smoke.length > 0) await access.record.put(manifest);
  cli.result({ deployment: manifest.id, state: manifest.state, steps: result.steps, checks: manifest.checks }, () => {
    const passed = manifest.checks.filter((check) => check.passed).length;
    const lines = [
      result.steps.length === 0 ? 'Nothing to change.' : `Deployed: ${manifest.id}`,
      ...(manifest.checks.length > 0 ? [`${passed} of ${manifest.checks.length} checks passed.`] : []),
      ...(session.configuration.deployment.smoke === undefined
        ? ['The live URL was not tried: the configuration has no deployment.smoke.']
        : []),
    ];
    return lines.join('\n');
  });
}

async function smokeChecks(
  session: DeploySession,
  manifest: DeploymentManifest,
): Promise<DeploymentManifest['checks']> {
  const { smoke } = session.configuration.deployment;
  const { observe, smokeTest } = await import('../deploy/index.js');
  if (smoke === undefined || manifest.state !== 'applied') return [];
  const { selectBehaviour } = await import('../deploy/paths.js');
  const observed = await observe(session.access, session.desired);
  const { pattern } = selectBehaviour(observed.distribution.config, smoke.path);
  const stage = session.desired.behaviours.find((behaviour) => behaviour.pattern === pattern)?.stage;
  if (stage === undefined || stage === 'off' || observed.store === undefined) return [];
  return smokeTest(session.access, { ...smoke, stage, storeArn: observed.store.arn });
}

async function status(cli: Cli, session: DeploySession, minutes: number): Promise<void> {
  if (!Number.isInteger(minutes) || minutes < 1) {
    throw new CliError('usage', '--minutes: expected a whole number of minutes.', { exitCode: 2 });
  }
  const { deploymentStatus, expectationOf } = await import('../deploy/index.js');
  const found = await deploymentStatus(
    { ...session.access, cloudWatch: session.clients.cloudWatch, logs: session.clients.logs },
    session.desired,
    { minutes },
  );
  cli.result({ ...found, gate: expectationOf(session.desired) }, () => renderStatus(cli, found));
  if (found.alarms.length > 0) process.exitCode = 1;
}

function renderStatus(cli: Cli, found: DeploymentStatus): string {
  const percent = (value: number | undefined): string => (value === undefined ? '-' : `${Math.round(value)} %`);
  const sections = [
    `Distribution ${found.distribution} (${found.domainName}): ${found.deployed ? 'Deployed' : 'InProgress'}`,
    cli.table(
      ['behaviour', 'wanted', 'viewer-request', 'viewer-response'],
      found.behaviours.map((item) => [
        item.pattern,
        item.wanted,
        item.viewerRequest ?? '-',
        item.viewerResponse ?? '-',
      ]),
    ),
    found.functions.length === 0
      ? ''
      : cli.table(
          [
            'function',
            'live',
            { title: 'requests', align: 'right' },
            { title: 'errors', align: 'right' },
            { title: 'throttled', align: 'right' },
            { title: 'compute', align: 'right' },
          ],
          found.functions.map((item) => [
            item.name,
            !item.live ? 'no' : item.upToDate ? 'as built' : 'another build',
            item.metrics?.invocations ?? '-',
            item.metrics === undefined ? '-' : item.metrics.executionErrors + item.metrics.validationErrors,
            item.metrics?.throttles ?? '-',
            percent(item.metrics?.computeUtilization),
          ]),
        ),
    ...found.functions
      .filter((item) => item.refusals !== undefined && item.refusals.length > 0)
      .map((item) =>
        [
          `Refusals of ${item.name}, last ${found.minutes} minutes`,
          cli.table(
            ['reason', 'mode', { title: 'count', align: 'right' }],
            (item.refusals ?? []).map((entry) => [entry.reason, entry.mode, entry.count]),
          ),
        ].join('\n'),
      ),
    found.drift.length === 0
      ? 'No drift.'
      : `Drift: apply would take ${found.drift.length} steps (portcullis deploy plan).`,
    found.alarms.length === 0
      ? 'No alarm.'
      : ['ALARMS', ...found.alarms.map((alarm) => `  ${alarm.code}: ${alarm.message}`)].join('\n'),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

async function rollback(cli: Cli, session: DeploySession, options: RollbackOptions): Promise<void> {
  const { latestDeployment, rollBack } = await import('../deploy/index.js');
  const { name } = session.configuration.deployment;
  const manifest = await latestDeployment(session.access, name);
  if (manifest && !cli.json) {
    cli.line(
      `Undo ${manifest.id}: ${manifest.changes.length} changes of the distribution, ${manifest.created.functions.length} functions and ${manifest.created.policies.length} policies made by it.`,
    );
  }
  if (options.dryRun) {
    cli.result({ dryRun: true, deployment: manifest ?? null }, () =>
      manifest
        ? manifest.changes.map((change) => `${change.pattern ?? 'distribution'}: ${change.field} back`).join('\n')
        : 'Nothing to undo.',
    );
    return;
  }
  if (manifest) await confirmed(cli, 'Go back? Viewers are served as before that deployment.', options);
  const result = await rollBack(session.access, name, {
    ...(options.force === undefined ? {} : { force: options.force }),
    ...(options.deleteStore === undefined ? {} : { deleteStore: options.deleteStore }),
  });
  cli.result({ undone: result.manifest.id, exact: result.exact, notes: result.notes }, () =>
    [
      `Undone: ${result.manifest.id}`,
      result.exact
        ? 'The configuration is the one from before, exactly.'
        : 'The configuration differs elsewhere from the one before.',
      ...result.notes,
    ].join('\n'),
  );
}

function historyRow(manifest: DeploymentManifest): (string | number)[] {
  const made = [...manifest.created.functions, ...manifest.created.policies];
  return [manifest.id, manifest.state, manifest.changes.length, made.join(', ') || '-'];
}

async function canaryStart(
  cli: Cli,
  session: DeploySession,
  options: { probe?: boolean; yes?: boolean },
): Promise<void> {
  const { startCanary } = await import('../deploy/index.js');
  const { smoke } = session.configuration.deployment;
  if (options.probe && smoke === undefined) {
    throw new CliError('usage', '--probe needs deployment.smoke: the URL to ask.', { exitCode: 2 });
  }
  await confirmed(cli, `Copy ${session.desired.distribution} and send the copy some requests?`, options);
  const canary = await startCanary(
    session.access,
    session.desired,
    options.probe && smoke !== undefined ? { probe: smoke } : {},
  );
  cli.result(
    { staging: canary.staging, header: canary.header?.[0], viewerResponseSees: canary.viewerResponseSees },
    () =>
      [
        `The staging distribution ${canary.staging} runs the new functions.`,
        canary.header === undefined
          ? 'It gets its share of the viewers by chance.'
          : `It gets the requests with the header ${canary.header[0]}.`,
        ...(canary.viewerResponseSees === undefined
          ? []
          : [`viewer-response is given the ${canary.viewerResponseSees} request.`]),
        'Go live with: npx portcullis deploy apply, then npx portcullis deploy canary end',
      ].join('\n'),
  );
}

async function terraform(
  cli: Cli,
  around: DeployCommandSurroundings,
  options: { out?: string; stage: string },
): Promise<void> {
  if (options.stage !== 'log' && options.stage !== 'enforce') {
    throw new CliError('usage', `--stage: expected log or enforce, not "${options.stage}".`, { exitCode: 2 });
  }
  const { terraformModule } = await import('../../infra/terraform/module.js');
  const configuration = await around.load(cli.configPath);
  const { loadConfig } = await import('../config/index.js');
  const { config } = await loadConfig(cli.configPath);
  const { deployment, facts } = configuration;
  const compiled = await configuration.compile(options.stage);
  const files = terraformModule({
    prefix: deployment.prefix,
    name: deployment.name,
    distribution: deployment.distribution,
    functions: {
      viewerRequest: compiled.viewerRequest,
      ...((deployment.viewerResponse ?? facts.renewal) ? { viewerResponse: compiled.viewerResponse } : {}),
    },
    viewerHeaders: facts.headers,
    lambdas: await terraformLambdas(config),
  });
  const folder = options.out ?? join('terraform', `portcullis-${deployment.name}`);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  if (config.lambda) {
    const { writeLambdas } = await import('../build/lambda.js');
    const { lambdaPlans } = await import('../build/lambda-plans.js');
    await writeLambdas(lambdaPlans(config), folder);
  }
  cli.result(
    { folder, files: Object.keys(files) },
    () => `Wrote ${Object.keys(files).length} files to ${folder}. Read its README.md first.`,
  );
}

/** The Lambda@Edge functions of a configuration, and what their roles must allow. */
async function terraformLambdas(config: PortcullisConfig): Promise<TerraformLambda[]> {
  const { lambda, revoker } = config;
  if (!lambda) return [];
  const { lambdaPlans } = await import('../build/lambda-plans.js');
  const { keySecretName } = await import('../../revoker/index.js');
  const shared = lambda.keys.flatMap((source) => (source.kind === 'secret' ? [source] : []));
  return lambdaPlans(config).map(({ name, event }): TerraformLambda => {
    const { start, originSecret } = lambda;
    if (name === 'origin-secret') return { part: name, event, secrets: originSecret ? [originSecret] : [] };
    if (name !== 'start' || !start) return { part: name, event, secrets: shared };
    const sessions = [start.kid, ...start.olderKids].map((kid) => ({
      secret: keySecretName(revoker?.secretPrefix ?? 'portcullis', kid),
      region: start.secretsRegion,
    }));
    return { part: name, event, secrets: [...sessions, ...shared], oneTime: start.oneTime };
  });
}
