import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import type { PublishOptions, SimulationReport, WafConfigInput, WafPlacement } from '../../waf-rules/index.js';
import { localEndpoints } from '../cli/connection.js';
import { CliError, type Cli } from '../cli/output.js';

type Library = typeof import('../../waf-rules/index.js');

interface RuleSetFlags {
  readonly preset?: string;
  readonly placement?: string[];
  readonly protect?: string[];
  readonly mint?: string;
}

interface PublishFlags extends RuleSetFlags {
  readonly endpoint?: string;
  readonly local?: boolean;
  readonly by?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const collect = (value: string, list: string[] = []): string[] => [...list, value];
const presets = ['live-event', 'vod', 'strict', 'observe'];

function addRuleSetOptions(command: Command): Command {
  return command
    .addOption(new Option('--preset <name>', 'instead of the configured one').choices(presets))
    .addOption(
      new Option(
        '--placement <place>',
        'where tokens travel: query, header, cookie, authorization, prefix:/live, marker:/~t, first',
      ).argParser(collect),
    )
    .addOption(new Option('--protect <path>', 'path that needs a token; may be given several times').argParser(collect))
    .option('--mint <path>', 'path of the token endpoint');
}

function addPublishOptions(command: Command): Command {
  return addRuleSetOptions(command)
    .option('--endpoint <url>', 'address of a loopback WAF API instead of AWS')
    .option('--local', 'the WAF API of the running local edge')
    .option('--by <who>', 'who acts; kept in the record (default: your user and machine)');
}

/** Registers `waf plan|apply|stage|rollback|simulate|capacity|rules`. */
export function register(program: Command, cli: Cli): void {
  const waf = program.command('waf').description('AWS WAF rule sets: plan, try, apply, and go back');

  addPublishOptions(waf.command('plan'))
    .description('compare the rule set with what AWS has; changes nothing')
    .addHelpText('after', '\nExamples:\n  portcullis waf plan\n  portcullis waf plan --preset strict --json\n')
    .action((flags: PublishFlags) => guarded(cli, () => plan(cli, flags)));

  addPublishOptions(waf.command('apply'))
    .description('put the rule set in force; new rules only count until you enforce them')
    .addOption(new Option('--enforce <rule>', 'enforce a rule (or "all") from now on').argParser(collect))
    .addOption(new Option('--count <rule>', 'let a rule (or "all") only count again').argParser(collect))
    .option('--why <text>', 'reason of the decision; kept in the record')
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      '\nExamples:\n  portcullis waf apply\n  portcullis waf apply --enforce token-missing --why "a week without a false hit"\n  portcullis waf apply --count all --why "players complain" --yes\n',
    )
    .action((flags: ApplyFlags) => guarded(cli, () => apply(cli, flags)));

  addPublishOptions(waf.command('rollback'))
    .description('bring back our rules as they were before a version; address sets and foreign rules stay')
    .option('--to <version>', 'undo this version and all after it (default: the last)')
    .option('--force', 'even where somebody changed our rules since')
    .option('--dry-run', 'show what would come back and change nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  portcullis waf rollback\n  portcullis waf rollback --to 3 --yes\n')
    .action((flags: RollbackFlags) => guarded(cli, () => rollback(cli, flags)));

  addRuleSetOptions(waf.command('simulate'))
    .description('what would have been blocked: over access logs, a file of requests, or one request typed here')
    .argument('[paths...]', 'CloudFront access logs (.gz too), folders of them, or .jsonl files of requests')
    .addOption(new Option('--request <uri>', 'a path with query, as the viewer would send it').argParser(collect))
    .option('--method <method>', 'its method', 'GET')
    .addOption(new Option('--header <line>', 'a header of it, "name: value"').argParser(collect))
    .option('--address <address>', 'its address', '203.0.113.9')
    .option('--country <code>', 'its country')
    .option('--region <code>', 'its region, without the country')
    .option('--asn <number>', 'its network')
    .option('--anonymous <file>', 'ranges of VPNs, proxies and Tor, one a line')
    .option('--hosting <file>', 'ranges of hosting providers')
    .option('--reputation <file>', 'ranges of bad repute')
    .option('--blocked <file>', 'ranges that revocation blocks')
    .option('--fields <names>', 'field order of real-time logs, comma-separated')
    .addOption(
      new Option('--stage <stage>', 'enforce everything, or as decided so far')
        .choices(['enforce', 'recorded'])
        .default('enforce'),
    )
    .option('--examples <n>', 'examples per rule', '3')
    .option('--fail-on-block', 'exit 1 when a request would be blocked')
    .addHelpText(
      'after',
      '\nExamples:\n  portcullis waf simulate logs/2026-11-19/ --anonymous vpn.txt\n  portcullis waf simulate requests.jsonl --preset strict --json\n  portcullis waf simulate --request "/live/ch1.m3u8?CAT=abc" --address 203.0.113.9 --country US\n',
    )
    .action((paths: string[], flags: SimulateFlags) => guarded(cli, () => simulate(cli, paths, flags)));

  addRuleSetOptions(waf.command('capacity'))
    .description('capacity units (WCU) of each preset, computed here; compared with AWS on request')
    .option('--check', 'ask AWS as well (the rule set must have been applied)')
    .option('--endpoint <url>', 'address of a loopback WAF API instead of AWS')
    .option('--local', 'the WAF API of the running local edge')
    .addHelpText('after', '\nExamples:\n  portcullis waf capacity\n  portcullis waf capacity --preset strict --json\n')
    .action((flags: CapacityFlags) => guarded(cli, () => capacity(cli, flags)));

  addRuleSetOptions(waf.command('rules'))
    .description('every rule of the rule set: what it keeps out, whom it may hit by mistake, its stage')
    .addHelpText('after', '\nExamples:\n  portcullis waf rules --preset strict\n')
    .action((flags: RuleSetFlags) => guarded(cli, () => rules(cli, flags)));
}

/** Turns this library's and AWS's errors into the terminal's. */
async function guarded(cli: Cli, work: () => Promise<void>): Promise<void> {
  const { WafRulesError } = await import('../../waf-rules/errors.js');
  try {
    await work();
  } catch (error) {
    if (error instanceof WafRulesError) {
      const usage = ['invalid_configuration', 'invalid_request', 'invalid_address', 'invalid_regex'].includes(
        error.code,
      );
      throw new CliError(error.code, error.message, { exitCode: usage ? 2 : 1 });
    }
    const { ConfigError } = await import('../config/errors.js');
    if (error instanceof ConfigError) throw new CliError('invalid_config', error.message, { exitCode: 2 });
    const { name, message, code } = error as Error & { code?: string };
    if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
      throw new CliError('no_credentials', `No AWS credentials: ${message}`, {
        hint: 'Set AWS_PROFILE or sign in, or give --endpoint for a loopback WAF API.',
      });
    }
    if (name === 'AccessDeniedException') {
      throw new CliError('access_denied', message, { hint: 'docs/waf.md lists the permissions that are needed.' });
    }
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND') {
      throw new CliError('unreachable', `Nothing answers: ${message}`, { hint: 'Check --endpoint and the network.' });
    }
    if (code === 'ENOENT') throw new CliError('no_such_file', message, { exitCode: 2 });
    throw error;
  }
}

const placementKinds = ['query', 'header', 'cookie', 'authorization', 'pathParameter', 'first'];

function placementOf(text: string): unknown {
  const [kind = '', value] = text.split(/:(.*)/s);
  if (kind === 'prefix') return { kind: 'path', mode: 'prefix', prefix: value };
  if (kind === 'marker') return { kind: 'path', mode: 'marker', ...(value ? { marker: value } : {}) };
  if (kind === 'first') return { kind: 'path', mode: 'first' };
  if (!placementKinds.includes(kind)) {
    throw new CliError(
      'wrong_option',
      `--placement ${text}: expected query, header, cookie, authorization, pathParameter, prefix:/…, marker:/… or first.`,
      {
        exitCode: 2,
      },
    );
  }
  return { kind, ...(value ? { name: value } : {}) };
}

interface Configured {
  readonly config: WafConfigInput;
  /** What files in the configuration are named from. */
  readonly folder: string;
}

/** The `waf` section of the configuration file, with the flags on top. */
async function configOf(cli: Cli, flags: RuleSetFlags): Promise<Configured> {
  const { loadConfig, wafSection } = await import('../config/index.js');
  const loaded = await loadConfig(cli.configPath);
  const config: WafConfigInput = {
    ...wafSection(loaded),
    ...(flags.preset === undefined ? {} : { preset: flags.preset as NonNullable<WafConfigInput['preset']> }),
    ...(flags.placement ? { placements: flags.placement.map(placementOf) as WafPlacement[] } : {}),
    ...(flags.protect ? { protectedPaths: flags.protect } : {}),
    ...(flags.mint === undefined ? {} : { mint: { path: flags.mint } }),
  };
  return { config, folder: loaded.folder };
}

function endpointOf(flags: { endpoint?: string; local?: boolean }): string | undefined {
  if (flags.endpoint !== undefined) return flags.endpoint;
  if (!flags.local) return undefined;
  const endpoint = localEndpoints().waf?.endpoint;
  if (endpoint === undefined) {
    throw new CliError('no_local_waf', 'The running local edge has no WAF API.', { hint: 'Give --endpoint.' });
  }
  return endpoint;
}

async function openPublishing(cli: Cli, flags: PublishFlags) {
  const library: Library = await import('../../waf-rules/index.js');
  const { config, folder } = await configOf(cli, flags);
  const set = library.buildRuleSet(config);
  const settings = library.settingsOf(library.parseWafConfig(config));
  const endpoint = endpointOf(flags);
  const client = library.createWafClient(endpoint === undefined ? {} : { endpoint });
  const options: PublishOptions = {
    client,
    records: library.createFileRollout(resolve(folder, settings.recordFile)),
    start: settings.start,
    by: flags.by ?? `${userInfo().username}@${hostname()}`,
    onStep: (step) => cli.line(step),
  };
  return { library, set, options, close: () => client.destroy() };
}

async function plan(cli: Cli, flags: PublishFlags): Promise<void> {
  const { library, set, options, close } = await openPublishing(cli, flags);
  try {
    const { plan: found } = await library.makePlan(set, options);
    cli.result(found, () => library.describePlan(found));
  } finally {
    close();
  }
}

interface ApplyFlags extends PublishFlags {
  readonly enforce?: string[];
  readonly count?: string[];
  readonly why?: string;
}

async function apply(cli: Cli, flags: ApplyFlags): Promise<void> {
  const decisions = [
    ...(flags.enforce ? [{ rules: flags.enforce, stage: 'enforce' as const }] : []),
    ...(flags.count ? [{ rules: flags.count, stage: 'count' as const }] : []),
  ];
  if (decisions.length > 0 && flags.why === undefined) {
    throw new CliError('reason_needed', 'A change of stage is recorded with its reason: add --why.', { exitCode: 2 });
  }
  const { library, set, options, close } = await openPublishing(cli, flags);
  try {
    const records = flags.dryRun ? library.createMemoryRollout() : options.records;
    if (flags.dryRun) await records.write({ ...(await options.records.read(set.name)), revision: 0 });
    const trial = { ...options, records };
    const decide = async (target: PublishOptions): Promise<void> => {
      for (const { rules, stage } of decisions) {
        await library.decideStages(set, rules.includes('all') ? 'all' : rules, stage, flags.why ?? '', target);
      }
    };
    if (flags.dryRun) {
      await decide(trial);
      const { plan: found } = await library.makePlan(set, trial);
      cli.result({ ...found, dryRun: true }, () => library.describePlan(found));
      return;
    }
    // The question shows the plan with the decisions in it; they are written down once it was answered.
    const preview = library.createMemoryRollout();
    await preview.write({ ...(await options.records.read(set.name)), revision: 0 });
    await decide({ ...options, records: preview });
    const { plan: found } = await library.makePlan(set, { ...options, records: preview });
    if (found.changes.length > 0) {
      cli.line(library.describePlan(found));
      const risky = found.changes.some((change) => change.action === 'delete') || decisions.length > 0;
      if (risky && !(await cli.confirm('Apply this?', { yes: flags.yes ?? false }))) {
        throw new CliError('declined', 'Nothing was changed.');
      }
    }
    await decide(options);
    const result = await library.applyRuleSet(set, options);
    cli.result(result, () =>
      result.steps.length === 0
        ? `${set.name} is as it should be: nothing changed.`
        : `${set.name}: version ${result.version} is in force.\nGo back with: portcullis waf rollback`,
    );
  } finally {
    close();
  }
}

interface RollbackFlags extends PublishFlags {
  readonly to?: string;
  readonly force?: boolean;
}

async function rollback(cli: Cli, flags: RollbackFlags): Promise<void> {
  const to = flags.to === undefined ? undefined : Number(flags.to);
  if (to !== undefined && !Number.isInteger(to)) {
    throw new CliError('wrong_option', `--to wants a version's number, not "${flags.to}".`, { exitCode: 2 });
  }
  const { library, set, options, close } = await openPublishing(cli, flags);
  try {
    const record = await options.records.read(set.name);
    const versions = record.versions.map(({ version, status, at, by, summary }) => ({
      version,
      status,
      at,
      by,
      summary,
    }));
    if (flags.dryRun) {
      cli.result({ versions, dryRun: true }, () =>
        cli.table(
          ['version', 'status', 'at', 'by', 'changes'],
          versions.map((each) => [each.version, each.status, each.at, each.by, each.summary.length]),
        ),
      );
      return;
    }
    const what = to === undefined ? 'the last version' : `version ${to} and all after it`;
    if (!(await cli.confirm(`Undo ${what} of ${set.name}?`, { yes: flags.yes ?? false }))) {
      throw new CliError('declined', 'Nothing was changed.');
    }
    const result = await library.rollBack(set, {
      ...options,
      ...(to === undefined ? {} : { to }),
      ...(flags.force ? { force: true } : {}),
    });
    cli.result(result, () => `${set.name}: version ${result.version} is undone. Decisions about stages stay recorded.`);
  } finally {
    close();
  }
}

interface SimulateFlags extends RuleSetFlags {
  readonly request?: string[];
  readonly method: string;
  readonly header?: string[];
  readonly address: string;
  readonly country?: string;
  readonly region?: string;
  readonly asn?: string;
  readonly anonymous?: string;
  readonly hosting?: string;
  readonly reputation?: string;
  readonly blocked?: string;
  readonly fields?: string;
  readonly stage: 'enforce' | 'recorded';
  readonly examples: string;
  readonly failOnBlock?: boolean;
}

async function simulate(cli: Cli, paths: string[], flags: SimulateFlags): Promise<void> {
  if (paths.length === 0 && !flags.request) {
    throw new CliError('nothing_to_simulate', 'Give access logs, a .jsonl file of requests, or --request.', {
      exitCode: 2,
    });
  }
  const library: Library = await import('../../waf-rules/index.js');
  const { config, folder } = await configOf(cli, flags);
  const set = library.buildRuleSet(config);
  const list = (file: string | undefined) =>
    file === undefined ? undefined : library.parseRangeList(readFileSync(file, 'utf8'));
  const lists = {
    anonymous: list(flags.anonymous),
    hosting: list(flags.hosting),
    reputation: list(flags.reputation),
    blocked: list(flags.blocked),
  };
  const stageOf = flags.stage === 'recorded' ? await recordedStages(library, { config, folder }, set.name) : undefined;
  const simulator = library.simulatorOf(set, {
    lists: Object.fromEntries(Object.entries(lists).filter(([, ranges]) => ranges !== undefined)),
    ...(stageOf ? { stageOf } : {}),
  });
  if (flags.request) {
    explain(cli, library, simulator, flags);
    return;
  }
  const report = library.createReport(simulator, Number(flags.examples));
  const files = paths.flatMap((path) => library.filesAt(path));
  const progress = cli.progress(files.length, 'reading');
  for (const file of files) {
    const records = await library.readRequests(
      file,
      flags.fields === undefined ? {} : { fields: flags.fields.split(',') },
    );
    for (const record of records) report.add(record);
    progress.tick();
  }
  progress.done();
  const found = report.finish();
  cli.result({ preset: set.preset, ...found }, () => describeReport(cli, found));
  if (flags.failOnBlock && found.blocked > 0) {
    throw new CliError('would_block', `${found.blocked} of ${found.requests} requests would be blocked.`);
  }
}

async function recordedStages(library: Library, { config, folder }: Configured, name: string) {
  const { stagesOf } = await import('../../waf-rules/rollout-record.js');
  const settings = library.settingsOf(library.parseWafConfig(config));
  return stagesOf(await library.createFileRollout(resolve(folder, settings.recordFile)).read(name), settings.start);
}

function explain(
  cli: Cli,
  library: Library,
  simulator: ReturnType<Library['simulatorOf']>,
  flags: SimulateFlags,
): void {
  const headers = (flags.header ?? []).map((line): [string, string] => {
    const colon = line.indexOf(':');
    if (colon < 1) throw new CliError('wrong_option', `--header "${line}": expected "name: value".`, { exitCode: 2 });
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  const decisions = (flags.request ?? []).map((uri) => {
    const request = library.parseRequest({
      uri,
      method: flags.method,
      headers,
      address: flags.address,
      ...(flags.country === undefined ? {} : { country: flags.country }),
      ...(flags.region === undefined ? {} : { region: flags.region }),
      ...(flags.asn === undefined ? {} : { asn: Number(flags.asn) }),
    });
    return { uri: library.redactUri(request), ...simulator.decide(request) };
  });
  const blocked = decisions.filter((decision) => decision.action === 'BLOCK').length;
  cli.result({ decisions, remarks: simulator.remarks }, () =>
    decisions
      .map((decision) =>
        [
          `${decision.uri}: ${decision.action}${decision.rule ? ` by ${decision.rule}` : ' (no rule ended it)'}${decision.status ? `, status ${decision.status}` : ''}`,
          ...decision.matches.map((match) => `  ${match.action.padEnd(9)} ${match.rule}`),
          ...decision.undecided.map((rule) => `  undecided ${rule}`),
          ...(decision.labels.length > 0 ? [`  labels: ${decision.labels.join(', ')}`] : []),
          ...Object.entries(decision.insertedHeaders).map(([name, value]) => `  inserts ${name}: ${value}`),
        ].join('\n'),
      )
      .concat(simulator.remarks.map((remark) => `Note: ${remark}`))
      .join('\n'),
  );
  if (flags.failOnBlock && blocked > 0) throw new CliError('would_block', `${blocked} requests would be blocked.`);
}

function describeReport(cli: Cli, report: SimulationReport): string {
  const share = (count: number): string => `${((100 * count) / Math.max(1, report.requests)).toFixed(2)} %`;
  const lines = [
    `${report.requests} requests: ${report.allowed} pass, ${report.blocked} blocked (${share(report.blocked)}), ${report.challenged} challenged.`,
    '',
    cli.table(
      [
        'rule',
        ...['matched', 'ended', 'of these served then', 'addresses', 'undecided'].map((title) => ({
          title,
          align: 'right' as const,
        })),
      ],
      [...report.rules]
        .sort((a, b) => b.ended - a.ended || b.matched - a.matched)
        .map((rule) => [rule.rule, rule.matched, rule.ended, rule.servedThen, rule.addresses, rule.undecided]),
    ),
  ];
  for (const rule of report.rules) {
    if (rule.examples.length === 0) continue;
    lines.push('', `${rule.rule}:`);
    for (const example of rule.examples) {
      lines.push(
        `  ${example.time} ${example.address} ${example.method} ${example.uri}${example.status ? ` (was ${example.status})` : ''}`,
      );
    }
  }
  for (const remark of report.remarks) lines.push('', `Note: ${remark}`);
  return lines.join('\n');
}

interface CapacityFlags extends RuleSetFlags {
  readonly check?: boolean;
  readonly endpoint?: string;
  readonly local?: boolean;
}

async function capacity(cli: Cli, flags: CapacityFlags): Promise<void> {
  const library: Library = await import('../../waf-rules/index.js');
  const { config } = await configOf(cli, flags);
  const configured = config.preset ?? 'live-event';
  const names =
    flags.preset === undefined ? library.presetNames : [flags.preset as (typeof library.presetNames)[number]];
  const figures = names.map((preset) => {
    // Measured against AWS's own limit: the point here is to see the figure that a ceiling would refuse.
    const set = library.buildRuleSet({ ...config, preset, capacity: { ceiling: 5000 } });
    const found = library.ruleSetCapacity(set);
    const ceiling = config.capacity?.ceiling ?? 1500;
    return {
      preset,
      wcu: found.wcu,
      ceiling,
      withinCeiling: found.wcu <= ceiling,
      labels: found.labels,
      possibleSaving: found.possibleSaving,
      ifNoneCounted: found.ifNoneCounted,
      rules: found.rules,
      groups: set.groups.map(({ name, capacity: units }) => ({ name, wcu: units })),
    };
  });
  let aws: number | undefined;
  if (flags.check) {
    const endpoint = endpointOf(flags);
    const client = library.createWafClient(endpoint === undefined ? {} : { endpoint });
    try {
      const preset = flags.preset ?? configured;
      aws = await library.checkCapacity(library.buildRuleSet({ ...config, preset: preset as typeof configured }), {
        client,
      });
    } finally {
      client.destroy();
    }
  }
  const single = figures.length === 1 ? figures[0] : figures.find((each) => each.preset === configured);
  cli.result({ wcu: single?.wcu, presets: figures, ...(aws === undefined ? {} : { aws }) }, () =>
    [
      cli.table(
        [
          'preset',
          ...['WCU', 'ceiling', 'AWS may save', 'if NONE counted'].map((title) => ({ title, align: 'right' as const })),
        ],
        figures.map((each) => [each.preset, each.wcu, each.ceiling, each.possibleSaving, each.ifNoneCounted]),
      ),
      ...(figures.length === 1
        ? [
            '',
            cli.table(
              ['rule', { title: 'WCU', align: 'right' }],
              (single?.rules ?? []).map((rule) => [rule.rule, rule.wcu]),
            ),
          ]
        : []),
      ...(aws === undefined ? [] : ['', `AWS counts ${aws}.`]),
      '',
      'A plain sum of the published costs: an upper bound, since AWS may charge a shared transformation once.',
    ].join('\n'),
  );
  const over = figures.find((each) => each.preset === (flags.preset ?? configured) && !each.withinCeiling);
  if (over)
    throw new CliError(
      'capacity_exceeded',
      `${over.preset} needs ${over.wcu} capacity units, the ceiling is ${over.ceiling}.`,
    );
}

async function rules(cli: Cli, flags: RuleSetFlags): Promise<void> {
  const library: Library = await import('../../waf-rules/index.js');
  const { config, folder } = await configOf(cli, flags);
  const set = library.buildRuleSet(config);
  const stageOf = await recordedStages(library, { config, folder }, set.name);
  const staged = library.stagedRules(set).map((rule) => ({
    rule: rule.id,
    stage: set.observeOnly ? 'count' : stageOf(rule.id),
    keepsOut: rule.threat,
    falsePositives: rule.falsePositives,
    labels: rule.labels,
  }));
  cli.result({ preset: set.preset, rules: staged, remarks: set.remarks }, () =>
    [
      cli.table(
        ['rule', 'stage', 'keeps out', 'may hit by mistake'],
        staged.map((each) => [each.rule, each.stage, each.keepsOut, each.falsePositives]),
      ),
      ...set.remarks.map((remark) => `Note: ${remark}`),
    ].join('\n'),
  );
}
