import type { Command } from 'commander';
import { CliError, type Cli } from '../cli/output.js';
import { addStoreOptions, moment, withSession, type StoreOptions, type StoreSession } from '../cli/store-connection.js';

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** What to do; for what is not ok. */
  readonly remedy?: string;
}

const ok = (check: string, detail: string): Finding => ({ check, state: 'ok', detail });
const warning = (check: string, detail: string, remedy: string): Finding => ({
  check,
  state: 'warning',
  detail,
  remedy,
});
const problem = (check: string, detail: string, remedy: string): Finding => ({
  check,
  state: 'problem',
  detail,
  remedy,
});

export function register(program: Command, cli: Cli): void {
  addStoreOptions(
    program
      .command('doctor')
      .description('Check credentials, stores, ledger, drift, keys, quota and clock, and say what to do'),
  )
    .addHelpText('after', '\nExamples:\n  $ portcullis doctor --local\n  $ portcullis doctor --json')
    .action((options: StoreOptions) =>
      withSession(cli, options, async (session) => {
        const findings = await examine(session, options);
        const problems = findings.filter(({ state }) => state === 'problem').length;
        const signs = { ok: '✓', warning: '!', problem: '✗' } as const;
        cli.result({ healthy: problems === 0, findings }, () =>
          findings
            .map(
              ({ check, state, detail, remedy }) =>
                `${signs[state]} ${check}: ${detail}${remedy === undefined ? '' : `\n    → ${remedy}`}`,
            )
            .join('\n'),
        );
        if (problems > 0) throw new CliError('unhealthy', `${problems} problem(s) found.`);
      }),
    );
}

async function examine(session: StoreSession, options: StoreOptions): Promise<Finding[]> {
  const checks: [string, () => Promise<Finding[]>][] = [
    ['credentials', () => credentials(session, options)],
    ['ledger', () => ledger(session)],
    ...session.stores.map((store): [string, () => Promise<Finding[]>] => [
      `store ${store.name}`,
      () => storeFindings(session, store),
    ]),
    ['keys', () => keys(session)],
    ['modes', () => modes(session)],
    ['clock', () => clock(session, options)],
  ];
  const findings: Finding[] = [];
  for (const [name, check] of checks) {
    try {
      findings.push(...(await check()));
    } catch (error) {
      const hint = (error as { hint?: string }).hint;
      findings.push(
        problem(name, (error as Error).message, hint ?? 'Put this right first; other checks may depend on it.'),
      );
    }
  }
  return findings;
}

async function credentials(session: StoreSession, options: StoreOptions): Promise<Finding[]> {
  if (session.local) return [ok('credentials', 'none needed for the local edge')];
  if (session.config.stores.every(({ endpoint }) => endpoint !== undefined))
    return [ok('credentials', 'none needed for a loopback service')];
  const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient({ region: options.region ?? 'us-east-1' });
  try {
    const { Arn } = await client.send(new GetCallerIdentityCommand({}));
    return [ok('credentials', `you are ${Arn ?? 'known to AWS'}`)];
  } catch (error) {
    return [problem('credentials', (error as Error).message, 'Set AWS_PROFILE or sign in (aws sso login).')];
  } finally {
    client.destroy();
  }
}

async function ledger(session: StoreSession): Promise<Finding[]> {
  const now = Math.floor(Date.now() / 1000);
  const jobs = await session.ledger.jobs();
  const stuck = jobs.filter(({ leaseUntil }) => leaseUntil <= now);
  const { table } = session.config.ledger;
  if (stuck.length === 0) return [ok('ledger', `table ${table} answers, ${jobs.length} job(s) under way`)];
  const oldest = Math.min(...stuck.map(({ at }) => at));
  return [
    problem(
      'ledger',
      `${stuck.length} job(s) were interrupted, the oldest ${moment(oldest)}`,
      'portcullis revocations reconcile',
    ),
  ];
}

async function storeFindings(session: StoreSession, store: StoreSession['stores'][number]): Promise<Finding[]> {
  const { quotaOf, storeDrift } = await import('../../revoker/index.js');
  const name = `store ${store.name}`;
  const description = await store.describe();
  if (description.status !== 'READY') {
    return [problem(name, `it is ${description.status}`, 'portcullis keys wait; a new store takes a few minutes')];
  }
  const findings = [ok(name, `READY, ${description.items} keys`)];
  const quota = quotaOf(store.name, description);
  const full = `${quota.bytes} of ${quota.limitBytes} bytes (${Math.round(quota.used * 100)} %), room for about ${quota.roomFor} revocations`;
  findings.push(
    quota.warning === undefined
      ? ok('quota', full)
      : warning('quota', full, 'portcullis revocations gc; prefer subject and content revocations'),
  );
  const drift = await storeDrift(store, session.projection);
  const missing = drift.missing.length + drift.different.length;
  if (missing > 0) {
    findings.push(
      problem(
        'drift',
        `${missing} key(s) of ${store.name} lack what the ledger says: revoked tokens may pass`,
        'portcullis revocations rebuild',
      ),
    );
  } else if (drift.surplus.length > 0) {
    findings.push(
      warning(
        'drift',
        `${drift.surplus.length} key(s) of ${store.name} should be gone`,
        'portcullis revocations rebuild',
      ),
    );
  } else findings.push(ok('drift', `${store.name} holds what the ledger says`));
  const strange = drift.unmanaged.filter((key) => !key.startsWith('k:'));
  if (strange.length > 0) {
    findings.push(
      warning(
        'layout',
        `${strange.length} key(s) of ${store.name} are not ours, such as ${strange[0] ?? ''}`,
        'They take room and the edge never reads them: remove them by hand',
      ),
    );
  }
  return findings;
}

async function keys(session: StoreSession): Promise<Finding[]> {
  const all = (await session.keyring.list()).filter(({ state }) => state !== 'retired');
  if (all.length === 0)
    return [problem('keys', 'no key is published: every token is refused', 'portcullis keys add --sign')];
  const findings: Finding[] = [];
  const signing = await session.keyring.signingKey();
  const signs = all.find(({ kid }) => kid === signing?.kid);
  if (signing && (!signs || signs.stores.length < session.stores.length)) {
    findings.push(
      problem('keys', `key ${signing.kid} signs, but not every store has it`, 'portcullis revocations rebuild'),
    );
  }
  const due = await session.keyring.due();
  if (due.length > 0) findings.push(warning('keys', `${due.join(', ')} can go`, 'portcullis keys retire --due'));
  const unmanaged = all.filter(({ state }) => state === 'unmanaged').map(({ kid }) => kid || '(no kid)');
  if (unmanaged.length > 0 && !session.local) {
    findings.push(
      warning(
        'keys',
        `${unmanaged.join(', ')} not in the ledger: no rotation, no rebuild`,
        'Replace them: portcullis keys rotate --from <kid>',
      ),
    );
  }
  if (findings.length === 0)
    findings.push(ok('keys', `${all.length} published${signing ? `, ${signing.kid} signs` : ''}`));
  return findings;
}

async function modes(session: StoreSession): Promise<Finding[]> {
  const soft = (await session.keyring.modes()).filter(({ mode }) => mode !== 'enforce');
  if (soft.length === 0) return [ok('modes', 'nothing softer than configured')];
  return soft.map(({ issuer, mode, until, by }) =>
    warning(
      'modes',
      `${mode} for ${issuer === '*' ? 'all issuers' : issuer}, ${until === undefined ? 'without an end' : `until ${moment(until)}`}, set by ${by}`,
      'portcullis mode set enforce',
    ),
  );
}

/** Cut-off moments and expiries stand on this machine's clock; a service's Date header tells whether it is right. */
async function clock(session: StoreSession, options: StoreOptions): Promise<Finding[]> {
  const url =
    session.config.ledger.endpoint ??
    `https://dynamodb.${options.region ?? session.config.ledger.region ?? 'us-east-1'}.amazonaws.com/`;
  const asked = Date.now();
  const answer = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(5000) });
  const date = answer.headers.get('date');
  if (date === null) return [warning('clock', 'the service tells no time', 'Compare this machine with an NTP server')];
  // The header has whole seconds, and was written between asking and now.
  const off = Math.max(0, Math.abs(Date.parse(date) - (asked + Date.now()) / 2) - 1000) / 1000;
  if (off < 5) return [ok('clock', 'within a few seconds of the service')];
  return [
    problem(
      'clock',
      `this machine is ${Math.round(off)} s off`,
      'Set the clock: cut-off moments would be wrong, and AWS refuses signatures at 5 minutes',
    ),
  ];
}
