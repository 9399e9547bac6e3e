import {
  DescribeKeyValueStoreCommand,
  GetKeyCommand,
  ListKeysCommand,
  UpdateKeysCommand,
  type CloudFrontKeyValueStoreClient,
} from '@aws-sdk/client-cloudfront-keyvaluestore';
import { RevokerError } from '../errors.js';

/** Quota of a store, in bytes of keys and values (CloudFront developer guide, "Quotas on key value stores"). */
export const storeBytes = 5_000_000;

/** Keys that one `UpdateKeys` may name. */
export const batchKeys = 50;

export interface StoreDescription {
  /** The version of the whole store: every write needs the current one. */
  readonly etag: string;
  readonly items: number;
  readonly bytes: number;
  /** `READY`, `PROVISIONING`, … */
  readonly status: string;
}

export interface StoreBatch {
  readonly puts: ReadonlyMap<string, string>;
  readonly deletes: readonly string[];
}

/** Somebody else changed the store: describe it again, read again, try again. */
export class StaleStore extends Error {
  /** True where the answer could also mean that the batch itself is wrong. */
  readonly doubtful: boolean;
  constructor(cause: unknown, doubtful: boolean) {
    super('The store changed since its ETag was read.', { cause });
    this.name = 'StaleStore';
    this.doubtful = doubtful;
  }
}

/** One CloudFront KeyValueStore. */
export interface KeyValueStore {
  readonly name: string;
  readonly arn: string;
  describe(): Promise<StoreDescription>;
  get(key: string): Promise<string | undefined>;
  /** Every pair of the store. */
  list(): AsyncIterable<readonly [key: string, value: string]>;
  /** Applies a batch of at most 50 keys, all or nothing. Throws {@link StaleStore} where the ETag is not current. */
  update(batch: StoreBatch, etag: string): Promise<StoreDescription>;
  /** API calls made so far. */
  readonly calls: () => number;
}

/**
 * A store behind the AWS SDK's client. The client itself retries throttling, lost connections and 5xx answers; what it
 * gives up on comes out as a {@link RevokerError}.
 */
export function createKeyValueStore(options: {
  readonly client: CloudFrontKeyValueStoreClient;
  readonly arn: string;
  /** What operators call it. Default: the end of the ARN. */
  readonly name?: string;
}): KeyValueStore {
  const { client, arn } = options;
  const name = options.name ?? arn.slice(arn.lastIndexOf('/') + 1);
  let calls = 0;

  async function call<Answer>(send: () => Promise<Answer>): Promise<Answer> {
    calls += 1;
    try {
      return await send();
    } catch (error) {
      throw storeError(error, name);
    }
  }

  return {
    name,
    arn,
    calls: () => calls,
    async describe() {
      const answer = await call(() => client.send(new DescribeKeyValueStoreCommand({ KvsARN: arn })));
      return {
        etag: answer.ETag ?? '',
        items: answer.ItemCount ?? 0,
        bytes: answer.TotalSizeInBytes ?? 0,
        status: answer.Status ?? 'READY',
      };
    },
    async get(key) {
      try {
        return (await call(() => client.send(new GetKeyCommand({ KvsARN: arn, Key: key })))).Value;
      } catch (error) {
        if (error instanceof RevokerError && error.code === 'store_not_found') {
          // The same error name tells a missing key from a missing store only in words: ask for the store.
          await this.describe();
          return undefined;
        }
        throw error;
      }
    },
    async *list() {
      let next: string | undefined;
      do {
        const page = await call(() =>
          client.send(new ListKeysCommand({ KvsARN: arn, MaxResults: 50, NextToken: next })),
        );
        for (const item of page.Items ?? []) yield [item.Key ?? '', item.Value ?? ''] as const;
        next = page.NextToken;
      } while (next !== undefined);
    },
    async update(batch, etag) {
      const answer = await call(() =>
        client.send(
          new UpdateKeysCommand({
            KvsARN: arn,
            IfMatch: etag,
            Puts: [...batch.puts].map(([Key, Value]) => ({ Key, Value })),
            Deletes: batch.deletes.map((Key) => ({ Key })),
          }),
        ),
      );
      return {
        etag: answer.ETag ?? '',
        items: answer.ItemCount ?? 0,
        bytes: answer.TotalSizeInBytes ?? 0,
        status: 'READY',
      };
    },
  };
}

function storeError(error: unknown, store: string): Error {
  const { name, message } = error as Error;
  switch (name) {
    // CloudFront is seen to answer a stale ETag with either.
    case 'ConflictException':
    case 'ValidationException':
      return new StaleStore(error, name === 'ValidationException');
    case 'ServiceQuotaExceededException':
      return new RevokerError('store_full', `Store ${store} is full: ${message}`, {
        cause: error,
        hint: 'Let expired revocations go (portcullis revocations gc), or replace many token revocations by one subject or content revocation.',
      });
    case 'AccessDeniedException':
      return new RevokerError('store_access_denied', `Store ${store} refuses these credentials: ${message}`, {
        cause: error,
        hint: 'The caller needs cloudfront-keyvaluestore:* on the store, and credentials from a regional STS endpoint.',
      });
    case 'ResourceNotFoundException':
      return new RevokerError('store_not_found', `Store ${store}: ${message}`, { cause: error });
    case 'InternalServerException':
      return new RevokerError('store_unavailable', `Store ${store}: ${message}`, { cause: error });
    default:
      return new RevokerError('store_unavailable', `Store ${store} does not answer: ${name}: ${message}`, {
        cause: error,
      });
  }
}
