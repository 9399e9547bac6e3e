import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { PublicAlgorithm } from '../../revoker/index.js';
import { CliError, type Cli } from '../cli/output.js';
import {
  addStoreOptions,
  addWriteOptions,
  moment,
  secondsOf,
  withSession,
  type StoreOptions,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';

interface AddOptions extends WriteOptions {
  readonly kid?: string;
  readonly issuer?: string[];
  readonly path?: string[];
  readonly secretFile?: string;
  readonly public?: string;
  readonly sign?: boolean;
}

interface RotateOptions extends WriteOptions {
  readonly from?: string;
  readonly emergency?: boolean;
  readonly settle: string;
  readonly probe?: string;
  readonly tokenLifetime?: string;
}

export function register(program: Command, cli: Cli): void {
  const keys = program
    .command('keys')
    .description('Signing keys: make, publish, rotate, retire')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis keys list --local\n  $ portcullis keys rotate --reason "quarterly"',
    );

  addStoreOptions(keys.command('list').description('List keys and the modes in force; secrets are never shown'))
    .addHelpText('after', '\nExamples:\n  $ portcullis keys list --json')
    .action((options: StoreOptions) => withSession(cli, options, (session) => list(cli, session)));

  const add = keys
    .command('add')
    .description('Make a key, keep its secret in Secrets Manager, publish it to every store')
    .option('--kid <kid>', 'key id (default: date and randomness)')
    .option('--issuer <iss...>', 'issuers whose tokens it may sign (default: any)')
    .option('--path <path...>', 'paths it is entitled to, whole segments (default: any)')
    .option('--secret-file <file>', 'an existing secret, base64url, instead of a new one; - for standard input')
    .option('--public <algorithm>', "an issuer's public key, for the start path: ES256, ES384, PS256, RS256 or EdDSA")
    .option('--sign', 'sign new tokens with it at once');
  addWriteOptions(add)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis keys add --issuer cms.example --path /live --sign\n  $ portcullis keys add --kid partner-1 --secret-file - < secret.txt\n  $ portcullis keys add --kid id-2026 --public ES256 --issuer id.example   # checked by Lambda@Edge',
    )
    .action((options: AddOptions) => withSession(cli, options, (session) => addKey(cli, session, options)));

  const rotate = keys
    .command('rotate')
    .description(
      'Publish a new key, wait until the edge has it, sign with it; the old one stays for tokens that are out',
    )
    .option('--from <kid>', 'key to take over from (default: the one that signs now)')
    .option('--emergency', 'refuse everything signed by the old key from now on')
    .option('--settle <duration>', 'time the edge gets to learn the new key', '30s')
    .option('--probe <url>', 'protected URL: ask the live edge for the new key instead of waiting')
    .option('--token-lifetime <duration>', 'longest life of a token (default: the configuration)');
  addWriteOptions(rotate)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis keys rotate --reason "quarterly"\n  $ portcullis keys rotate --emergency --reason "secret leaked" --yes',
    )
    .action((options: RotateOptions) => withSession(cli, options, (session) => rotateKey(cli, session, options)));

  const retire = keys
    .command('retire')
    .description('Remove a key from every store; refused while it may have live tokens')
    .argument('[kids...]', 'key ids')
    .option('--due', 'all keys whose last token has died')
    .option('--force', 'also while tokens signed with it may be alive: they are refused from then on');
  addWriteOptions(retire)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis keys retire --due\n  $ portcullis keys retire 20261120-1f2e3d4c --force --yes',
    )
    .action((kids: string[], options: WriteOptions & { due?: boolean; force?: boolean }) =>
      withSession(cli, options, (session) => retireKeys(cli, session, kids, options)),
    );

  addStoreOptions(keys.command('wait').description('Wait until a new store is ready'))
    .addHelpText('after', '\nExamples:\n  $ portcullis keys wait --kvs-arn <arn>')
    .action((options: StoreOptions) =>
      withSession(cli, options, async (session) => {
        const { waitReady } = await import('../../revoker/index.js');
        for (const store of session.stores) await waitReady(store);
        cli.result({ ready: session.stores.map(({ name }) => name) }, () => 'Every store is ready.');
      }),
    );
}

function aboutOf(session: StoreSession, options: WriteOptions): { by: string; reason: string } {
  return { by: session.by, reason: options.reason ?? 'no reason given' };
}

async function list(cli: Cli, session: StoreSession): Promise<void> {
  const keys = await session.keyring.list();
  const modes = await session.keyring.modes();
  cli.result({ keys, modes }, () =>
    cli.table(
      ['kid', 'state', 'issuers', 'paths', 'mode', 'can go', 'stores'],
      keys.map((key) => [
        key.kid === '' ? '(tokens without a kid)' : key.kid,
        key.state,
        key.iss?.join(' ') ?? 'any',
        key.paths?.join(' ') ?? 'any',
        key.mode === undefined
          ? 'configured'
          : `${key.mode}${key.modeUntil === undefined ? '' : ` until ${moment(key.modeUntil)}`}`,
        key.state === 'retiring' ? moment(key.retireAfter) : key.state === 'published' ? 'any time' : '',
        key.stores.join(' '),
      ]),
    ),
  );
}

async function addKey(cli: Cli, session: StoreSession, options: AddOptions): Promise<void> {
  const secret = options.secretFile === undefined ? undefined : await readSecret(options.secretFile);
  const publicAlgorithm = await publicAlgorithmOf(options);
  if (options.dryRun) {
    cli.result(
      { dryRun: true, kid: options.kid, iss: options.issuer, paths: options.path },
      () => 'Dry run: nothing was changed.',
    );
    return;
  }
  const about = aboutOf(session, options);
  const key = await session.keyring.add(
    {
      ...(options.kid === undefined ? {} : { kid: options.kid }),
      ...(options.issuer ? { iss: options.issuer } : {}),
      ...(options.path ? { paths: options.path } : {}),
      ...(secret ? { secret } : {}),
      ...(publicAlgorithm ? { publicAlgorithm } : {}),
    },
    about,
  );
  if (options.sign) await session.keyring.sign(key.kid, { ...about, tokenSeconds: session.config.longestToken });
  const state = options.sign ? 'signing' : 'published';
  cli.result({ kid: key.kid, state, stores: session.stores.map(({ name }) => name) }, () =>
    publicAlgorithm
      ? `Key ${key.kid} (${publicAlgorithm}) is published: its tokens start where Lambda@Edge checks them.`
      : options.sign
        ? `Key ${key.kid} is published and signs new tokens.`
        : `Key ${key.kid} is published. Sign with it after the edge has it: portcullis keys rotate`,
  );
}

async function publicAlgorithmOf(options: AddOptions): Promise<PublicAlgorithm | undefined> {
  if (options.public === undefined) return undefined;
  const { publicAlgorithms } = await import('../../revoker/index.js');
  const algorithm = publicAlgorithms.find((name) => name === options.public);
  if (!algorithm)
    throw new CliError('usage', `--public: expected one of ${publicAlgorithms.join(', ')}`, { exitCode: 2 });
  if (options.kid === undefined || options.secretFile !== undefined || options.sign)
    throw new CliError('usage', '--public needs --kid, and goes with neither --secret-file nor --sign', {
      exitCode: 2,
    });
  return algorithm;
}

async function readSecret(file: string): Promise<Uint8Array> {
  const text = file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  const { secretFromBase64url } = await import('@portcullis/tokens/keys');
  try {
    return secretFromBase64url(text);
  } catch (error) {
    throw new CliError('bad_secret', `--secret-file: ${(error as Error).message}`, { exitCode: 2 });
  }
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

async function rotateKey(cli: Cli, session: StoreSession, options: RotateOptions): Promise<void> {
  const about = aboutOf(session, options);
  const signing = (await session.keyring.signingKey())?.kid;
  const from = options.from ?? signing;
  if (options.emergency)
    cli.line(`Every token signed with ${from ?? 'the old key'} is refused from now on; viewers need new ones.`);
  else cli.line(`${from ?? 'No key'} signs now; a new key takes over.`);
  if (options.dryRun) {
    cli.result({ dryRun: true, from }, () => 'Dry run: nothing was changed.');
    return;
  }
  const origin = from === undefined ? {} : { from };
  if (options.emergency) {
    const yes = options.yes === undefined ? {} : { yes: options.yes };
    if (!(await cli.confirm(`Refuse every token signed with ${from ?? 'the old key'}?`, yes))) {
      throw new CliError('not_confirmed', 'Nothing was changed.');
    }
    const rotation = await session.keyring.rotateNow({ ...about, ...origin });
    cli.result(
      rotation,
      () => `Key ${rotation.kid} signs now; ${rotation.replaced ?? 'no key'} is gone from every store.`,
    );
    return;
  }
  const tokenSeconds =
    options.tokenLifetime === undefined
      ? session.config.longestToken
      : await secondsOf(options.tokenLifetime, '--token-lifetime');
  const rotation = await session.keyring.rotate({
    ...about,
    ...origin,
    tokenSeconds,
    waitForEdge: await edgeWait(cli, session, options),
  });
  cli.result(rotation, () =>
    [
      `Key ${rotation.kid} signs new tokens.`,
      rotation.retireAfter === undefined
        ? ''
        : `${rotation.replaced} stays until ${moment(rotation.retireAfter)}; then: portcullis keys retire --due`,
    ]
      .filter((line) => line !== '')
      .join('\n'),
  );
}

async function edgeWait(
  cli: Cli,
  session: StoreSession,
  options: RotateOptions,
): Promise<(kid: string) => Promise<void>> {
  const { settle } = await import('../../revoker/index.js');
  if (options.probe === undefined) {
    const seconds = await secondsOf(options.settle, '--settle');
    return async (kid) => {
      cli.line(`Key ${kid} is in every store; the edge gets ${seconds} s to learn it.`);
      await settle(seconds)(kid);
    };
  }
  const { probeKey } = await import('../cli/canary.js');
  const url = options.probe;
  return (kid) => probeKey(session, kid, url);
}

async function retireKeys(
  cli: Cli,
  session: StoreSession,
  kids: readonly string[],
  options: WriteOptions & { readonly due?: boolean; readonly force?: boolean },
): Promise<void> {
  const chosen = options.due ? await session.keyring.due() : kids;
  if (!options.due && chosen.length === 0) {
    throw new CliError('usage', 'Name the keys to retire, or give --due.', { exitCode: 2 });
  }
  if (options.dryRun) {
    cli.result(
      { dryRun: true, kids: chosen },
      () => `${chosen.length} key(s) would go: ${chosen.join(', ') || 'none'}`,
    );
    return;
  }
  if (
    options.force &&
    !(await cli.confirm(
      `Refuse every token signed with ${chosen.join(', ')}?`,
      options.yes === undefined ? {} : { yes: options.yes },
    ))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const about = aboutOf(session, options);
  for (const kid of chosen) await session.keyring.retire(kid, { ...about, ...(options.force ? { force: true } : {}) });
  cli.result({ retired: chosen }, () => (chosen.length === 0 ? 'No key is due.' : `Retired: ${chosen.join(', ')}`));
}
