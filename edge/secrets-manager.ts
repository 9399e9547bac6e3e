import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

/** Where a secret lies. */
export interface SecretPlace {
  /** Name or ARN. */
  readonly secret: string;
  readonly region: string;
  /** The staging label of the version; absent: `AWSCURRENT`. */
  readonly stage?: string | undefined;
  /** Another address than AWS's, for tests and the local edge. */
  readonly endpoint?: string | undefined;
}

/** Reads the text of a secret. */
export type ReadSecret = (place: SecretPlace) => Promise<string>;

/** Reads secrets from Secrets Manager with the SDK that the Lambda runtime brings, imported when the first one is needed. */
export function secretsManagerReader(timeout = 3000): ReadSecret {
  const clients = new Map<string, SecretsManagerClient>();
  return async ({ secret, region, stage, endpoint }) => {
    const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
    const name = `${region} ${endpoint ?? ''}`;
    let client = clients.get(name);
    if (!client) {
      client = new SecretsManagerClient({
        region,
        maxAttempts: 2,
        ...(endpoint === undefined
          ? {}
          : { endpoint, credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' } }),
      });
      clients.set(name, client);
    }
    const { SecretString } = await client.send(
      new GetSecretValueCommand({ SecretId: secret, ...(stage === undefined ? {} : { VersionStage: stage }) }),
      { abortSignal: AbortSignal.timeout(timeout) },
    );
    if (SecretString === undefined) throw new Error(`Secret ${secret} has no text.`);
    return SecretString;
  };
}
