import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type {
  Claims,
  CountryOrRegion,
  DecodedToken,
  EntitledKey,
  ExplainedCheck,
  Explanation,
  HttpMethod,
  NonEmpty,
  Placement,
  PlaybackPolicy,
  SignedPlaybackUrl,
  SignedToken,
  SigningKey,
  ViewerRequest,
} from '@portcullis/tokens';
import { CliError, type Cli } from '../cli/output.js';
import type { SimulatedViewer } from '../local-edge/viewer.js';
import { localEndpoints } from '../cli/connection.js';
import { addStoreOptions, withSession, type StoreOptions } from '../cli/store-connection.js';

interface KeyOptions extends StoreOptions {
  readonly key?: string;
}

interface SignOptions extends KeyOptions {
  readonly format: 'cat' | 'jwt';
  readonly issuer?: string;
  readonly url?: string;
  readonly path?: string[];
  readonly expiresIn: string;
  readonly sessionEndsIn?: string;
  readonly session?: string;
  readonly subject?: string;
  readonly audience?: string[];
  readonly country?: string[];
  readonly network?: string[];
  readonly asn?: string[];
  readonly method?: string[];
  readonly placement: string;
  readonly claims?: string;
  readonly jitter: boolean;
}

interface RequestOptions extends KeyOptions {
  readonly url?: string;
  readonly method: string;
  readonly header?: string[];
  readonly address?: string;
  readonly viewer?: string;
  readonly audience?: string[];
}

const placements = 'first, prefix:/live, marker, marker:/~x, parameter, query, query:NAME, cookie, header, bearer';

export function register(program: Command, cli: Cli): void {
  const token = program
    .command('token')
    .description('Tokens: sign, read, verify, and find out why one was refused')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis token sign --local --url https://cdn.example/live/ch1/main.m3u8\n  $ portcullis token explain --local --url /live/ch1/a.ts --header "CloudFront-Viewer-Country: US" < token.txt',
    );

  addKeyOptions(token.command('sign').description('Sign a token, or a playback URL with --url'))
    .option('--format <format>', 'cat or jwt', oneOf(['cat', 'jwt'], '--format'), 'cat')
    .option('--issuer <name>', 'iss of the token (default: none)')
    .option('--url <url>', 'playback URL to sign; without --path its folder is admitted')
    .option('--path <path...>', "path prefixes that end in '/', or exact paths")
    .option('--expires-in <duration>', 'life of the token', '1h')
    .option('--session-ends-in <duration>', 'end of the session, over all renewals (default: 12h)')
    .option('--session <handle>', 'keep this session instead of starting one')
    .option('--subject <id>', 'account, as a pseudonym')
    .option('--audience <name...>', 'aud')
    .option('--country <code...>', 'countries and regions: GB, US-CA')
    .option('--network <cidr...>', 'networks; single addresses are widened to /24 or /56')
    .option('--asn <number...>', 'AS numbers')
    .option('--method <method...>', 'methods')
    .option('--placement <where>', placements, 'first')
    .option('--claims <json>', 'further claims by JSON name, as JSON, @file, or - for standard input')
    .option('--no-jitter', 'end exactly after --expires-in')
    .addHelpText(
      'after',
      '\nThe key: --key <file> (JWK or key record, - for standard input), --local, --kvs-arn, or PORTCULLIS_KEY.\n\nExamples:\n  $ portcullis token sign --key key.json --path /live/ch1/ --country GB --expires-in 2h\n  $ portcullis token sign --local --url https://cdn.example/live/ch1/main.m3u8 --placement prefix:/live --json',
    )
    .action((options: SignOptions) => sign(cli, options));

  token
    .command('inspect')
    .description('Show what a token says, without checking its signature')
    .argument('[token]', 'a token, or a URL or log line with one; - or none: standard input')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis token inspect 0YRHog…\n  $ pbpaste | portcullis token inspect --json',
    )
    .action((text: string | undefined) => inspect(cli, text));

  addRequestOptions(
    token.command('verify').description('Check a token, and a request with --url; exit code 1 when it is refused'),
  )
    .argument('[token]', 'the token; - or none: standard input')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis token verify 0YRHog… --key key.json --url /live/ch1/a.ts --header "CloudFront-Viewer-Country: GB"',
    )
    .action((text: string | undefined, options: RequestOptions) => verifyToken(cli, text, options));

  addRequestOptions(
    token.command('explain').description('Go through every check, and say what each expected and found'),
  )
    .argument('[token]', 'a token, or the refused URL with it; - or none: standard input')
    .addHelpText(
      'after',
      '\nRevocations are looked up with --local, or the store and ledger of the deployment. Exit code 1 when it is refused.\n\nExamples:\n  $ portcullis token explain https://cdn.example/0YRHog…/live/ch1/a.ts --local\n  $ portcullis token explain https://cdn.example/0YRHog…/live/ch1/a.ts --local --viewer "country=DE; ip=198.51.100.7"',
    )
    .action((text: string | undefined, options: RequestOptions) => explainToken(cli, text, options));
}

function addKeyOptions(command: Command): Command {
  return addStoreOptions(command.option('--key <file>', 'key as a JWK or key record, JSON; - for standard input'));
}

function addRequestOptions(command: Command): Command {
  return addKeyOptions(command)
    .option('--url <url>', 'URL or path of the request')
    .option('--method <method>', 'method of the request', 'GET')
    .option('--header <line...>', 'request header, "Name: value"; also those that CloudFront adds')
    .option('--address <ip>', "the viewer's address")
    .option(
      '--viewer <fields>',
      'who asks, for the headers that CloudFront adds: "country=US; region=CA; asn=64500; ip=203.0.113.9" (with --local: the local edge\'s viewer)',
    )
    .option('--audience <name...>', 'who the recipient is');
}

function oneOf(choices: readonly string[], option: string): (text: string) => string {
  return (text) => {
    if (!choices.includes(text))
      throw new CliError('invalid_option', `${option}: expected ${choices.join(' or ')}, got ${text}.`, {
        exitCode: 2,
      });
    return text;
  };
}

async function sign(cli: Cli, options: SignOptions): Promise<void> {
  const { createSigner } = await import('@portcullis/tokens');
  const { record } = await signingKey(cli, options);
  const placement = parsePlacement(options.placement);
  const common = {
    issuer: options.issuer ?? null,
    placement,
    jitter: options.jitter,
    key: { signingKey: () => record },
  };
  const policy: PlaybackPolicy = {
    expiresIn: options.expiresIn as `${number}h`,
    ...(options.path
      ? { paths: options.path.map((path) => (path.endsWith('/') ? path : { exact: path })) as never }
      : {}),
    ...(options.sessionEndsIn ? { sessionEndsIn: options.sessionEndsIn as `${number}h` } : {}),
    ...(options.session ? { session: options.session } : {}),
    ...(options.subject ? { subject: options.subject } : {}),
    ...(options.audience ? { audience: options.audience as unknown as NonEmpty<string> } : {}),
    ...(options.country ? { countries: options.country as unknown as NonEmpty<CountryOrRegion> } : {}),
    ...(options.network
      ? {
          networks: options.network.map((network) =>
            network.includes('/') ? (network as `${string}/${number}`) : { viewer: network },
          ) as never,
        }
      : {}),
    ...(options.asn ? { asns: options.asn.map(Number) as unknown as NonEmpty<number> } : {}),
    ...(options.method ? { methods: options.method as unknown as NonEmpty<HttpMethod> } : {}),
    ...(options.claims ? { claims: parseClaims(await readInput(options.claims)) } : {}),
  };
  if (!options.url && !options.path)
    throw new CliError('missing_option', 'What the token is for is missing.', {
      exitCode: 2,
      hint: 'Give --url, or --path (--path / admits everything).',
    });
  await reported(async () => {
    const signer =
      options.format === 'jwt'
        ? createSigner({ ...common, format: 'jwt' })
        : createSigner({ ...common, format: 'cat' });
    const signed: SignedToken & Partial<SignedPlaybackUrl> = options.url
      ? await signer.signPlaybackUrl(options.url, policy)
      : await signer.sign(policy as Parameters<typeof signer.sign>[0]);
    for (const { message } of signed.warnings) cli.warn(message);
    const { token, tokenId, session, expiresAt, sessionEndsAt, claims, url, headers = {}, cookies = [] } = signed;
    cli.result(
      {
        token,
        tokenId,
        session,
        expiresAt,
        sessionEndsAt,
        claims,
        ...(url === undefined ? {} : { url, headers, cookies }),
      },
      () =>
        [
          url ?? token,
          ...cookies.map((cookie) => `Set-Cookie: ${cookie}`),
          ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
        ].join('\n'),
    );
  });
}

async function inspect(cli: Cli, text: string | undefined): Promise<void> {
  const { decode } = await import('@portcullis/tokens');
  const found = await tokenIn(await readInput(text));
  await reported(() => {
    const { format, alg, kid, claims, tokenId, session } = decode(found);
    cli.result({ format, alg, kid, tokenId, session, claims, length: found.length }, () =>
      [
        `${format.toUpperCase()}, ${alg ?? 'no algorithm named'}, ${kid === undefined ? 'no kid' : `kid ${kid}`}, ${found.length} characters; signature not checked`,
        cli.table(
          ['claim', 'value', 'meaning'],
          Object.entries(claims).map(([name, value]) => [name, JSON.stringify(value), meaning(name, value)]),
        ),
      ].join('\n'),
    );
    return Promise.resolve();
  });
}

function meaning(name: string, value: unknown): string {
  if (['exp', 'nbf', 'iat', 'sxp'].includes(name) && typeof value === 'number')
    return new Date(value * 1000).toISOString();
  return (
    {
      iss: 'issuer',
      sub: 'subject',
      aud: 'audience',
      jti: 'token id',
      sid: 'session',
      catu: 'URLs',
      catm: 'methods',
      catnip: 'networks',
      catgeoiso3166: 'countries',
      cath: 'headers',
      catr: 'renewal',
      catif: 'answer when refused',
      catv: 'version',
    }[name] ?? ''
  );
}

async function verifyToken(cli: Cli, text: string | undefined, options: RequestOptions): Promise<void> {
  const { verify } = await import('@portcullis/tokens');
  const found = await tokenIn(await readInput(text));
  const keys = await verificationKeys(cli, options, found);
  await reported(async () => {
    const verified = await verify(found, {
      keys,
      request: options.url ? await requestOf(options, options.url) : null,
      ...(options.audience ? { audiences: options.audience } : {}),
    });
    const { format, alg, kid, claims, tokenId, session } = verified;
    cli.result({ admitted: true, format, alg, kid, tokenId, session, claims }, () =>
      options.url
        ? 'Admitted: the signature is good, and every claim holds for this request.'
        : 'Genuine and in date; claims about requests were not checked (give --url).',
    );
  });
}

async function explainToken(cli: Cli, text: string | undefined, options: RequestOptions): Promise<void> {
  const { explain } = await import('@portcullis/tokens');
  const input = await readInput(text);
  const found = await tokenIn(input);
  const keys = await verificationKeys(cli, options, found).catch((error: unknown) => {
    if (options.key !== undefined || options.local || options.kvsArn) throw error;
    return undefined;
  });
  const url = options.url ?? urlWithout(input, found);
  const onItself = await explain(found, {
    ...(keys ? { keys } : {}),
    ...(url ? { request: await requestOf(options, url) } : {}),
    ...(options.audience ? { audiences: options.audience } : {}),
  });
  const explanation = withCheck(onItself, await revocationCheck(cli, options, onItself.token));
  cli.result({ admitted: explanation.admitted, reason: explanation.reason, checks: explanation.checks }, () =>
    explained(cli, explanation),
  );
  if (!explanation.admitted) process.exitCode = 1;
}

/** Whether the ledger has the token, its session or its account as revoked; undefined where no ledger was named. */
async function revocationCheck(
  cli: Cli,
  options: KeyOptions,
  token: DecodedToken | undefined,
): Promise<ExplainedCheck | undefined> {
  if (token === undefined || (!options.local && !options.kvsArn)) return undefined;
  const { tokenId, session, subject, issuedAt } = token;
  const ids = { token: tokenId, session, subject } as const;
  const refs = (['token', 'session', 'subject'] as const).flatMap((scope) => {
    const id = ids[scope];
    return id === undefined ? [] : [{ scope, id }];
  });
  const { isActive } = await import('../../revoker/ledger/entry.js');
  try {
    const entries = refs.length === 0 ? [] : await withSession(cli, options, ({ ledger }) => ledger.getMany(refs));
    const now = Math.floor(Date.now() / 1000);
    const entry = entries.find(
      (found) => isActive(found, now) && !(found.cutoff !== undefined && (issuedAt ?? 0) > found.cutoff),
    );
    if (!entry) return { check: 'revocation', holds: true, message: 'Neither the token nor its session is revoked.' };
    return {
      check: 'revocation',
      holds: false,
      reason: entry.remint ? 'expired' : 'revoked',
      value: { [entry.scope]: entry.id },
      actual: { by: entry.by, at: new Date(entry.at * 1000).toISOString(), reason: entry.reason },
      message: `The ${entry.scope} was revoked; portcullis unrevoke ${entry.scope} ${entry.id} lifts that.`,
    };
  } catch (error) {
    return {
      check: 'revocation',
      holds: undefined,
      message: `Not checked: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** The edge looks up revocations before it evaluates claims, and so does the explanation. */
function withCheck(explanation: Explanation, check: ExplainedCheck | undefined): Explanation {
  if (check === undefined) return explanation;
  const after = explanation.checks.findIndex((done) => done.check === 'signature' || done.check === 'issuer') + 1;
  const checks = [...explanation.checks.slice(0, after), check, ...explanation.checks.slice(after)];
  const failed = checks.find(({ holds }) => holds === false);
  return { ...explanation, admitted: failed === undefined, reason: failed?.reason, checks };
}

function explained(cli: Cli, { admitted, reason, checks }: Explanation): string {
  const rows = checks.map(({ check, holds, value, actual, message }) => [
    holds === undefined ? '?' : holds ? '✓' : '✗',
    check,
    value === undefined ? '' : JSON.stringify(value),
    actual === undefined ? '' : JSON.stringify(actual),
    message,
  ]);
  return [
    admitted ? 'Nothing here refuses the token.' : `Refused: ${reason}.`,
    cli.table(['', 'check', 'token says', 'request shows', ''], rows),
  ].join('\n');
}

/** A URL that was pasted with its token, taken apart from it; undefined where the text is no URL. */
function urlWithout(input: string, token: string): string | undefined {
  const text = input.trim();
  if (!/^(?:https?:\/\/|\/)\S+$/.test(text)) return undefined;
  return text.replace(`/${token}`, '').replace(new RegExp(`[?&;][\\w-]+=${token.replaceAll('.', '\\.')}`), '') || '/';
}

/** Who asks: as `--viewer` says, or the local edge's own viewer where nothing is said of one. */
async function simulatedViewer(options: RequestOptions): Promise<SimulatedViewer | undefined> {
  const { defaultViewer, readViewer, ViewerSyntaxError } = await import('../local-edge/viewer.js');
  const local = options.local ? (localEndpoints().viewer ?? defaultViewer) : undefined;
  if (options.viewer === undefined) return local;
  const unknown: SimulatedViewer = { ip: '', port: 443 };
  try {
    return readViewer(options.viewer, local ?? unknown);
  } catch (error) {
    if (!(error instanceof ViewerSyntaxError)) throw error;
    throw new CliError('invalid_option', error.message.replace('x-sim-viewer', '--viewer'), { exitCode: 2 });
  }
}

async function requestOf(options: RequestOptions, url: string): Promise<ViewerRequest> {
  const { viewerHeaders } = await import('../local-edge/viewer.js');
  const viewer = await simulatedViewer(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(viewer ? viewerHeaders(viewer) : {})) {
    if (value !== undefined && !value.startsWith(':')) headers[name] = value;
  }
  for (const line of options.header ?? []) {
    const colon = line.indexOf(':');
    if (colon < 1)
      throw new CliError('invalid_option', `--header: expected "Name: value", got ${line}.`, { exitCode: 2 });
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  const address = options.address ?? viewer?.ip;
  return { url, method: options.method, headers, ...(address ? { address } : {}) };
}

function parsePlacement(text: string): Placement {
  const [kind, detail] = text.split(/:(.*)/s) as [string, string | undefined];
  const named = detail ? { name: detail } : {};
  switch (kind) {
    case 'first':
      return { kind: 'path', mode: 'first' };
    case 'prefix':
      if (detail?.startsWith('/')) return { kind: 'path', mode: 'prefix', prefix: detail as `/${string}` };
      break;
    case 'marker':
      return { kind: 'path', mode: 'marker', ...(detail?.startsWith('/') ? { marker: detail as `/${string}` } : {}) };
    case 'parameter':
      return { kind: 'pathParameter', ...named };
    case 'query':
      return { kind: 'query', ...named };
    case 'cookie':
      return { kind: 'cookie', ...named };
    case 'header':
      return { kind: 'header', ...named };
    case 'bearer':
      return { kind: 'authorization' };
  }
  throw new CliError('invalid_option', `--placement: expected one of ${placements}; got ${text}.`, { exitCode: 2 });
}

function parseClaims(text: string): Claims {
  try {
    const claims: unknown = JSON.parse(text);
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims)) return claims as Claims;
  } catch {
    // reported below
  }
  throw new CliError('invalid_option', '--claims: expected a JSON object.', { exitCode: 2 });
}

/** Text from the command line, a file (`@file`), or standard input (`-` or nothing). */
async function readInput(given: string | undefined): Promise<string> {
  if (given?.startsWith('@')) return readFile(given.slice(1), 'utf8');
  if (given !== undefined && given !== '-') return given;
  let text = '';
  for await (const chunk of process.stdin) text += String(chunk);
  return text;
}

async function tokenIn(text: string): Promise<string> {
  const { findToken } = await import('../cli/pasted-token.js');
  const trimmed = text.trim();
  // What is no token at all is still worth explaining.
  return (await findToken(trimmed))?.token ?? trimmed;
}

async function signingKey(cli: Cli, options: KeyOptions): Promise<{ record: SigningKey }> {
  if (options.key !== undefined) return { record: await keyFile(options.key) };
  if (options.local || options.kvsArn) {
    return withSession(cli, options, async ({ keyring }) => {
      const key = await keyring.signingKey();
      if (!key)
        throw new CliError('no_signing_key', 'No key signs at the moment.', {
          hint: 'Make one with: portcullis keys add --sign',
        });
      return { record: { alg: 'HS256', kid: key.kid, secret: Buffer.from(key.k, 'base64url') } };
    });
  }
  const { environmentKey } = await import('@portcullis/tokens/keys/environment');
  return {
    record: await reported(
      () => Promise.resolve(environmentKey().signingKey()),
      'Give --key <file>, --local, --kvs-arn, or set PORTCULLIS_KEY.',
    ),
  };
}

async function keyFile(file: string): Promise<SigningKey> {
  const { parseKeyRecord } = await import('@portcullis/tokens/keys/key-record');
  const text = await readInput(file === '-' ? '-' : `@${file}`).catch(() => {
    throw new CliError('unreadable_key', `The key file ${file} cannot be read.`, { exitCode: 2 });
  });
  return reported(() => Promise.resolve(parseKeyRecord(text, file === '-' ? 'standard input' : file)));
}

/** Keys that the token may have been made with: the given one, or the store's record for its kid. */
async function verificationKeys(cli: Cli, options: KeyOptions, token: string): Promise<EntitledKey[]> {
  if (options.key !== undefined || (!options.local && !options.kvsArn)) {
    const { record } = await signingKey(cli, options);
    return [
      record.alg === 'HS256'
        ? record
        : ({
            alg: record.alg,
            ...(record.kid === undefined ? {} : { kid: record.kid }),
            publicKey: await publicPart(record.privateKey),
          } as EntitledKey),
    ];
  }
  const { decode } = await import('@portcullis/tokens');
  let kid = '';
  try {
    kid = decode(token).kid ?? '';
  } catch {
    return [];
  }
  return withSession(cli, options, async ({ stores }) => {
    const text = await stores[0]?.get(`k:${kid}`);
    if (!text) return [];
    const record = JSON.parse(text) as { alg: string; k?: string; iss?: string[]; paths?: `/${string}`[] };
    if (record.alg !== 'HS256' || record.k === undefined) return [];
    return [
      {
        alg: 'HS256',
        ...(kid === '' ? {} : { kid }),
        secret: Buffer.from(record.k, 'base64url'),
        ...(record.iss ? { issuers: record.iss } : {}),
        ...(record.paths ? { paths: record.paths } : {}),
      },
    ];
  });
}

/** The public half of what a key file holds. */
async function publicPart(material: Exclude<SigningKey, { alg: 'HS256' }>['privateKey']): Promise<string> {
  const { createPrivateKey, createPublicKey } = await import('node:crypto');
  const key =
    typeof material === 'string'
      ? createPrivateKey(material)
      : createPrivateKey({ key: material as never, format: 'jwk' });
  return createPublicKey(key).export({ format: 'pem', type: 'spki' }) as string;
}

/** Runs work of the library, and turns its errors into the terminal's. */
async function reported<Value>(work: () => Promise<Value> | Value, hint?: string): Promise<Value> {
  const { TokensError, PolicyError } = await import('@portcullis/tokens');
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TokensError)) throw error;
    throw new CliError(error.code, error.message, {
      exitCode: error instanceof PolicyError ? 2 : 1,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}
