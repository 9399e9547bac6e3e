import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { functionHosts, viewerRequestEvent, type HostCase, type HostResult } from '../../scripts/engine/index.js';

const fixture = fileURLToPath(new URL('./fixture/viewer-request.js', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'portcullis-host-test-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const hosts = await functionHosts();

describe.each(hosts)('a compiled function in $name', (host) => {
  async function one(uri: string, more: Partial<HostCase> = {}): Promise<HostResult> {
    const [result] = await host.run(fixture, [{ event: viewerRequestEvent({ uri }), ...more }]);
    return result!;
  }
  const seen = (result: HostResult): unknown => JSON.parse(String(result.result?.body));

  it.skipIf(host.missing)('gets the clock and the dice of its case', async () => {
    const result = await one('/', { now: 1_234_567, random: [0.25, 0.75] });
    expect(seen(result)).toEqual({ now: 1_234_567, random: [0.25, 0.75], store: [] });
    expect(result.result?.statusCode).toBe(299);
  });

  it.skipIf(host.missing)('reads the store in every format, and the reads are listed', async () => {
    const store = { entries: { text: 'grün', json: '{"a":[1]}', __proto__x: 'own' } };
    const result = await one('/?text=&json=json&text2=&text=exists&none=exists&__proto__x=&text=bytes', { store });
    expect(seen(result)).toMatchObject({
      store: ['grün', { a: [1] }, 'rejected: KeyNotFound', false, 'own'],
    });
    expect(result.reads).toEqual([
      { operation: 'get', key: 'text', format: 'string' },
      { operation: 'get', key: 'json', format: 'json' },
      { operation: 'get', key: 'text2', format: 'string' },
      { operation: 'exists', key: 'none' },
      { operation: 'get', key: '__proto__x', format: 'string' },
    ]);
    expect(seen(await one('/?text=bytes', { store }))).toMatchObject({ store: ['6772c3bc6e'] });
  });

  it.skipIf(host.missing)('sees faults of the store where the case wants them', async () => {
    const store = { entries: { a: '1', ab: '2', b: '3' }, getFails: ['a*'], existsFails: ['b'] };
    expect(seen(await one('/?a=&ab=&b=', { store }))).toMatchObject({
      store: ['rejected: the store does not answer', 'rejected: the store does not answer', '3'],
    });
    expect(seen(await one('/?a=exists&b=exists', { store }))).toMatchObject({
      store: [true, 'rejected: the store does not answer'],
    });
    const silent = { entries: { a: '1' }, getFails: true as const, existsFails: true as const };
    expect(seen(await one('/?a=&z=exists', { store: silent }))).toMatchObject({
      store: ['rejected: the store does not answer', 'rejected: the store does not answer'],
    });
  });

  it.skipIf(host.missing)('passes on the request it changed', async () => {
    const event = viewerRequestEvent({ uri: '/pass', headers: { 'X-Drop': 'yes', 'X-Keep': ['a', 'b'] } });
    const [result] = await host.run(fixture, [{ event }]);
    expect(result?.result).toMatchObject({ method: 'GET', uri: '/passed' });
    expect(result?.result?.headers).toEqual({
      host: { value: 'video.example.com' },
      'x-keep': { value: 'a', multiValue: [{ value: 'a' }, { value: 'b' }] },
    });
    expect(event.request.uri, 'the table itself stays as it was').toBe('/pass');
  });

  it.skipIf(host.missing)('throws, logs and returns nothing, and each is told apart', async () => {
    expect((await one('/throw-text')).error).toEqual({ name: 'string', message: 'a text' });
    expect((await one('/throw-error')).error).toEqual({ name: 'TypeError', message: 'an error' });
    expect(await one('/nothing')).toMatchObject({ result: null });
    expect((await one('/log')).logs).toEqual([`${'x'.repeat(5000)}é`]);
  });

  it.skipIf(host.missing)('has crypto and the raw query', async () => {
    const result = await one('/hmac?b=2&a=%20é');
    expect(result.result?.body).toBe(createHmac('sha256', 'key').update('b=2&a=%20é').digest('hex'));
  });

  it.skipIf(host.missing)('answers a long table in order', async () => {
    const cases = Array.from({ length: 2_500 }, (_, now): HostCase => ({ event: viewerRequestEvent(), now }));
    const results = await host.run(fixture, cases);
    expect(results.map((result) => (seen(result) as { now: number }).now)).toEqual(cases.map((each) => each.now));
  });

  it.skipIf(host.missing)('is refused when it cannot start', async () => {
    const broken = join(scratch, `broken-${host.name}.js`);
    writeFileSync(broken, 'function handler( {');
    await expect(host.run(broken, [{ event: viewerRequestEvent() }])).rejects.toThrow();
  });
});

describe.each(hosts.filter((host) => host.name !== 'node-vm'))('a case that hangs $name', (host) => {
  it.skipIf(host.missing)('is a crash of its own, and the cases around it are answered', async () => {
    const cases = ['/', '/hang', '/nothing'].map((uri): HostCase => ({ event: viewerRequestEvent({ uri }) }));
    const results = await host.run(fixture, cases, { timeout: 700 });
    expect(results.map((result) => result.error?.name)).toEqual([undefined, 'EngineCrash', undefined]);
    expect(results[1]?.error?.message).toContain('700 ms');
  });
});
