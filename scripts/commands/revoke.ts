import { Argument, type Command } from 'commander';
import type { Outcome, RevocationRequest, Scope } from '../../revoker/index.js';
import { CliError, type Cli } from '../cli/output.js';
import { findToken, type PastedToken } from '../cli/pasted-token.js';
import {
  addWriteOptions,
  endOf,
  moment,
  withSession,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';

interface RevokeOptions extends WriteOptions {
  readonly until?: string;
  readonly for?: string;
  readonly file?: string;
  readonly evidence?: string;
  readonly content?: string;
  readonly before?: string;
  readonly ban?: boolean;
  readonly remint?: boolean;
  readonly verify?: boolean;
  readonly probe?: string;
}

interface Kind {
  readonly command: string;
  readonly scope: Scope;
  readonly argument: string;
  readonly description: string;
  readonly examples: readonly string[];
  /** Whether it can hit more than one viewer session, so that the operator is asked first. */
  readonly wide: (id: string) => boolean;
}

const never = (): boolean => false;
const always = (): boolean => true;

const kinds: readonly Kind[] = [
  {
    command: 'token',
    scope: 'token',
    argument: 'token, URL that carries it, or token id',
    description: 'Cut off one token. A renewal of it is another token: prefer revoke session',
    examples: [
      'revoke token AAECAwQFBgcICQoLDA0ODw --reason "posted in a forum"',
      'revoke token "https://d111.cloudfront.net/live/<token>/ch1/master.m3u8"',
    ],
    wide: never,
  },
  {
    command: 'session',
    scope: 'session',
    argument: 'session id, token, or URL that carries a token',
    description: 'Cut off a viewing session: the token at hand and every renewal of it',
    examples: [
      'revoke session 3q2-7wABAgMEBQYHCAkKCw --local',
      'revoke session "$(pbpaste)" --reason "re-broadcast of match 7" --verify --local',
    ],
    wide: never,
  },
  {
    command: 'subject',
    scope: 'subject',
    argument: 'subject (account), token, or URL that carries a token',
    description:
      'Cut off all tokens of an account that were issued up to now, or to --before; with --content only there',
    examples: [
      'revoke subject alice --reason "shared password"',
      'revoke subject alice --ban --for 30d',
      'revoke subject alice --content match-7',
      'revoke subject alice --remint --reason "entitlements changed"',
    ],
    wide: never,
  },
  {
    command: 'content',
    scope: 'content',
    argument: 'content id',
    description: 'Cut everybody off one content',
    examples: ['revoke content match-7 --for 3h --reason "rights withdrawn"'],
    wide: always,
  },
  {
    command: 'blocklist',
    scope: 'blocklist',
    argument: 'catpor block list id, base64url',
    description: 'Refuse the tokens under a catpor block list',
    examples: ['revoke blocklist AQ --for 10m'],
    wide: always,
  },
  {
    command: 'ip',
    scope: 'network',
    argument: 'address or CIDR block',
    description: "Block a network: at minting, and at the edge through the WAF's IP sets",
    examples: ['revoke ip 203.0.113.9 --for 6h', 'revoke ip 2001:db8:7::/48 --reason "restream farm"'],
    wide: (id) => !/\/(2[4-9]|3[0-2])$/.test(id) && !/:.*\/(4[89]|[5-9]\d|1[0-2]\d)$/.test(id),
  },
  {
    command: 'asn',
    scope: 'asn',
    argument: 'AS number',
    description: "Block an autonomous system: at minting, and at the edge through the WAF's ASN list",
    examples: ['revoke asn AS64500 --for 2h --reason "hosting provider"'],
    wide: always,
  },
  {
    command: 'device',
    scope: 'device',
    argument: 'device id',
    description: 'Refuse to mint for a device',
    examples: ['revoke device 0f3c9b --reason "cloned"'],
    wide: never,
  },
];

export function register(program: Command, cli: Cli): void {
  const revoke = program
    .command('revoke')
    .description('Cut off a token, session, account, content, network or key, everywhere and within seconds')
    .addHelpText(
      'after',
      `
Examples:
  $ portcullis revoke session "https://d111.cloudfront.net/live/<token>/ch1/master.m3u8" --reason "re-broadcast"
  $ portcullis revoke subject alice --ban --for 30d --reason "sold access"
  $ portcullis revoke token --file leaked.txt --yes
Take it back with: portcullis unrevoke <kind> <id>`,
    );
  for (const kind of kinds) {
    const command = revoke
      .command(kind.command)
      .description(kind.description)
      .addArgument(new Argument('[ids...]', kind.argument))
      .option('--file <file>', 'one per line, or JSON Lines or CSV; - for standard input')
      .option('--until <moment>', 'when it ends by itself, ISO 8601 with zone or epoch seconds')
      .option('--for <duration>', 'how long it lasts, such as 30m, 2h, 7d')
      .option('--evidence <text>', 'what the decision rests on; JSON or text, kept in the ledger');
    if (kind.scope === 'subject') {
      command
        .option('--content <id>', 'on this content alone')
        .option('--before <moment>', 'tokens issued at or before it (default: now)')
        .option('--ban', 'later tokens too, and no new ones are minted')
        .option('--remint', 'answer as expired, so that players fetch a new token');
    }
    if (kind.scope === 'session' || kind.scope === 'token' || kind.scope === 'subject') {
      command
        .option('--verify', 'write a canary along and poll the live edge until it is refused')
        .option('--probe <url>', 'protected URL that --verify polls (default with --local: the demo stream)');
    }
    addWriteOptions(command)
      .addHelpText('after', `\nExamples:\n${kind.examples.map((text) => `  $ portcullis ${text}`).join('\n')}`)
      .action(async (ids: string[], options: RevokeOptions) => {
        await withSession(cli, options, (session) => revokeIds(cli, session, kind, ids, options));
      });
  }
  const key = revoke
    .command('key')
    .description('Refuse everything signed by a key, from now on (see also: keys rotate --emergency)')
    .argument('<kid>', 'key id');
  addWriteOptions(key)
    .addHelpText('after', '\nExamples:\n  $ portcullis revoke key 20261120-1f2e3d4c --reason "secret leaked" --yes')
    .action(async (kid: string, options: WriteOptions) => {
      await withSession(cli, options, (session) => revokeKey(cli, session, kid, options));
    });

  const lift = program.command('unrevoke').description('Take a revocation back');
  for (const kind of kinds) {
    const command = lift.command(kind.command).description(`Take back: ${kind.description.split(/[.:;]/)[0] ?? ''}`);
    command.argument('<ids...>', kind.argument);
    if (kind.scope === 'subject') command.option('--content <id>', 'the revocation on this content alone');
    addWriteOptions(command)
      .addHelpText('after', `\nExamples:\n  $ portcullis unrevoke ${kind.command} <id> --reason "mistake" --local`)
      .action(async (ids: string[], options: RevokeOptions) => {
        await withSession(cli, options, (session) => unrevoke(cli, session, kind, ids, options));
      });
  }
}

interface Named {
  readonly id: string;
  readonly token?: PastedToken;
}

/** The id that a text names, straight or through a token in it. */
async function named(kind: Kind, text: string, content: string | undefined): Promise<Named> {
  const { subjectContentId } = await import('../../revoker/scopes.js');
  const takesToken = kind.scope === 'token' || kind.scope === 'session' || kind.scope === 'subject';
  const token = takesToken ? await findToken(text) : undefined;
  const fromToken =
    token && { token: token.tokenId, session: token.session, subject: token.subject }[kind.scope as 'token'];
  if (token && fromToken === undefined) {
    throw new CliError('not_in_token', `This token has no ${kind.scope === 'token' ? 'token id' : kind.scope}.`, {
      hint:
        kind.scope === 'session'
          ? 'Revoke the token itself, or its subject.'
          : 'See what it has: portcullis token inspect <token>',
    });
  }
  const id = fromToken ?? text.trim();
  if (fromToken === undefined && takesToken && /^https?:/.test(id)) {
    throw new CliError('no_token', `No token was found in ${id.slice(0, 80)}`, {
      exitCode: 2,
      hint: 'Tokens in cookies and headers are not in a URL; paste the token or the session id instead.',
    });
  }
  return {
    id: kind.scope === 'subject' && content !== undefined ? subjectContentId(id, content) : id,
    ...(token ? { token } : {}),
  };
}

async function requestsOf(
  kind: Kind,
  texts: readonly string[],
  options: RevokeOptions,
  session: StoreSession,
  now: number,
): Promise<{ request: RevocationRequest; token?: PastedToken }[]> {
  const { canonicalRef } = await import('../../revoker/scopes.js');
  const { epochSeconds } = await import('../../revoker/blackouts/schedule.js');
  const scope: Scope = kind.scope === 'subject' && options.content !== undefined ? 'subject-content' : kind.scope;
  const end = await endOf(options, now);
  const reason = options.reason ?? 'no reason given';
  const before = options.before === undefined ? now : epochSeconds(options.before);
  if (before === undefined) {
    throw new CliError(
      'usage',
      `--before: a moment such as 2026-12-01T20:00:00Z was expected, not ${options.before}.`,
      { exitCode: 2 },
    );
  }
  const timed = kind.scope === 'subject' && !options.ban;
  if (options.ban && options.remint) throw new CliError('usage', 'Give either --ban or --remint.', { exitCode: 2 });
  return Promise.all(
    texts.map(async (text) => {
      const { id, token } = await named(kind, text, options.content);
      const lifetime = session.config.lifetimes[scope];
      // A ban lasts until it is lifted; a single token needs no longer entry than its own life.
      const standard = options.ban || lifetime === undefined ? undefined : now + lifetime;
      const ownEnd =
        scope === 'token' && token?.expiresAt !== undefined
          ? Math.max(now + 60, Math.ceil(token.expiresAt) + 60)
          : standard;
      const until = end ?? ownEnd;
      const request: RevocationRequest = {
        ...canonicalRef({ scope, id }),
        reason,
        ...(until === undefined ? {} : { until }),
        ...(timed ? { cutoff: before } : {}),
        ...(options.remint ? { remint: true } : {}),
        ...(options.evidence === undefined ? {} : { evidence: evidenceOf(options.evidence) }),
      };
      return { request, ...(token ? { token } : {}) };
    }),
  );
}

function evidenceOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

async function revokeIds(
  cli: Cli,
  session: StoreSession,
  kind: Kind,
  ids: readonly string[],
  options: RevokeOptions,
): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  if (options.file !== undefined) {
    if (ids.length > 0) throw new CliError('usage', 'Give ids or --file, not both.', { exitCode: 2 });
    const { importFile } = await import('./revocations.js');
    return importFile(cli, session, options.file, { ...options, scope: kind.scope });
  }
  if (ids.length === 0) {
    throw new CliError('usage', `Name what to revoke: ${kind.argument}.`, {
      exitCode: 2,
      hint: 'Or give many with --file <file>.',
    });
  }
  const named = await requestsOf(kind, ids, options, session, now);
  const affected = named.map(({ request, token }) => describe(request, token, session));
  for (const line of affected) cli.line(line);
  const failedNetworks = (kind.scope === 'network' || kind.scope === 'asn') && session.networks === 'ledger only';
  if (failedNetworks) {
    cli.warn('No WAF sets are configured: the block holds at minting only; tokens that are out go on playing.');
  }
  const requests = named.map(({ request }) => request);
  if (options.dryRun) {
    cli.result({ dryRun: true, requests }, () => 'Dry run: nothing was changed.');
    return;
  }
  if (requests.some(({ id }) => kind.wide(id))) await sure(cli, `Revoke ${kind.command} ${ids.join(', ')}?`, options);

  const canary = options.verify
    ? await (await import('../cli/canary.js')).prepareCanary(session, options.probe)
    : undefined;
  const outcomes = await session.revoker.revoke(canary ? [...requests, canary.request] : requests, { by: session.by });
  const verified = canary ? await canary.waitUntilRefused() : undefined;
  await warnAboutQuota(cli, session);
  report(cli, outcomes.slice(0, requests.length), 'revoked', verified);
}

function describe(request: RevocationRequest, token: PastedToken | undefined, session: StoreSession): string {
  const parts = [
    `${request.scope} ${request.id.replace('\n', ' × ')}`,
    ...(token?.subject === undefined || request.scope === 'subject' ? [] : [`of subject ${token.subject}`]),
    ...(token?.issuer === undefined ? [] : [`from issuer ${token.issuer}`]),
    ...(token?.expiresAt === undefined ? [] : [`whose token ends ${moment(token.expiresAt)}`]),
    ...(request.cutoff === undefined ? [] : [`for tokens issued up to ${moment(request.cutoff)}`]),
  ];
  return `${parts.join(', ')}; ends ${moment(request.until)}; on ${session.targets.map(({ name }) => name).join(', ')}`;
}

async function sure(cli: Cli, question: string, options: WriteOptions): Promise<void> {
  if (await cli.confirm(question, options.yes === undefined ? {} : { yes: options.yes })) return;
  throw new CliError('not_confirmed', 'Nothing was changed.');
}

/** What of a target is still to come makes the command fail: the ledger has the act, the edge may not. */
export function report(
  cli: Cli,
  outcomes: readonly Outcome[],
  verb: string,
  verified?: { readonly milliseconds: number; readonly url: string },
): void {
  const states = outcomes[0]?.targets ?? {};
  const waiting = Object.entries(states).filter(([, state]) => state !== 'done');
  const value = {
    results: outcomes.map(({ scope, id, result, entry }) => ({
      scope,
      id,
      result,
      ...(entry?.until === undefined ? {} : { until: entry.until }),
      ...(entry?.cutoff === undefined ? {} : { cutoff: entry.cutoff }),
      ...(entry === undefined ? {} : { reason: entry.reason, by: entry.by }),
    })),
    targets: states,
    ...(verified ? { verified } : {}),
  };
  if (waiting.length > 0) {
    for (const [name, why] of waiting) cli.warn(`${name}: ${why}`);
    throw new CliError(
      'targets_waiting',
      `Recorded in the ledger, but not yet on ${waiting.map(([name]) => name).join(', ')}.`,
      {
        hint: 'Run portcullis revocations reconcile when it answers again; the scheduled reconciler does it too.',
      },
    );
  }
  const none = outcomes.every(({ result }) => result === 'not_found');
  cli.result(value, () => {
    const lines = outcomes.map(({ scope, id, result }) => {
      const what = `${scope} ${id.replace('\n', ' × ')}`;
      if (result === 'unchanged') return `${what} was ${verb} already.`;
      return result === 'not_found' ? `${what} is not revoked.` : `${what} ${verb}.`;
    });
    if (verified) lines.push(`The edge refused the canary after ${verified.milliseconds} ms.`);
    else if (!none) lines.push(`On ${Object.keys(states).join(', ')} now; edges follow within seconds.`);
    return lines.join('\n');
  });
  if (none)
    throw new CliError('not_found', 'Nothing of this is revoked.', {
      hint: 'See what is: portcullis revocations list',
    });
}

/** Says it before a store is full. */
export async function warnAboutQuota(cli: Cli, session: StoreSession): Promise<void> {
  const { quotaOf } = await import('../../revoker/maintenance.js');
  for (const [name, description] of session.revoker.stores()) {
    const { warning } = quotaOf(name, description);
    if (warning) cli.warn(warning);
  }
}

async function unrevoke(
  cli: Cli,
  session: StoreSession,
  kind: Kind,
  ids: readonly string[],
  options: RevokeOptions,
): Promise<void> {
  const { canonicalRef } = await import('../../revoker/scopes.js');
  const scope: Scope = kind.scope === 'subject' && options.content !== undefined ? 'subject-content' : kind.scope;
  const found = await Promise.all(ids.map((text) => named(kind, text, options.content)));
  const refs = found.map(({ id }) => canonicalRef({ scope, id }));
  if (options.dryRun) {
    const entries = await session.ledger.getMany(refs);
    cli.result(
      { dryRun: true, entries },
      () => `Dry run: ${entries.filter(({ state }) => state === 'active').length} of ${refs.length} would be lifted.`,
    );
    return;
  }
  const outcomes = await session.revoker.lift(refs, { by: session.by, reason: options.reason ?? 'no reason given' });
  report(cli, outcomes, 'lifted');
}

async function revokeKey(cli: Cli, session: StoreSession, kid: string, options: WriteOptions): Promise<void> {
  const signing = (await session.keyring.signingKey())?.kid === kid;
  cli.line(
    `Every token signed with key ${kid} is refused from now on${signing ? ', and it is the key that signs now' : ''}.`,
  );
  if (options.dryRun) {
    cli.result({ dryRun: true, kid, signing }, () => 'Dry run: nothing was changed.');
    return;
  }
  await sure(cli, `Remove key ${kid} from every store?`, options);
  const reason = options.reason ?? 'no reason given';
  await session.keyring.retire(kid, { by: session.by, reason, force: true });
  if (signing) cli.warn('New tokens are still signed with it: run portcullis keys rotate --emergency.');
  cli.result({ kid, state: 'retired' }, () => `Key ${kid} removed; its tokens are refused within seconds.`);
}
