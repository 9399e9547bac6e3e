import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DescribeKeyValueStoreCommand, GetKeyCommand, PutKeyCommand } from '@aws-sdk/client-cloudfront-keyvaluestore';
import { Command } from 'commander';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKvsClient } from '../../revoker/index.js';
import { CliError, createCli } from '../../scripts/cli/output.js';
import { register } from '../../scripts/commands/start.js';
import type { LocalEdgeAddresses } from '../../scripts/local-edge/index.js';
import { allFeatures } from '../../scripts/build/features.js';
import { projectFolder } from '../../scripts/local-edge/project.js';
import { rawRequest } from './raw-http.js';

const project = projectFolder();
const functionsFolder = fileURLToPath(new URL('./functions/plain', import.meta.url));
const program = join(project, 'node_modules/.cache/portcullis-test/start.mjs');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-start-'));
  await mkdir(join(project, 'node_modules/.cache/portcullis-test'), { recursive: true });
  await build({
    stdin: {
      contents: `
        import { Command } from 'commander';
        import { register } from './scripts/commands/start.js';
        import { createCli } from './scripts/cli/output.js';
        const program = new Command('portcullis').option('--json');
        register(program, createCli({ json: true, configPath: 'portcullis.config.ts' }));
        await program.parseAsync();`,
      resolveDir: project,
      loader: 'ts',
    },
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    define: allFeatures(),
    logLevel: 'error',
  });
});
const children = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

interface Started {
  readonly addresses: LocalEdgeAddresses;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

function run(
  args: readonly string[],
  localFile: string,
): { child: ChildProcess; firstLine: Promise<string>; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { ...process.env, PORTCULLIS_LOCAL: localFile, NODE_OPTIONS: '' },
  });
  children.add(child);
  let output = '';
  let errors = '';
  const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  const firstLine = new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      if (output.includes('\n')) resolve(output.slice(0, output.indexOf('\n')));
    });
    void ended.then((code) => reject(new Error(`ended with ${code}: ${errors}`)));
  });
  firstLine.catch(() => undefined);
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  return { child, firstLine, ended };
}

async function started(args: readonly string[], localFile: string): Promise<Started> {
  const { child, firstLine, ended } = run(
    ['--json', 'start', '--port', '0', '--functions', functionsFolder, ...args],
    localFile,
  );
  const addresses = JSON.parse(await firstLine) as LocalEdgeAddresses;
  return {
    addresses,
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

test('keeps key and store from one start to the next, and ends cleanly on SIGTERM', async () => {
  const localFile = join(folder, 'kept.json');
  const state = join(folder, 'state');
  const readRecord = async (addresses: LocalEdgeAddresses, key: string): Promise<string | undefined> => {
    const client = createKvsClient({ endpoint: addresses.kvs.endpoint });
    try {
      return (await client.send(new GetKeyCommand({ KvsARN: addresses.kvs.arn, Key: key }))).Value;
    } finally {
      client.destroy();
    }
  };

  const first = await started(['--state', state], localFile);
  expect(JSON.parse(await readFile(localFile, 'utf8'))).toEqual(first.addresses);
  const key = await readRecord(first.addresses, 'k:demo');
  const client = createKvsClient({ endpoint: first.addresses.kvs.endpoint });
  const { ETag } = await client.send(new DescribeKeyValueStoreCommand({ KvsARN: first.addresses.kvs.arn }));
  await client.send(
    new PutKeyCommand({ KvsARN: first.addresses.kvs.arn, Key: 'r1', Value: ',aaaaaaa', IfMatch: ETag }),
  );
  client.destroy();
  expect(await first.end('SIGTERM')).toBe(0);
  expect(existsSync(localFile)).toBe(false);
  await expect(rawRequest(first.addresses.edge, '/')).rejects.toThrow();

  const second = await started(['--state', state], localFile);
  expect(await readRecord(second.addresses, 'k:demo')).toBe(key);
  expect(await readRecord(second.addresses, 'r1')).toBe(',aaaaaaa');
  expect(await second.end('SIGINT')).toBe(0);
});

test('leaves nothing behind with --ephemeral', async () => {
  const localFile = join(folder, 'ephemeral.json');
  const edge = await started(['--ephemeral'], localFile);
  expect((await rawRequest(edge.addresses.edge, '/vod/ch1/master.m3u8')).status).toBe(200);
  expect((await rawRequest(edge.addresses.page, '/demo/')).body).toContain('<title>Portcullis');
  expect(existsSync(edge.addresses.accessLog)).toBe(true);
  expect(await edge.end('SIGINT')).toBe(0);
  expect(existsSync(edge.addresses.accessLog)).toBe(false);
  expect(existsSync(join(folder, '.portcullis'))).toBe(false);
});

test.each([
  ['a port that is no number', ['--port', 'x'], '--port must be a number'],
  ['a viewer that cannot be read', ['--functions', functionsFolder, '--viewer', 'contry=US'], '"contry=US"'],
  [
    'a header that CloudFront does not have',
    ['--functions', functionsFolder, '--viewer-header-policy', 'moon'],
    '"moon"',
  ],
  ['functions that are not there', ['--functions', '/nonexistent'], 'No viewer-request.js in /nonexistent'],
  [
    'a reading of viewer-response that does not exist',
    ['--functions', functionsFolder, '--viewer-response-request', 'both'],
    '--viewer-response-request must be',
  ],
])('refuses %s', async (_, args, message) => {
  const command = new Command('portcullis');
  register(command, createCli({ json: true, configPath: 'portcullis.config.ts' }));
  const refusal = await command.parseAsync(['start', ...args], { from: 'user' }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(CliError);
  expect(refusal).toMatchObject({ exitCode: 2, message: expect.stringContaining(message) as string });
});
