import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { AddressRecord, AddressRecordStore } from '../../waf-rules/address-records.js';
import { inParallel } from '../parallel.js';

/** Writes at the same time; a blocked list has tens of addresses, not thousands. */
const parallelWrites = 8;

/**
 * Blocked addresses and their ends in the ledger's table, partition `WAF#<prefix>`: what the IP sets are made from.
 * Each promise of {@link AddressRecordStore} is one conditional write.
 */
export function dynamoAddressRecords(options: {
  readonly client: DynamoDBClient;
  readonly table: string;
  /** The rule set's name, as the blocker's. */
  readonly prefix: string;
}): AddressRecordStore {
  const documents = DynamoDBDocumentClient.from(options.client);
  const TableName = options.table;
  const pk = `WAF#${options.prefix}`;
  const ExpressionAttributeNames = { '#until': 'until' };

  /** Does it unless the condition forbids. */
  async function conditionally(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
    }
  }

  return {
    async put(records) {
      await inParallel(records, parallelWrites, ({ key, ...record }) =>
        conditionally(() =>
          documents.send(
            new PutCommand({
              TableName,
              Item: { pk, sk: key, ...record },
              ExpressionAttributeNames,
              // No end is later than any end; of two ends the later stays.
              ...(record.until === undefined
                ? { ConditionExpression: 'attribute_not_exists(pk) OR attribute_exists(#until)' }
                : {
                    ConditionExpression: 'attribute_not_exists(pk) OR (attribute_exists(#until) AND #until <= :until)',
                    ExpressionAttributeValues: { ':until': record.until },
                  }),
            }),
          ),
        ),
      );
    },
    async end(keys, at) {
      await inParallel(keys, parallelWrites, (key) =>
        conditionally(() =>
          documents.send(
            new UpdateCommand({
              TableName,
              Key: { pk, sk: key },
              UpdateExpression: 'SET #until = :at',
              ConditionExpression: 'attribute_exists(pk)',
              ExpressionAttributeNames,
              ExpressionAttributeValues: { ':at': at },
            }),
          ),
        ),
      );
    },
    async forgetDue(keys, now) {
      await inParallel(keys, parallelWrites, (key) =>
        conditionally(() =>
          documents.send(
            new DeleteCommand({
              TableName,
              Key: { pk, sk: key },
              ConditionExpression: 'attribute_exists(#until) AND #until <= :now',
              ExpressionAttributeNames,
              ExpressionAttributeValues: { ':now': now },
            }),
          ),
        ),
      );
    },
    async all() {
      const records: AddressRecord[] = [];
      let start: Record<string, unknown> | undefined;
      do {
        const page = await documents.send(
          new QueryCommand({
            TableName,
            ConsistentRead: true,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': pk },
            ExclusiveStartKey: start,
          }),
        );
        for (const { pk: _pk, sk, ...record } of page.Items ?? []) {
          records.push({ ...(record as Omit<AddressRecord, 'key'>), key: String(sk) });
        }
        start = page.LastEvaluatedKey;
      } while (start);
      return records;
    },
  };
}
