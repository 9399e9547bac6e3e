import {
  DeleteKeyCommand,
  DescribeKeyValueStoreCommand,
  GetKeyCommand,
  ListKeysCommand,
  PutKeyCommand,
  UpdateKeysCommand,
  type CloudFrontKeyValueStoreClient,
} from '@aws-sdk/client-cloudfront-keyvaluestore';
import { afterEach, describe, expect, it } from 'vitest';
import { createKvsClient } from '../../revoker/kvs-client.js';
import { createKvsApi, memoryStorage, type KvsApi, type KvsApiOptions } from '../../scripts/local-edge/kvs-api.js';

const arn = 'arn:aws:cloudfront::000000000000:key-value-store/8f2f4f2c-0000-4000-8000-000000000000';
let api: KvsApi | undefined;
let client: CloudFrontKeyValueStoreClient | undefined;

async function start(options: Partial<KvsApiOptions> = {}): Promise<CloudFrontKeyValueStoreClient> {
  api = await createKvsApi({ storage: memoryStorage(), arn, ...options });
  client = createKvsClient({ endpoint: api.endpoint, maxAttempts: 1 });
  return client;
}

async function etagOf(kvs: CloudFrontKeyValueStoreClient): Promise<string> {
  const { ETag } = await kvs.send(new DescribeKeyValueStoreCommand({ KvsARN: arn }));
  return ETag as string;
}

afterEach(async () => {
  client?.destroy();
  await api?.close();
});

describe('the loopback KeyValueStore API, through the real client', () => {
  it('puts, reads, lists and deletes a key and counts the bytes of keys and values', async () => {
    const kvs = await start();
    const put = await kvs.send(
      new PutKeyCommand({ KvsARN: arn, Key: 'k:a/b ü', Value: 'değer', IfMatch: await etagOf(kvs) }),
    );
    expect(put).toMatchObject({ ItemCount: 1, TotalSizeInBytes: 8 + 6 });
    expect(await kvs.send(new GetKeyCommand({ KvsARN: arn, Key: 'k:a/b ü' }))).toMatchObject({ Value: 'değer' });
    const { Items, NextToken } = await kvs.send(new ListKeysCommand({ KvsARN: arn }));
    expect(Items).toEqual([{ Key: 'k:a/b ü', Value: 'değer' }]);
    expect(NextToken).toBeUndefined();
    const deleted = await kvs.send(new DeleteKeyCommand({ KvsARN: arn, Key: 'k:a/b ü', IfMatch: put.ETag as string }));
    expect(deleted).toMatchObject({ ItemCount: 0, TotalSizeInBytes: 0 });
    await expect(kvs.send(new GetKeyCommand({ KvsARN: arn, Key: 'k:a/b ü' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  it('describes a store with its status, dates and ETag', async () => {
    const kvs = await start({ status: () => 'PROVISIONING', now: () => 1_800_000_000_000 });
    expect(await kvs.send(new DescribeKeyValueStoreCommand({ KvsARN: arn }))).toMatchObject({
      KvsARN: arn,
      Status: 'PROVISIONING',
      Created: new Date(1_800_000_000_000),
      ItemCount: 0,
    });
    await expect(kvs.send(new ListKeysCommand({ KvsARN: arn }))).rejects.toMatchObject({ name: 'ConflictException' });
  });

  it('refuses a write with an ETag that another write made stale', async () => {
    const kvs = await start();
    const stale = await etagOf(kvs);
    await kvs.send(new PutKeyCommand({ KvsARN: arn, Key: 'a', Value: '1', IfMatch: stale }));
    const late = kvs.send(new PutKeyCommand({ KvsARN: arn, Key: 'b', Value: '2', IfMatch: stale }));
    await expect(late).rejects.toMatchObject({ name: 'ConflictException', $metadata: { httpStatusCode: 409 } });
  });

  it('lets exactly one of many writers with the same ETag through', async () => {
    const kvs = await start();
    const etag = await etagOf(kvs);
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        kvs.send(new PutKeyCommand({ KvsARN: arn, Key: `w${i}`, Value: 'x', IfMatch: etag })),
      ),
    );
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  });

  it('pages through every key once, 50 at a time, and refuses larger pages', async () => {
    const kvs = await start({ storage: memoryStorage(Array.from({ length: 120 }, (_, i) => [`r${i}`, `v${i}`])) });
    const seen: string[] = [];
    let next: string | undefined;
    do {
      const page = await kvs.send(new ListKeysCommand({ KvsARN: arn, MaxResults: 50, NextToken: next }));
      seen.push(...(page.Items ?? []).map((item) => item.Key as string));
      next = page.NextToken;
    } while (next !== undefined);
    expect(seen).toHaveLength(120);
    expect(new Set(seen).size).toBe(120);
    await expect(kvs.send(new ListKeysCommand({ KvsARN: arn, MaxResults: 51 }))).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });

  it('applies UpdateKeys all or nothing', async () => {
    const kvs = await start({ storage: memoryStorage([['old', '1']]) });
    const bad = kvs.send(
      new UpdateKeysCommand({
        KvsARN: arn,
        IfMatch: await etagOf(kvs),
        Puts: [
          { Key: 'new', Value: '2' },
          { Key: 'large', Value: 'x'.repeat(1025) },
        ],
        Deletes: [{ Key: 'old' }],
      }),
    );
    await expect(bad).rejects.toMatchObject({ name: 'ValidationException' });
    expect(await kvs.send(new DescribeKeyValueStoreCommand({ KvsARN: arn }))).toMatchObject({ ItemCount: 1 });
    const good = await kvs.send(
      new UpdateKeysCommand({
        KvsARN: arn,
        IfMatch: await etagOf(kvs),
        Puts: [{ Key: 'new', Value: '2' }],
        Deletes: [{ Key: 'old' }, { Key: 'never there' }],
      }),
    );
    expect(good).toMatchObject({ ItemCount: 1, TotalSizeInBytes: 4 });
  });

  it.each([
    ['a key over 512 bytes', { Puts: [{ Key: 'ü'.repeat(257), Value: '' }] }],
    ['51 keys', { Deletes: Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}` })) }],
    ['a key both put and deleted', { Puts: [{ Key: 'a', Value: '' }], Deletes: [{ Key: 'a' }] }],
    ['no key at all', {}],
  ])('refuses an update with %s', async (_, update) => {
    const kvs = await start();
    const sent = kvs.send(new UpdateKeysCommand({ KvsARN: arn, IfMatch: await etagOf(kvs), ...update }));
    await expect(sent).rejects.toMatchObject({ name: 'ValidationException', $metadata: { httpStatusCode: 400 } });
  });

  it('refuses to grow past the quota, and still lets a full store shrink', async () => {
    const kvs = await start({ storage: memoryStorage([['a', 'x'.repeat(20)]]), limits: { storeBytes: 21 } });
    const more = kvs.send(new PutKeyCommand({ KvsARN: arn, Key: 'b', Value: '', IfMatch: await etagOf(kvs) }));
    await expect(more).rejects.toMatchObject({
      name: 'ServiceQuotaExceededException',
      $metadata: { httpStatusCode: 402 },
    });
    await kvs.send(new DeleteKeyCommand({ KvsARN: arn, Key: 'a', IfMatch: await etagOf(kvs) }));
  });

  it('answers ResourceNotFoundException for another store', async () => {
    const kvs = await start();
    await expect(kvs.send(new DescribeKeyValueStoreCommand({ KvsARN: `${arn}0` }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  it('answers 403 to a request without a Signature Version 4A', async () => {
    await start();
    const response = await fetch(`${api?.endpoint}/key-value-stores/${encodeURIComponent(arn)}`);
    expect(response.status).toBe(403);
    expect(response.headers.get('x-amzn-errortype')).toBe('AccessDeniedException');
  });

  it('can throttle, fail, and drop a connection before or after the change', async () => {
    const faults = [
      { kind: 'throttle' },
      { kind: 'error', code: 'InternalServerException' },
      { kind: 'drop', when: 'before' },
      { kind: 'drop', when: 'after' },
    ] as const;
    const kvs = await start({
      faults: ({ operation, call }) => (operation === 'PutKey' ? faults[call - 2] : undefined),
    });
    const IfMatch = await etagOf(kvs);
    const put = (): Promise<unknown> => kvs.send(new PutKeyCommand({ KvsARN: arn, Key: 'a', Value: '1', IfMatch }));
    await expect(put()).rejects.toMatchObject({ name: 'ThrottlingException' });
    await expect(put()).rejects.toMatchObject({ name: 'InternalServerException' });
    await expect(put()).rejects.toThrow();
    await expect(kvs.send(new GetKeyCommand({ KvsARN: arn, Key: 'a' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  it('has applied the change when the connection was dropped after it', async () => {
    const kvs = await start({
      faults: ({ operation }) => (operation === 'PutKey' ? { kind: 'drop', when: 'after' } : undefined),
    });
    const put = kvs.send(new PutKeyCommand({ KvsARN: arn, Key: 'a', Value: '1', IfMatch: await etagOf(kvs) }));
    await expect(put).rejects.toThrow();
    expect(await kvs.send(new GetKeyCommand({ KvsARN: arn, Key: 'a' }))).toMatchObject({ Value: '1' });
  });
});
