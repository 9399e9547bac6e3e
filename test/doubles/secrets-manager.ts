import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

interface StoredSecret {
  value: string;
  deleted: boolean;
  versions: number;
}

export interface LoopbackSecretsManager {
  readonly endpoint: string;
  readonly client: SecretsManagerClient;
  readonly secrets: ReadonlyMap<string, StoredSecret>;
  close(): Promise<void>;
}

/** AWS Secrets Manager on loopback: create, put, get, delete with recovery, restore; errors as documented. */
export async function startSecretsManager(): Promise<LoopbackSecretsManager> {
  const secrets = new Map<string, StoredSecret>();

  function perform(operation: string, input: Record<string, string>): Record<string, unknown> {
    const name = input['Name'] ?? input['SecretId'] ?? '';
    const secret = secrets.get(name);
    const VersionId = input['ClientRequestToken'] ?? '00000000-0000-0000-0000-000000000000';
    const ARN = `arn:aws:secretsmanager:us-east-1:000000000000:secret:${name}-AbCdEf`;
    if (operation === 'CreateSecret') {
      if (!/^[\w/+=.@-]{1,512}$/.test(name)) throw new SecretsError('ValidationException', 'Invalid name');
      if (secret?.deleted) throw new SecretsError('InvalidRequestException', 'scheduled for deletion');
      if (secret) throw new SecretsError('ResourceExistsException', 'exists already');
      secrets.set(name, { value: input['SecretString'] ?? '', deleted: false, versions: 1 });
      return { ARN, Name: name, VersionId };
    }
    if (!secret)
      throw new SecretsError('ResourceNotFoundException', 'Secrets Manager cannot find the specified secret.');
    if (operation === 'RestoreSecret') {
      secret.deleted = false;
      return { ARN, Name: name };
    }
    if (secret.deleted) throw new SecretsError('InvalidRequestException', 'The secret was marked for deletion.');
    if (operation === 'GetSecretValue') return { ARN, Name: name, VersionId, SecretString: secret.value };
    if (operation === 'PutSecretValue') {
      secret.value = input['SecretString'] ?? '';
      secret.versions += 1;
      return { ARN, Name: name, VersionId, VersionStages: ['AWSCURRENT'] };
    }
    if (operation === 'DeleteSecret') {
      secret.deleted = true;
      return { ARN, Name: name, DeletionDate: Date.now() / 1000 + 7 * 86_400 };
    }
    throw new SecretsError('UnknownOperationException', operation);
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).replace('secretsmanager.', '');
      const answer = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
      };
      try {
        answer(200, perform(operation, JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, string>));
      } catch (error) {
        const { code, message } = error as SecretsError;
        answer(400, { __type: code, Message: message });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'loopback', secretAccessKey: 'loopback' };
  const client = new SecretsManagerClient({ endpoint, region: 'us-east-1', credentials });
  return {
    endpoint,
    client,
    secrets,
    close() {
      client.destroy();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

class SecretsError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
