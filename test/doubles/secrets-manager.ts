import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

interface StoredVersion {
  readonly id: string;
  readonly value: string;
  readonly stages: Set<string>;
}

interface StoredSecret {
  value: string;
  deleted: boolean;
  versions: number;
  /** Every version; those without a stage are deprecated. */
  readonly history: StoredVersion[];
}

export interface LoopbackSecretsManager {
  readonly endpoint: string;
  readonly client: SecretsManagerClient;
  readonly secrets: ReadonlyMap<string, StoredSecret>;
  close(): Promise<void>;
}

/** Adds a version that becomes current; what was current becomes the one before it. */
function addVersion(history: StoredVersion[], id: string, value: string): void {
  const holder = (stage: string): StoredVersion | undefined => history.find(({ stages }) => stages.has(stage));
  const current = holder('AWSCURRENT');
  if (current) {
    holder('AWSPREVIOUS')?.stages.delete('AWSPREVIOUS');
    current.stages.delete('AWSCURRENT');
    current.stages.add('AWSPREVIOUS');
  }
  history.push({ id, value, stages: new Set(['AWSCURRENT']) });
}

/**
 * AWS Secrets Manager on loopback: create, put, get, versions with their staging labels, delete with recovery, restore;
 * errors as documented.
 */
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
      const history: StoredVersion[] = [];
      addVersion(history, VersionId, input['SecretString'] ?? '');
      secrets.set(name, { value: input['SecretString'] ?? '', deleted: false, versions: 1, history });
      return { ARN, Name: name, VersionId };
    }
    if (!secret)
      throw new SecretsError('ResourceNotFoundException', 'Secrets Manager cannot find the specified secret.');
    if (operation === 'RestoreSecret') {
      secret.deleted = false;
      return { ARN, Name: name };
    }
    if (secret.deleted) throw new SecretsError('InvalidRequestException', 'The secret was marked for deletion.');
    if (operation === 'GetSecretValue') {
      const { VersionId: id, VersionStage: stage = 'AWSCURRENT' } = input;
      const found = secret.history.find((version) => (id ? version.id === id : version.stages.has(stage)));
      if (!found)
        throw new SecretsError('ResourceNotFoundException', `Secrets Manager cannot find the specified ${stage}.`);
      return { ARN, Name: name, VersionId: found.id, SecretString: found.value, VersionStages: [...found.stages] };
    }
    if (operation === 'ListSecretVersionIds')
      return {
        ARN,
        Name: name,
        Versions: secret.history
          .filter(({ stages }) => stages.size > 0)
          .map(({ id, stages }) => ({ VersionId: id, VersionStages: [...stages] })),
      };
    if (operation === 'UpdateSecretVersionStage') {
      const { VersionStage: stage = '', MoveToVersionId: to, RemoveFromVersionId: from } = input;
      const holder = secret.history.find(({ stages }) => stages.has(stage));
      if (holder && holder.id !== from && holder.id !== to)
        throw new SecretsError('InvalidParameterException', `The staging label ${stage} is on ${holder.id}.`);
      const target = secret.history.find(({ id }) => id === to);
      if (!target) throw new SecretsError('ResourceNotFoundException', 'There is no such version.');
      holder?.stages.delete(stage);
      target.stages.add(stage);
      return { ARN, Name: name };
    }
    if (operation === 'PutSecretValue') {
      secret.value = input['SecretString'] ?? '';
      secret.versions += 1;
      addVersion(secret.history, VersionId, secret.value);
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
