import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { RevokerError } from '../errors.js';

/** Where signing keys are kept. Values are never logged nor printed. */
export interface SecretStore {
  get(name: string): Promise<string | undefined>;
  /** Creates the secret, or gives it a new current value. */
  put(name: string, value: string): Promise<void>;
  /** Removes it, where the store can with a time in which that can be undone. No error where there is none. */
  remove(name: string): Promise<void>;
}

/** AWS Secrets Manager. */
export function secretsManagerStore(client: SecretsManagerClient): SecretStore {
  const sdk = import('@aws-sdk/client-secrets-manager');
  const named = (error: unknown, name: string): boolean => (error as Error).name === name;
  return {
    async get(name) {
      const { GetSecretValueCommand } = await sdk;
      try {
        return (await client.send(new GetSecretValueCommand({ SecretId: name }))).SecretString;
      } catch (error) {
        if (named(error, 'ResourceNotFoundException')) return undefined;
        // A secret that is waiting for its deletion is gone for us.
        if (named(error, 'InvalidRequestException')) return undefined;
        throw error;
      }
    },
    async put(name, value) {
      const { CreateSecretCommand, PutSecretValueCommand, RestoreSecretCommand } = await sdk;
      // The same token on a repeated call makes the service do it once.
      const ClientRequestToken = randomBytes(16).toString('hex');
      try {
        await client.send(new CreateSecretCommand({ Name: name, SecretString: value, ClientRequestToken }));
      } catch (error) {
        const exists = named(error, 'ResourceExistsException') || named(error, 'InvalidRequestException');
        if (!exists) throw error;
        if (named(error, 'InvalidRequestException')) await client.send(new RestoreSecretCommand({ SecretId: name }));
        await client.send(new PutSecretValueCommand({ SecretId: name, SecretString: value, ClientRequestToken }));
      }
    },
    async remove(name) {
      const { DeleteSecretCommand } = await sdk;
      try {
        await client.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
      } catch (error) {
        if (named(error, 'ResourceNotFoundException') || named(error, 'InvalidRequestException')) return;
        throw error;
      }
    },
  };
}

/** A folder on this machine, readable by its owner alone; for the local edge. */
export function folderSecretStore(folder: string): SecretStore {
  const fileOf = (name: string): string => {
    if (!/^[\w+=.@/-]+$/.test(name) || name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
      throw new RevokerError('invalid_request', `${JSON.stringify(name)} cannot name a secret.`);
    }
    return join(folder, `${name}.json`);
  };
  return {
    async get(name) {
      try {
        return (await readFile(fileOf(name), 'utf8')).trimEnd();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async put(name, value) {
      const file = fileOf(name);
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      // A reader sees the old value or the new one, never half of it.
      const draft = `${file}.${randomBytes(4).toString('hex')}`;
      await writeFile(draft, `${value}\n`, { mode: 0o600 });
      await rename(draft, file);
    },
    remove: (name) => rm(fileOf(name), { force: true }),
  };
}

/** A signing key as its secret holds it. */
export interface SecretKey {
  readonly kid: string;
  readonly alg: 'HS256';
  /** base64url, 32 bytes or more. */
  readonly k: string;
}

export function keySecretName(prefix: string, kid: string): string {
  return `${prefix}/keys/${/^[\w+=@-][\w+=.@-]*$/.test(kid) ? kid : `b64-${Buffer.from(kid).toString('base64url')}`}`;
}

/** The secret that always holds the key to sign with now. */
export function signingSecretName(prefix: string): string {
  return `${prefix}/signing`;
}

export function parseSecretKey(text: string, name: string): SecretKey {
  try {
    const { kid, alg, k } = JSON.parse(text) as Record<string, unknown>;
    if (typeof kid === 'string' && alg === 'HS256' && typeof k === 'string' && /^[\w-]{43,}$/.test(k)) {
      return { kid, alg, k };
    }
  } catch {
    // answered below: a parser's message would quote the secret
  }
  throw new RevokerError(
    'secret_not_found',
    `Secret ${name} does not hold a signing key: {"kid","alg":"HS256","k"} was expected.`,
  );
}
