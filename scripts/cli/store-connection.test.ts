import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Cli } from './output.js';
import { openSession } from './store-connection.js';

const arn = (digit: string): string =>
  `arn:aws:cloudfront::000000000000:key-value-store/${digit.repeat(8)}-2222-4333-8444-555555555555`;
const folder = await mkdtemp(join(tmpdir(), 'portcullis-session-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

it('knows which configured stores it does not reach', async () => {
  const configPath = join(folder, 'portcullis.config.ts');
  const stores = [{ name: 'one', arn: arn('1') }, { name: 'two', arn: arn('2') }, { arn: arn('3') }];
  await writeFile(configPath, `export default ${JSON.stringify({ revoker: { stores } })};`);
  const cli = { configPath } as Cli;
  const whole = await openSession(cli, {});
  expect(whole.elsewhere).toEqual([]);
  whole.close();
  const part = await openSession(cli, { kvsArn: [arn('1')] });
  expect(part.elsewhere).toEqual(['two', arn('3').split('/')[1]]);
  part.close();
});
