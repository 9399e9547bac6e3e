import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { SecretVersions } from './rotation.js';

/** The versions of one secret in AWS Secrets Manager. */
export function secretsManagerVersions(client: SecretsManagerClient, secret: string): SecretVersions {
  const sdk = import('@aws-sdk/client-secrets-manager');
  return {
    async list() {
      const { ListSecretVersionIdsCommand } = await sdk;
      const { Versions = [] } = await client.send(
        new ListSecretVersionIdsCommand({ SecretId: secret, IncludeDeprecated: false, MaxResults: 100 }),
      );
      return Versions.map(({ VersionId = '', VersionStages = [] }) => ({ id: VersionId, stages: VersionStages }));
    },
    async read(versionId) {
      const { GetSecretValueCommand } = await sdk;
      const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secret, VersionId: versionId }));
      if (SecretString === undefined) throw new Error(`Secret ${secret} has no text.`);
      return SecretString;
    },
    async put(value, versionId) {
      const { PutSecretValueCommand } = await sdk;
      await client.send(
        new PutSecretValueCommand({ SecretId: secret, SecretString: value, ClientRequestToken: versionId }),
      );
    },
    async label(stage, to, from) {
      const { UpdateSecretVersionStageCommand } = await sdk;
      await client.send(
        new UpdateSecretVersionStageCommand({
          SecretId: secret,
          VersionStage: stage,
          MoveToVersionId: to,
          ...(from === undefined || from === to ? {} : { RemoveFromVersionId: from }),
        }),
      );
    },
  };
}
