import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { RevocationRequest } from '../../revoker/index.js';
import { CliError } from './output.js';
import type { StoreSession } from './store-connection.js';

/** A throw-away session that is revoked along with the real thing, to see when the edge has it. */
export interface Canary {
  readonly request: RevocationRequest;
  waitUntilRefused(): Promise<{ readonly milliseconds: number; readonly url: string }>;
}

const canarySeconds = 600;
const timeoutMilliseconds = 60_000;

/**
 * Mints a token for a session of its own and checks that the edge lets it pass.
 * @throws CliError where it does not pass: then a refusal later would prove nothing
 */
export async function prepareCanary(session: StoreSession, probe: string | undefined): Promise<Canary> {
  const handle = randomBytes(16).toString('base64url');
  const { url, headers } = await mint(session, handle, probe);
  const first = await ask(url, headers);
  if (first.refused) {
    throw new CliError(
      'canary_refused',
      `The edge refuses the canary before it is revoked (${first.status} ${first.reason}).`,
      {
        hint: 'Name with --probe a protected URL that the signing key is entitled to. Nothing was revoked.',
      },
    );
  }
  const until = Math.floor(Date.now() / 1000) + canarySeconds;
  return {
    request: { scope: 'session', id: handle, reason: 'canary of a verification', until },
    async waitUntilRefused() {
      const start = performance.now();
      for (;;) {
        const answer = await ask(url, headers);
        const milliseconds = Math.round(performance.now() - start);
        if (answer.refused && answer.reason === 'revoked') return { milliseconds, url: new URL(url).origin };
        if (milliseconds > timeoutMilliseconds) {
          throw new CliError(
            'not_verified',
            `The ledger and the store have it, but this edge still answers ${answer.status} after ${timeoutMilliseconds / 1000} s.`,
            {
              hint: 'portcullis doctor tells whether the store is right; then check that the function is associated with it.',
            },
          );
        }
        await pause(200);
      }
    },
  };
}

async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly refused: boolean; readonly reason: string }> {
  const answer = await fetch(url, { headers: { ...headers, range: 'bytes=0-0' }, signal: AbortSignal.timeout(10_000) });
  const body = await answer.text();
  // 404 and 416 come from the origin, behind the function.
  const refused = [400, 401, 403, 410, 451, 503].includes(answer.status);
  const reason = answer.headers.get('x-portcullis-reason') ?? /"error":"(\w+)"/.exec(body)?.[1] ?? '';
  return { status: answer.status, refused, reason: reason === '' && answer.status === 403 ? 'revoked' : reason };
}

async function mint(
  session: StoreSession,
  handle: string,
  probe: string | undefined,
): Promise<{ url: string; headers: Readonly<Record<string, string>> }> {
  if (session.local && probe === undefined) {
    const answer = await fetch(session.local.vend, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ session: handle, expiresIn: canarySeconds }),
    });
    if (!answer.ok) throw new CliError('canary_failed', `The vending service answered ${answer.status}.`);
    const { url, headers } = (await answer.json()) as { url: string; headers: Record<string, string> };
    return { url, headers };
  }
  if (probe === undefined) {
    throw new CliError('usage', '--verify needs --probe <url>: a protected URL of the live distribution.', {
      exitCode: 2,
    });
  }
  const key = await session.keyring.signingKey();
  if (!key) {
    throw new CliError('no_signing_key', 'No signing key is known here to make a canary with.', {
      hint: 'The secret <prefix>/signing is written by portcullis keys rotate; or leave --verify away.',
    });
  }
  const { createSigner } = await import('@portcullis/tokens');
  const signer = createSigner({
    format: 'cat',
    issuer: null,
    placement: { kind: 'header' },
    key: { alg: 'HS256', kid: key.kid, secret: Buffer.from(key.k, 'base64url') },
  });
  return signer.signPlaybackUrl(probe, { expiresIn: canarySeconds, session: handle });
}

/**
 * Waits until the live edge knows a key: a token signed with it is no longer refused as `unknown_key`.
 * @throws CliError when it takes longer than a minute, with nothing switched
 */
export async function probeKey(session: StoreSession, kid: string, url: string): Promise<void> {
  const { keySecretName } = await import('../../revoker/index.js');
  const { createSigner } = await import('@portcullis/tokens');
  const text = await session.secrets.get(keySecretName(session.config.secretPrefix, kid));
  const { k } = JSON.parse(text ?? '{}') as { k?: string };
  if (k === undefined) throw new CliError('secret_not_found', `The secret of key ${kid} is missing.`);
  const key = { alg: 'HS256', kid, secret: Buffer.from(k, 'base64url') } as const;
  const signer = createSigner({ format: 'cat', issuer: null, placement: { kind: 'header' }, key });
  const { headers } = await signer.signPlaybackUrl(url, { expiresIn: canarySeconds });
  const start = performance.now();
  for (let known = 0; known < 5;) {
    const answer = await ask(url, headers);
    // Several edge locations answer one name: five answers in a row.
    known = answer.reason === 'unknown_key' || answer.reason === 'missing_token' ? 0 : known + 1;
    if (performance.now() - start > timeoutMilliseconds) {
      throw new CliError(
        'key_unknown',
        `The edge does not know key ${kid} after ${timeoutMilliseconds / 1000} s (${answer.status} ${answer.reason}).`,
        {
          hint: 'Signing was not switched. Check that the function is associated with this store, then run the same command again.',
        },
      );
    }
    if (known < 5) await pause(known === 0 ? 500 : 50);
  }
}
