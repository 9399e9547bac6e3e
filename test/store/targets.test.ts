import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IvsClient } from '@aws-sdk/client-ivs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLedger } from '../../revoker/ledger/memory.js';
import { createRefusalCheck } from '../../revoker/ledger/refusal.js';
import { ivsTarget, networkTarget, webhookTarget, type Target } from '../../revoker/targets.js';
import { createRevoker, reconcile } from '../../revoker/writer.js';

interface Received {
  readonly path: string;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

let server: Server;
let url = '';
let status = 200;
let received: Received[] = [];
const seconds = 1_800_000_000;
const now = (): number => seconds * 1000;
const act = { by: 'ann' };

beforeEach(async () => {
  received = [];
  status = 200;
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('the webhook target', () => {
  const webhook = (): Target => webhookTarget({ name: 'other-cdn', url: `${url}/hook`, secret: 's3cret', now });

  it('delivers each entry once, signed, without reasons or evidence', async () => {
    const ledger = createMemoryLedger();
    const revoker = createRevoker({ ledger, targets: [webhook()], now });
    const request = { scope: 'subject', id: 'alice', cutoff: seconds, reason: 'private', evidence: 'secret' } as const;
    await revoker.revoke([request, { scope: 'network', id: '203.0.113.9', reason: 'private' }], act);
    expect(received).toHaveLength(1);
    const { body, headers } = received[0] as Received;
    const signature = String(headers['x-portcullis-signature']);
    const expected = createHmac('sha256', 's3cret').update(`${seconds}.${body}`).digest('hex');
    expect(signature).toBe(`t=${seconds},v1=${expected}`);
    expect(JSON.parse(body)).toEqual({
      entries: [
        { id: 'subject:alice:1', action: 'revoke', scope: 'subject', entry: 'alice', at: seconds, cutoff: seconds },
        { id: 'network:203.0.113.9/32:1', action: 'revoke', scope: 'network', entry: '203.0.113.9/32', at: seconds },
      ],
    });
    await revoker.lift([{ scope: 'subject', id: 'alice' }], { ...act, reason: 'x' });
    expect(JSON.parse(received[1]?.body ?? '')).toMatchObject({ entries: [{ action: 'lift', entry: 'alice' }] });
  });

  it('is tried again by the reconciler until it answers 2xx', async () => {
    const ledger = createMemoryLedger();
    const target = webhook();
    const revoker = createRevoker({ ledger, targets: [target], now });
    status = 500;
    const [outcome] = await revoker.revoke([{ scope: 'session', id: 's', reason: 'x' }], act);
    expect(outcome?.targets['other-cdn']).toMatch(/answered 500/);
    expect((await reconcile({ ledger, targets: [target], now })).failed).toEqual({
      'other-cdn': 'Webhook other-cdn answered 500.',
    });
    expect((await ledger.jobs())[0]?.pending).toEqual({ 'other-cdn': 'Webhook other-cdn answered 500.' });
    status = 204;
    expect(await reconcile({ ledger, targets: [target], now })).toMatchObject({ finished: 1, failed: {} });
    expect(JSON.parse(received.at(-1)?.body ?? '')).toMatchObject({ entries: [{ id: 'session:s:1' }] });
    expect(await ledger.jobs()).toEqual([]);
  });

  it('follows no redirect, which could carry the revocation elsewhere', async () => {
    const ledger = createMemoryLedger();
    const redirecting = webhookTarget({ name: 'w', url: `${url}/hook`, secret: 's', now });
    status = 307;
    const [outcome] = await createRevoker({ ledger, targets: [redirecting], now }).revoke(
      [{ scope: 'session', id: 's', reason: 'x' }],
      act,
    );
    expect(outcome?.targets['w']).not.toBe('done');
  });
});

describe('the IVS target', () => {
  it("ends the sessions of a subject's tokens up to the cut-off, through the real client", async () => {
    const credentials = { accessKeyId: 'loopback', secretAccessKey: 'loopback' };
    const client = new IvsClient({ endpoint: url, region: 'us-east-1', credentials });
    const channelArn = 'arn:aws:ivs:us-east-1:000000000000:channel/AbCdEf';
    const target = ivsTarget({ client, channelArn, now });
    const revoker = createRevoker({ ledger: createMemoryLedger(), targets: [target], now });
    await revoker.revoke(
      [
        { scope: 'subject', id: 'alice', cutoff: seconds - 5, reason: 'x' },
        { scope: 'session', id: 'other', reason: 'x' },
      ],
      act,
    );
    expect(received.map(({ path }) => path)).toEqual(['/StartViewerSessionRevocation']);
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      channelArn,
      viewerId: 'alice',
      viewerSessionVersionsLessThanOrEqualTo: seconds - 5,
    });
    client.destroy();
  });
});

describe('the network target', () => {
  it('blocks and unblocks networks and autonomous systems', async () => {
    const calls: unknown[] = [];
    const note = (name: string) => (list: readonly unknown[]) => {
      calls.push([name, ...list]);
      return Promise.resolve();
    };
    const target = networkTarget({
      block: note('block'),
      unblock: note('unblock'),
      blockAsn: note('blockAsn'),
      unblockAsn: note('unblockAsn'),
    });
    const revoker = createRevoker({ ledger: createMemoryLedger(), targets: [target], now });
    await revoker.revoke(
      [
        { scope: 'network', id: '2001:DB8::1/48', reason: 'farm', until: seconds + 60 },
        { scope: 'asn', id: 'AS64500', reason: 'farm' },
      ],
      act,
    );
    await revoker.lift(
      [
        { scope: 'network', id: '2001:db8::/48' },
        { scope: 'asn', id: '64500' },
      ],
      { ...act, reason: 'x' },
    );
    expect(calls).toEqual([
      ['block', { cidr: '2001:db8::/48', reason: 'farm', until: seconds + 60 }],
      ['blockAsn', 64500],
      ['unblock', '2001:db8::/48'],
      ['unblockAsn', 64500],
    ]);
  });
});

describe('the check before minting', () => {
  it('refuses banned subjects, sessions, networks, systems and devices, and nobody else', async () => {
    const ledger = createMemoryLedger();
    const revoker = createRevoker({ ledger, targets: [], now });
    await revoker.revoke(
      [
        { scope: 'subject', id: 'banned', reason: 'x' },
        { scope: 'subject', id: 'cut', reason: 'x', cutoff: seconds },
        { scope: 'subject-content', id: 'alice\nmatch-7', reason: 'x' },
        { scope: 'session', id: 's', reason: 'x' },
        { scope: 'network', id: '203.0.113.0/24', reason: 'x' },
        { scope: 'network', id: '2001:db8:7::/48', reason: 'x' },
        { scope: 'asn', id: '64500', reason: 'x' },
        { scope: 'device', id: 'd', reason: 'x' },
      ],
      act,
    );
    const { isRefused } = createRefusalCheck(ledger, { now });
    const refused = async (request: Parameters<typeof isRefused>[0]): Promise<boolean> =>
      (await isRefused(request)).refused;
    expect(await isRefused({ subject: 'banned' })).toEqual({
      refused: true,
      reason: 'revoked',
      scope: 'subject',
      id: 'banned',
    });
    expect(await refused({ subject: 'cut', issuedAt: seconds })).toBe(true);
    expect(await refused({ subject: 'cut', issuedAt: seconds + 1 })).toBe(false);
    expect(await refused({ subject: 'alice', content: 'match-7' })).toBe(true);
    expect(await refused({ subject: 'alice', content: 'match-8' })).toBe(false);
    expect(await refused({ session: 's' })).toBe(true);
    expect(await refused({ network: '203.0.113.200' })).toBe(true);
    expect(await refused({ network: '::ffff:203.0.113.200' })).toBe(true);
    expect(await refused({ network: '203.0.114.1' })).toBe(false);
    expect(await refused({ network: '2001:db8:7:1::9' })).toBe(true);
    expect(await refused({ network: '2001:db8:8::9' })).toBe(false);
    expect(await refused({ asn: 64500 })).toBe(true);
    expect(await refused({ device: 'd', subject: 'alice' })).toBe(true);
    await expect(isRefused({})).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(isRefused({ network: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
