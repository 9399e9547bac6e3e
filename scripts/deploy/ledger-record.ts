// The deployment record in the ledger's table: partitions `DEPLOY#<name>` and `DEPLOYCODE`.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { DeploymentManifest, DeploymentRecord } from './record.js';

export function ledgerRecord(client: DynamoDBClient, table: string): DeploymentRecord {
  const documents = DynamoDBDocumentClient.from(client);
  return {
    async list(name) {
      const manifests: DeploymentManifest[] = [];
      let from: Record<string, unknown> | undefined;
      do {
        const page = await documents.send(
          new QueryCommand({
            TableName: table,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': `DEPLOY#${name}` },
            ConsistentRead: true,
            ...(from === undefined ? {} : { ExclusiveStartKey: from }),
          }),
        );
        for (const item of page.Items ?? []) manifests.push(JSON.parse(String(item['manifest'])) as DeploymentManifest);
        from = page.LastEvaluatedKey;
      } while (from !== undefined);
      return manifests;
    },
    async put(manifest) {
      await documents.send(
        new PutCommand({
          TableName: table,
          Item: { pk: `DEPLOY#${manifest.name}`, sk: manifest.id, manifest: JSON.stringify(manifest) },
        }),
      );
    },
    async putCode(hash, code) {
      await documents.send(new PutCommand({ TableName: table, Item: { pk: 'DEPLOYCODE', sk: hash, code } }));
    },
    async getCode(hash) {
      const { Item } = await documents.send(
        new GetCommand({ TableName: table, Key: { pk: 'DEPLOYCODE', sk: hash }, ConsistentRead: true }),
      );
      return Item?.['code'] as Uint8Array | undefined;
    },
  };
}
