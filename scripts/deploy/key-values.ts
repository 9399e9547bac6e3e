// The few reads and writes of the KeyValueStore that a deployment makes. Values may be keys: none leaves from here.
import {
  DescribeKeyValueStoreCommand,
  GetKeyCommand,
  ListKeysCommand,
  UpdateKeysCommand,
  type CloudFrontKeyValueStoreClient,
} from '@aws-sdk/client-cloudfront-keyvaluestore';
import type { ModeRecord } from './state.js';

export interface KeyValues {
  get(key: string): Promise<string | undefined>;
  /** The pairs, page by page. */
  pages(): AsyncIterable<readonly (readonly [key: string, value: string])[]>;
  /** Reads and writes until no other writer came between. `change` may be called more than once. */
  update(
    change: () => Promise<{
      readonly puts: readonly (readonly [string, string])[];
      readonly deletes: readonly string[];
    }>,
  ): Promise<void>;
}

const attempts = 12;

/** The data plane of one store. */
export function keyValues(
  client: CloudFrontKeyValueStoreClient,
  arn: string,
  wait: (milliseconds: number) => Promise<void>,
): KeyValues {
  return {
    async get(key) {
      try {
        return (await client.send(new GetKeyCommand({ KvsARN: arn, Key: key }))).Value;
      } catch (error) {
        if ((error as Error).name === 'ResourceNotFoundException') return undefined;
        throw error;
      }
    },
    async *pages() {
      let next: string | undefined;
      do {
        const page = await client.send(new ListKeysCommand({ KvsARN: arn, MaxResults: 50, NextToken: next }));
        yield (page.Items ?? []).map((item) => [item.Key ?? '', item.Value ?? ''] as const);
        next = page.NextToken;
      } while (next !== undefined);
    },
    async update(change) {
      for (let attempt = 1; ; attempt += 1) {
        const { ETag } = await client.send(new DescribeKeyValueStoreCommand({ KvsARN: arn }));
        const { puts, deletes } = await change();
        if (puts.length === 0 && deletes.length === 0) return;
        try {
          await client.send(
            new UpdateKeysCommand({
              KvsARN: arn,
              IfMatch: ETag,
              Puts: puts.map(([Key, Value]) => ({ Key, Value })),
              Deletes: deletes.map((Key) => ({ Key })),
            }),
          );
          return;
        } catch (error) {
          const conflict = ['ConflictException', 'ValidationException'].includes((error as Error).name);
          if (!conflict || attempt >= attempts) throw error;
          await wait(50 * attempt + Math.floor(Math.random() * 100 * attempt));
        }
      }
    },
  };
}

/** What a record says about the mode, and nothing else of it. */
export function modeOf(key: string, value: string): ModeRecord | undefined {
  try {
    const record = JSON.parse(value) as { mode?: unknown; until?: unknown };
    if (typeof record.mode !== 'string') return undefined;
    return { key, mode: record.mode, until: typeof record.until === 'number' ? record.until : undefined };
  } catch {
    return undefined;
  }
}
