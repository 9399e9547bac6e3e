import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CreateIPSetCommand, GetIPSetCommand, UpdateIPSetCommand, type WAFV2Client } from '@aws-sdk/client-wafv2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../scripts/cli/program.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { createWafApi } from '../../scripts/local-edge/wafv2-api.js';
import { createWafClient } from '../../waf-rules/index.js';
import { rawRequest, type RawAnswer } from './raw-http.js';

const functionsFolder = fileURLToPath(new URL('./functions/plain', import.meta.url));
let edge: LocalEdge;
let client: WAFV2Client;
let folder: string;
const before = process.env['PORTCULLIS_LOCAL'];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-firewall-'));
  edge = await startLocalEdge({ functionsFolder });
  client = createWafClient({ endpoint: edge.addresses.waf.endpoint });
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
  await writeFile(join(folder, 'local.json'), JSON.stringify(edge.addresses));
  await writeFile(
    join(folder, 'portcullis.config.json'),
    JSON.stringify({ waf: { rollout: { file: join(folder, 'rollout.json') } } }),
  );
});
afterAll(async () => {
  client?.destroy();
  await edge?.close();
  if (before === undefined) delete process.env['PORTCULLIS_LOCAL'];
  else process.env['PORTCULLIS_LOCAL'] = before;
  await rm(folder, { recursive: true, force: true });
});

/** A command line against this edge; its JSON result. */
async function command(...args: string[]): Promise<Record<string, unknown>> {
  let output = '';
  let notes = '';
  const sink = (add: (text: string) => void): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        add(chunk.toString('utf8'));
        done();
      },
    });
  const code = await runProgram(['--json', '--config', join(folder, 'portcullis.config.json'), ...args, '--local'], {
    version: '0',
    streams: {
      stdin: process.stdin,
      stdout: sink((text) => (output += text)),
      stderr: sink((text) => (notes += text)),
    },
  });
  expect([code, notes]).toEqual([0, '']);
  return JSON.parse(output) as Record<string, unknown>;
}

const from = (viewer: string, target = '/live/ch1/1.m4s', method = 'GET'): Promise<RawAnswer> =>
  rawRequest(edge.addresses.edge, target, { method, headers: [['x-sim-viewer', viewer]] });

test('an address that is revoked from the command line is blocked at the edge, whatever the function says, and back when it is lifted', async () => {
  expect((await from('ip=203.0.113.77')).status).not.toBe(403);
  await command('revoke', 'ip', '203.0.113.64/26', '--reason', 'restream farm', '--for', '1h', '--yes');
  const { IPSet } = await client.send(
    new GetIPSetCommand({
      Scope: 'CLOUDFRONT',
      Name: 'portcullis-blocked-v4-1',
      Id: String((await setNamed('portcullis-blocked-v4-1'))['Id']),
    }),
  );
  expect(IPSet?.Addresses).toEqual(['203.0.113.64/26']);
  const refused = await from('ip=203.0.113.77');
  expect(refused.status).toBe(403);
  expect(refused.headers['x-portcullis-reason']?.[0]).toBe('address_blocked');
  expect(refused.headers['access-control-allow-origin']?.[0]).toBe('*');
  expect(JSON.parse(refused.body)).toMatchObject({
    error: 'address_blocked',
    id: refused.headers['x-amz-cf-id']?.[0],
  });
  expect(refused.headers['x-cache']?.[0]).toBe('Error from cloudfront');
  expect((await from('ip=203.0.113.77', '/live/ch1/1.m4s', 'HEAD')).body).toBe('');
  // No function ran for it, and no origin was asked.
  const functionLog = await readFile(edge.addresses.functionLog, 'utf8');
  expect(functionLog).not.toContain(String(refused.headers['x-amz-cf-id']?.[0]));
  expect((await from('ip=203.0.113.9')).status).not.toBe(403);
  // The page stands for another site.
  expect((await from('ip=203.0.113.77', '/demo/')).status).toBe(200);
  await command('unrevoke', 'ip', '203.0.113.64/26', '--reason', 'mistake', '--yes');
  expect((await from('ip=203.0.113.77')).status).not.toBe(403);
  const log = (await readFile(edge.addresses.accessLog, 'utf8')).trim().split('\n');
  const record = log
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find((line) => line['x-edge-request-id'] === refused.headers['x-amz-cf-id']?.[0]);
  expect(record).toMatchObject({ 'sc-status': 403, 'sim-reason': 'address_blocked', 'x-edge-result-type': 'Error' });
});

test('an autonomous system and an IPv6 network are blocked likewise', async () => {
  await command('revoke', 'asn', 'AS64501', '--reason', 'test', '--yes');
  await command('revoke', 'ip', '2001:db8:7::/48', '--reason', 'test', '--yes');
  expect((await from('asn=64501')).status).toBe(403);
  expect((await from('asn=64502')).status).not.toBe(403);
  expect((await from('ip=2001:db8:7:1::9')).status).toBe(403);
  expect((await from('ip=2001:db8:8:1::9')).status).not.toBe(403);
  expect((await from('ip=nonsense')).status).not.toBe(403);
  await command('unrevoke', 'asn', 'AS64501', '--reason', 'test', '--yes');
  await command('unrevoke', 'ip', '2001:db8:7::/48', '--reason', 'test', '--yes');
});

async function setNamed(name: string): Promise<Record<string, unknown>> {
  const { ListIPSetsCommand } = await import('@aws-sdk/client-wafv2');
  const { IPSets } = await client.send(new ListIPSetsCommand({ Scope: 'CLOUDFRONT' }));
  return (IPSets ?? []).find(({ Name }) => Name === name) as unknown as Record<string, unknown>;
}

test('a set counts while the blocked group refers to it, and as soon as it is written', async () => {
  await client.send(
    new CreateIPSetCommand({
      Scope: 'CLOUDFRONT',
      Name: 'somebody-elses',
      IPAddressVersion: 'IPV4',
      Addresses: ['198.51.100.0/24'],
    }),
  );
  expect((await from('ip=198.51.100.7')).status).not.toBe(403);
  const own = await setNamed('portcullis-blocked-v4-1');
  await client.send(
    new UpdateIPSetCommand({
      Scope: 'CLOUDFRONT',
      Name: 'portcullis-blocked-v4-1',
      Id: String(own['Id']),
      LockToken: String(own['LockToken']),
      Addresses: ['198.51.100.7/32'],
    }),
  );
  expect((await from('ip=198.51.100.7')).status).toBe(403);
  expect((await from('ip=198.51.100.8')).status).not.toBe(403);
});

test('the rule set is applied to it with --local', async () => {
  await command('waf', 'apply', '--yes');
  expect(await command('waf', 'plan')).toMatchObject({ changes: [] });
});

test('sets outlive a restart where they are kept in a file', async () => {
  const file = join(folder, 'waf.json');
  const first = await createWafApi({ file });
  const one = createWafClient({ endpoint: first.endpoint });
  const set = { Scope: 'CLOUDFRONT', Name: 'kept', IPAddressVersion: 'IPV4', Addresses: ['192.0.2.1/32'] } as const;
  await one.send(new CreateIPSetCommand({ ...set, Addresses: [...set.Addresses] }));
  one.destroy();
  await first.close();
  expect(existsSync(file)).toBe(true);
  const second = await createWafApi({ file });
  expect(second.find('ipset', 'kept')).toMatchObject({ Addresses: ['192.0.2.1/32'] });
  await second.close();
});
