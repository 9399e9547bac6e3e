import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKvsClient } from '../../revoker/kvs-client.js';
import { CliError, createCli } from '../../scripts/cli/output.js';
import { register as registerDeploy } from '../../scripts/commands/deploy.js';
import { register as registerInit } from '../../scripts/commands/init.js';
import { keyValues } from '../../scripts/deploy/key-values.js';
import { loadDeployConfiguration } from '../../scripts/deploy/load.js';
import { findEngine } from '../../scripts/engine/index.js';
import { njsRunner, vmRunner } from '../doubles/cloudfront-engine.js';
import { startEdgeDouble, type EdgeDouble } from '../doubles/cloudfront-edge.js';
import { startMetricsDouble, type MetricsDouble } from '../doubles/cloudfront-metrics.js';
import { startCloudFrontDouble, type CloudFrontDouble } from '../doubles/cloudfront.js';
import { liveDistribution, originSecret, vodDistribution } from './distributions.js';

const id = 'E1ABCDEF2GHIJK';
const page = readFileSync(fileURLToPath(new URL('../../docs/deploy.md', import.meta.url)), 'utf8');

/** The commands of the page's first deployment, in order. */
function documentedCommands(): string[] {
  const section = page.slice(page.indexOf('## First deployment'), page.indexOf('## In production'));
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap((match) => (match[1] as string).trim().split('\n'))
    .map((line) => line.trim());
}

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let folder: string;
let double: CloudFrontDouble;
let edge: EdgeDouble;
let metrics: MetricsDouble;
let kvs: ReturnType<typeof createKvsClient>;
let printed = '';
const home = process.cwd();
const environment = { ...process.env };
const engine = await findEngine('0.8.9').then(
  () => 'njs',
  () => 'node-vm',
);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'portcullis-journey-'));
  const runFunction = engine === 'njs' ? await njsRunner() : vmRunner();
  double = await startCloudFrontDouble({ runFunction });
  double.addDistribution(id, vodDistribution());
  edge = await startEdgeDouble({ double, distribution: id, runFunction: vmRunner() });
  metrics = await startMetricsDouble();
  kvs = createKvsClient({ endpoint: double.endpoint });
  process.env['AWS_ENDPOINT_URL_CLOUDFRONT'] = double.endpoint;
  process.env['AWS_ENDPOINT_URL_CLOUDWATCH'] = metrics.endpoint;
  process.chdir(folder);
  printed = '';
});

afterEach(async () => {
  process.chdir(home);
  process.env = { ...environment };
  process.exitCode = 0;
  kvs.destroy();
  await edge.close();
  await metrics.close();
  await double.close();
  rmSync(folder, { recursive: true, force: true });
});

afterAll(() => {
  process.exitCode = 0;
});

/** Runs one line of the page as the terminal would, in a process of its own but for the process. */
async function run(line: string): Promise<Run> {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    (match) => match[1] ?? match[2] ?? (match[3] as string),
  );
  expect(words.slice(0, 2)).toEqual(['npx', 'portcullis']);
  const rest = words.slice(2);
  if (rest[0] === 'keys') return addKey();
  const json = rest.includes('--json');
  let out = '';
  let err = '';
  const stream = (take: (text: string) => void) =>
    ({ write: (text: string) => (take(text), true) }) as unknown as NodeJS.WriteStream;
  const cli = createCli(
    { json, configPath: 'portcullis.config.ts' },
    {
      stdin: { isTTY: false } as never,
      stdout: stream((text) => (out += text)),
      stderr: stream((text) => (err += text)),
    },
  );
  const program = new Command().exitOverride().option('--json');
  registerDeploy(program, cli, { load: loadDeployConfiguration, wait: () => Promise.resolve() });
  registerInit(program, cli, { ask: undefined });
  process.exitCode = 0;
  let code: number;
  try {
    await program.parseAsync(
      rest.filter((word) => word !== '--json'),
      { from: 'user' },
    );
    code = Number(process.exitCode ?? 0);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    code = error.exitCode;
    err += `${error.code}: ${error.message}`;
  }
  printed += out + err;
  return { code, out, err };
}

/** What `keys add` leaves in the store; the command itself is tried with its ledger elsewhere. */
async function addKey(): Promise<Run> {
  const store = [...double.state.stores.values()][0]!;
  await keyValues(kvs, store.arn, () => Promise.resolve()).update(() =>
    Promise.resolve({
      puts: [['k:cms-1', JSON.stringify({ alg: 'HS256', k: Buffer.alloc(32, 7).toString('base64url') })]],
      deletes: [],
    }),
  );
  return { code: 0, out: '', err: '' };
}

function edit(from: string, to: string): void {
  const file = join(folder, 'portcullis.config.ts');
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replaceAll(from, to));
}

const statusOf = async (path: string): Promise<number> => (await fetch(edge.url + path)).status;

describe(`a first deployment by following docs/deploy.md alone (functions run in ${engine})`, () => {
  it('goes from init to enforced and back', async () => {
    const before = double.distributionXml(id);
    const commands = documentedCommands();
    expect(commands.map((line) => line.split(' ').slice(2, 4).join(' '))).toEqual([
      'init --from',
      'deploy plan',
      'deploy apply',
      'keys add',
      'deploy status',
      'deploy plan',
      'deploy apply',
      'deploy status',
      'deploy rollback',
    ]);
    const codes: number[] = [];
    for (const [i, line] of commands.entries()) {
      // The page says to change the stage before step 5's commands; the address is the test's own.
      if (i === 1) edit('https://d1abcdef2ghijk.cloudfront.net', edge.url);
      if (i === 5) edit("stage: 'log'", "stage: 'enforce'");
      const { code, err } = await run(line);
      expect(code, `${line}\n${err}`).toBe(0);
      codes.push(code);
      if (i === 2) expect(await statusOf('/vod/film/a.m3u8')).toBe(200);
      if (i === 6) expect(await statusOf('/vod/film/a.m3u8')).toBe(401);
    }
    expect(await statusOf('/vod/film/a.m3u8')).toBe(200);
    expect((await run('npx portcullis deploy rollback --yes')).code).toBe(0);
    expect(double.distributionXml(id)).toBe(before);
    expect((await run('npx portcullis deploy rollback --yes')).code).toBe(1);
    expect(existsSync('.portcullis/deploy')).toBe(true);
  }, 180_000);

  it('prints neither keys nor the origin’s secret, and shows the plan without a token', async () => {
    double.state.distributions.delete(id);
    double.addDistribution(id, liveDistribution());
    await run('npx portcullis init --from E1ABCDEF2GHIJK --name production --issuer cms.example --yes');
    edit('https://d1abcdef2ghijk.cloudfront.net', edge.url);
    const applied = await run('npx portcullis deploy apply --yes --json');
    expect(applied.code, applied.err).toBe(0);
    await run('npx portcullis deploy history --json');
    await run('npx portcullis deploy policy --account 111122223333');
    expect(JSON.parse(applied.out)).toMatchObject({ state: 'applied' });
    expect(printed).not.toContain(originSecret);
    // Hashes aside, nothing is as long as a key or a token.
    expect(printed.replace(/[0-9a-f]{64}/g, '')).not.toMatch(
      /eyJ[\w-]{10,}|"k":|d2KERA|(?<![\w/-])[\w-]{43,}(?![\w-])/,
    );
  }, 120_000);

  it('refuses to write over a configuration, and to deploy without a section for it', async () => {
    await run('npx portcullis init --from E1ABCDEF2GHIJK --name production --issuer cms.example --yes');
    const again = await run('npx portcullis init --from E1ABCDEF2GHIJK --name production --issuer cms.example --yes');
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('config_exists') as unknown });
    writeFileSync('portcullis.config.ts', 'export default { formats: ["cat"] };\n');
    const plan = await run('npx portcullis deploy plan');
    expect(plan).toMatchObject({ code: 2, err: expect.stringContaining('no_deployment') as unknown });
  });

  it('says what is missing where there is nobody to ask', async () => {
    const result = await run('npx portcullis init --distribution E1ABCDEF2GHIJK');
    expect(result).toMatchObject({ code: 2, err: expect.stringContaining('nobody to ask') as unknown });
  });

  it('writes a Terraform module', async () => {
    await run('npx portcullis init --from E1ABCDEF2GHIJK --name production --issuer cms.example --yes');
    expect((await run('npx portcullis deploy terraform --out module')).code).toBe(0);
    expect(readFileSync('module/viewer-request.js', 'utf8')).toContain('handler');
  });
});
