import { DescribeKeyValueStoreCommand, UpdateKeysCommand } from '@aws-sdk/client-cloudfront-keyvaluestore';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createKvsClient } from '../../revoker/kvs-client.js';

/** The key that the demo's vending service signs with; it lives in the state folder alone. */
export interface DemoKey {
  readonly kid: string;
  readonly secret: Uint8Array;
}

/** Reads the key of an earlier start, or makes one. Without a file it is a new one each time. */
export async function loadDemoKey(file: string | undefined): Promise<DemoKey> {
  if (file !== undefined) {
    try {
      const { kid, k } = JSON.parse(await readFile(file, 'utf8')) as { kid: string; k: string };
      return { kid, secret: Buffer.from(k, 'base64url') };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  const key: DemoKey = { kid: 'demo', secret: randomBytes(32) };
  if (file !== undefined) {
    await mkdir(dirname(file), { recursive: true });
    const text = JSON.stringify({ kid: key.kid, alg: 'HS256', k: Buffer.from(key.secret).toString('base64url') });
    await writeFile(file, `${text}\n`, { mode: 0o600 });
  }
  return key;
}

/** Puts the key's record where the function looks for it. */
export async function publishDemoKey(endpoint: string, arn: string, key: DemoKey): Promise<void> {
  const client = createKvsClient({ endpoint });
  try {
    const { ETag } = await client.send(new DescribeKeyValueStoreCommand({ KvsARN: arn }));
    const record = JSON.stringify({ alg: 'HS256', k: Buffer.from(key.secret).toString('base64url') });
    await client.send(
      new UpdateKeysCommand({ KvsARN: arn, IfMatch: ETag, Puts: [{ Key: `k:${key.kid}`, Value: record }] }),
    );
  } finally {
    client.destroy();
  }
}
