import { KeyError } from '../errors.js';
import { keyIdText, secretFromBase64url, type SigningKey } from '../keys.js';
import { keyFromRecord } from './key-record.js';
import { refreshingKey, type RefreshingKeyProvider, type RefreshOptions } from './refreshing.js';

/** Secrets Manager's own stages of a secret's versions. */
export type SecretStage = 'AWSCURRENT' | 'AWSPENDING' | 'AWSPREVIOUS';

/** The part of `SecretsManagerClient` that is needed; pass the real one. */
export interface SecretsManagerSender {
  send(command: never): Promise<unknown>;
}

/** The class `GetSecretValueCommand` of `@aws-sdk/client-secrets-manager`. */
export type GetSecretValueCommandClass = new (input: { SecretId: string; VersionStage?: string }) => unknown;

export interface SecretsManagerKeyOptions extends RefreshOptions {
  /** Name or ARN of the secret. Its text: a JWK or key record as JSON, or an HS256 secret as base64url. */
  readonly secretId: string;
  /**
   * Client and command class of `@aws-sdk/client-secrets-manager`. Absent: that package is imported when the first key
   * is needed, with credentials and region from the SDK's usual chain.
   */
  readonly client?: SecretsManagerSender;
  readonly GetSecretValueCommand?: GetSecretValueCommandClass;
  /** kid of a bare secret. Default: the version id that Secrets Manager gives it. */
  readonly kid?: string;
}

/** A provider that also knows the version to come, for publishing it before it signs. */
export interface SecretsManagerKeys extends RefreshingKeyProvider {
  /**
   * The key of a stage, fetched now: publish `AWSPENDING` to the edge, wait until it is everywhere, then let the
   * rotation make it `AWSCURRENT`. Undefined when the secret has no version in that stage.
   */
  keyInStage(stage: SecretStage): Promise<SigningKey | undefined>;
}

/**
 * Signs with version `AWSCURRENT` of a secret: cached, refreshed in the background, and kept through an outage of
 * Secrets Manager until `refuseAfter`.
 *
 * @throws KeyError `key_unavailable` from the first `sign` when there was never a key; `stale_key` when the last one is too old.
 * @example
 * ```ts
 * import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
 * const key = secretsManagerKey({ secretId: 'cms/tokens', client: new SecretsManagerClient({}), GetSecretValueCommand });
 * const signer = createSigner({ issuer: 'cms', key });
 * ```
 */
export function secretsManagerKey(options: SecretsManagerKeyOptions): SecretsManagerKeys {
  const { secretId } = options;
  const source = `secret ${secretId}`;
  const connect = connection(options);

  async function fetchStage(stage: SecretStage): Promise<SigningKey> {
    const { client, Command } = await connect();
    const answer = (await client.send(new Command({ SecretId: secretId, VersionStage: stage }) as never)) as {
      SecretString?: string;
      SecretBinary?: Uint8Array;
      VersionId?: string;
    };
    return parseSecret(answer, options, source);
  }

  return {
    ...refreshingKey(() => fetchStage('AWSCURRENT'), source, options),
    async keyInStage(stage) {
      try {
        return await fetchStage(stage);
      } catch (error) {
        if ((error as { name?: string }).name === 'ResourceNotFoundException') return undefined;
        throw error;
      }
    },
  };
}

function connection(
  options: SecretsManagerKeyOptions,
): () => Promise<{ client: SecretsManagerSender; Command: GetSecretValueCommandClass }> {
  let loaded: Promise<{ client: SecretsManagerSender; Command: GetSecretValueCommandClass }> | undefined;
  return () => {
    if (options.client && options.GetSecretValueCommand) {
      return Promise.resolve({ client: options.client, Command: options.GetSecretValueCommand });
    }
    return (loaded ??= loadSdk(options));
  };
}

async function loadSdk(
  options: SecretsManagerKeyOptions,
): Promise<{ client: SecretsManagerSender; Command: GetSecretValueCommandClass }> {
  // Kept from bundlers: the package is an optional peer.
  const name = '@aws-sdk/client-secrets-manager';
  let sdk: {
    SecretsManagerClient: new (configuration: object) => SecretsManagerSender;
    GetSecretValueCommand: GetSecretValueCommandClass;
  };
  try {
    sdk = (await import(/* @vite-ignore */ name)) as typeof sdk;
  } catch (cause) {
    throw new KeyError('key_unavailable', `Install ${name}, or pass its client and GetSecretValueCommand.`, { cause });
  }
  return {
    client: options.client ?? new sdk.SecretsManagerClient({}),
    Command: options.GetSecretValueCommand ?? sdk.GetSecretValueCommand,
  };
}

function parseSecret(
  answer: { SecretString?: string; SecretBinary?: Uint8Array; VersionId?: string },
  options: SecretsManagerKeyOptions,
  source: string,
): SigningKey {
  const kid = options.kid ?? answer.VersionId;
  const named = kid === undefined ? {} : { kid };
  if (answer.SecretBinary) return { alg: 'HS256', ...named, secret: new Uint8Array(answer.SecretBinary) };
  const text = answer.SecretString?.trim();
  if (!text) throw new KeyError('invalid_key', `${source} is empty.`);
  if (!text.startsWith('{')) return { alg: 'HS256', ...named, secret: secretFromBase64url(text) };
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    throw new KeyError('invalid_key', `${source} is not JSON.`);
  }
  const key = keyFromRecord(record, source);
  return key.kid === undefined
    ? ({ ...key, ...named } as SigningKey)
    : ({ ...key, kid: keyIdText(key.kid) } as SigningKey);
}
