import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Placement } from '@portcullis/tokens';
import { CliError, type Cli } from '../cli/output.js';
import type { ConfigurationAnswers, Proposal } from '../deploy/propose.js';

interface InitOptions {
  readonly from?: string;
  readonly name?: string;
  readonly distribution?: string;
  readonly issuer?: string;
  readonly format?: string;
  readonly guard?: string[];
  readonly smokeUrl?: string;
  readonly endpoint?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** Asks one question; the answer in brackets is what an empty line means. */
export type Ask = (question: string, proposed: string) => Promise<string>;

/** What the command takes from outside; tests answer in a person's place. */
export interface InitSurroundings {
  /** Undefined where there is nobody to ask. */
  readonly ask: (() => { ask: Ask; close(): void }) | undefined;
}

const terminal: InitSurroundings = {
  ask: process.stdin.isTTY
    ? () => {
        const reader = createInterface({ input: process.stdin, output: process.stderr });
        return {
          ask: async (question, proposed) => {
            const answer = (await reader.question(`${question}${proposed === '' ? '' : ` [${proposed}]`} `)).trim();
            return answer === '' ? proposed : answer;
          },
          close: () => reader.close(),
        };
      }
    : undefined,
};

export function register(program: Command, cli: Cli, around: InitSurroundings = terminal): void {
  program
    .command('init')
    .description('Write a configuration: asks what matters, or reads a distribution and proposes one')
    .option('--from <distribution>', 'read this distribution and propose what to guard')
    .option('--name <environment>', 'the environment’s name')
    .option('--distribution <id>', 'the distribution, where it is not read')
    .option('--issuer <iss>', 'who signs the tokens')
    .option('--format <format>', 'cat or jwt')
    .option('--guard <pattern...>', 'behaviours to guard, by path pattern, or "default"')
    .option('--smoke-url <url>', 'the site’s base URL, to try deployments with')
    .option('--endpoint <url>', 'address of a loopback double of CloudFront (default: AWS)')
    .option('--force', 'write over a configuration that is there')
    .option('--dry-run', 'print the configuration and write nothing')
    .option('-y, --yes', 'take what is proposed without asking')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis init\n  $ portcullis init --from E1ABCDEF2GHIJK --name production --issuer cms.example --yes',
    )
    .action((options: InitOptions) => init(cli, options, around));
}

async function init(cli: Cli, options: InitOptions, around: InitSurroundings): Promise<void> {
  const { configPath } = cli;
  if (existsSync(configPath) && !options.force && !options.dryRun) {
    throw new CliError('config_exists', `${configPath} is there already; nothing was written.`, {
      hint: 'Choose another file with --config, or write over it with --force.',
    });
  }
  const { configurationText } = await import('../deploy/configuration-text.js');
  const proposal = options.from === undefined ? undefined : await proposalFrom(options.from, options);
  if (proposal) for (const reason of proposal.reasons) cli.line(reason);
  const answers = await collect(options, proposal, around);
  const text = configurationText(answers);
  await check(configPath, text);
  if (!options.dryRun) await writeFile(configPath, text);
  cli.result({ file: options.dryRun ? null : configPath, answers, reasons: proposal?.reasons ?? [] }, () =>
    options.dryRun ? text : `Wrote ${configPath}. Read it, then: npx portcullis deploy plan`,
  );
}

/** What is written is valid, or nothing is written. */
async function check(configPath: string, text: string): Promise<void> {
  const { parseConfig } = await import('../config/index.js');
  const { transform } = await import('esbuild');
  const { code } = await transform(text, { loader: 'ts', format: 'esm' });
  const module = (await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)) as {
    default: unknown;
  };
  parseConfig(module.default, configPath);
}

async function proposalFrom(id: string, options: InitOptions): Promise<Proposal> {
  const { deployClients, readConfig } = await import('../deploy/index.js');
  const { propose } = await import('../deploy/propose.js');
  const { GetDistributionCommand } = await import('@aws-sdk/client-cloudfront');
  const clients = deployClients({ endpoint: options.endpoint }, () => Promise.resolve());
  try {
    const { config } = await readConfig(clients.cloudFront, id);
    const { Distribution: distribution } = await clients.cloudFront.send(new GetDistributionCommand({ Id: id }));
    return propose(id, distribution?.DomainName ?? '', config);
  } catch (error) {
    const { name, message } = error as Error;
    if (name === 'NoSuchDistribution') {
      throw new CliError('not_found', `There is no distribution ${id} in this account.`, {
        hint: 'List them with: aws cloudfront list-distributions',
      });
    }
    throw new CliError('not_readable', `The distribution ${id} could not be read: ${message}`, {
      hint: 'Sign in (aws sso login), or write a configuration without --from.',
    });
  } finally {
    clients.close();
  }
}

const missing = (what: string, flag: string): CliError =>
  new CliError('usage', `${what} is not known, and there is nobody to ask.`, { exitCode: 2, hint: `Add ${flag}.` });

async function collect(
  options: InitOptions,
  proposal: Proposal | undefined,
  around: InitSurroundings,
): Promise<ConfigurationAnswers> {
  const person = options.yes ? undefined : around.ask?.();
  const answer = async (
    question: string,
    given: string | undefined,
    proposed: string,
    flag: string,
  ): Promise<string> => {
    if (given !== undefined) return given;
    if (person) return person.ask(question, proposed);
    if (proposed === '') throw missing(question.replace(/\?.*$/, ''), flag);
    return proposed;
  };
  try {
    const known = proposal?.answers;
    const distribution =
      known?.distribution ??
      (await answer('Which distribution? (its id, E…)', options.distribution, '', '--distribution <id>'));
    const name = await answer('Which environment? (a short name)', options.name, 'production', '--name <name>');
    const issuer = await answer(
      'Who signs the tokens? (your CMS’s name, such as cms.example)',
      options.issuer,
      '',
      '--issuer <iss>',
    );
    const format = await answer(
      'Which token format? cat (the standard) or jwt',
      options.format,
      'cat',
      '--format <format>',
    );
    if (format !== 'cat' && format !== 'jwt') {
      throw new CliError('usage', `--format: expected cat or jwt, not "${format}".`, { exitCode: 2 });
    }
    const guarded =
      options.guard ??
      split(
        await answer(
          'Which behaviours are to be guarded? (path patterns, or default)',
          undefined,
          (known?.guarded ?? ['default']).join(' '),
          '--guard <pattern>',
        ),
      );
    const { proposePlacement } = await import('../deploy/propose.js');
    const placement: Placement = proposePlacement(guarded);
    const url = await answer(
      'Where do viewers reach it? (https://…, empty: not tried after deployments)',
      options.smokeUrl,
      known?.smoke?.url ?? (person ? '' : ' '),
      '--smoke-url <url>',
    );
    const { samplePath } = await import('../deploy/paths.js');
    return {
      name,
      distribution,
      issuer,
      format,
      placement,
      guarded,
      open: (known?.open ?? []).filter((pattern) => !guarded.includes(pattern)),
      cors: known?.cors ?? true,
      smoke: url.trim() === '' ? undefined : { url, path: samplePath(guarded[0] ?? '/*') },
    };
  } finally {
    person?.close();
  }
}

const split = (text: string): string[] => text.split(/[\s,]+/).filter((part) => part !== '');
