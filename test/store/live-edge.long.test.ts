import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeFunctions } from '../../scripts/build/functions.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema } from '../../scripts/config/functions-config.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { runCommand } from './command-runner.js';

/** What the documentation promises of the local edge: an act holds within so many milliseconds. */
const promised = 5000;

let folder: string;
let edge: LocalEdge;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-live-'));
  const config = functionsConfigSchema.parse({
    profile: 'full',
    contentId: '^/(?:live|vod)/([^/]+)',
    modeRecord: true,
  });
  const { build, features } = functionPlan(config);
  await writeFunctions('live', build, features, join(folder, 'functions'));
  edge = await startLocalEdge({ functionsFolder: join(folder, 'functions'), stateFolder: folder });
  await writeFile(join(folder, 'local.json'), JSON.stringify(edge.addresses));
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
});
afterAll(async () => {
  delete process.env['PORTCULLIS_LOCAL'];
  await edge.close();
  await rm(folder, { recursive: true, force: true });
});

interface Vended {
  readonly url: string;
  readonly session: string;
  readonly kid: string;
}

async function vend(request: object = {}): Promise<Vended> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(edge.addresses.vend, { method: 'POST', headers, body: JSON.stringify(request) });
  if (!answer.ok) throw new Error(`vending answered ${answer.status}`);
  return (await answer.json()) as Vended;
}

async function ask(url: string, viewer = ''): Promise<string> {
  const answer = await fetch(url, viewer === '' ? {} : { headers: { 'x-sim-viewer': viewer } });
  await answer.body?.cancel();
  return answer.status === 200 ? '200' : `${answer.status} ${answer.headers.get('x-portcullis-reason') ?? ''}`;
}

async function command(line: string): Promise<Record<string, unknown>> {
  const { output, error } = await runCommand([...line.split(' '), '--local', '--json']);
  if (error) throw error;
  return JSON.parse(output) as Record<string, unknown>;
}

/** Waits for an answer and gives it; after the promised time, whatever it is by then. */
async function answerOf(expected: string, question: () => Promise<string>): Promise<string> {
  const end = performance.now() + promised;
  for (;;) {
    const answer = await question();
    if (answer === expected || performance.now() > end) return answer;
    await pause(50);
  }
}

describe('on the local edge', () => {
  it('a revoked session stays cut off over three renewals, and is minted no more', async () => {
    const first = await vend();
    const tokens = [first];
    for (let renewal = 0; renewal < 3; renewal += 1) tokens.push(await vend({ session: first.session }));
    for (const { url, session } of tokens) expect([await ask(url), session]).toEqual(['200', first.session]);
    await command(`revoke session ${first.session} --reason test`);
    for (const { url } of tokens) expect(await answerOf('403 revoked', () => ask(url))).toBe('403 revoked');
    await expect(vend({ session: first.session })).rejects.toThrow('403');
    await command(`unrevoke session ${first.session}`);
    for (const { url } of tokens) expect(await answerOf('200', () => ask(url))).toBe('200');
  });

  it('a revoked subject loses the tokens from before the moment and keeps those after it', async () => {
    const before = await vend({ subject: 'alice' });
    const other = await vend({ subject: 'bob' });
    expect(await ask(before.url)).toBe('200');
    await command('revoke subject alice --reason test');
    expect(await answerOf('403 revoked', () => ask(before.url))).toBe('403 revoked');
    await pause(1100);
    expect(await ask((await vend({ subject: 'alice' })).url)).toBe('200');
    expect(await ask(other.url)).toBe('200');
    expect(await ask(before.url)).toBe('403 revoked');
  });

  it('--verify shows how long the edge took', async () => {
    const { session } = await vend();
    const { verified } = await command(`revoke session ${session} --verify`);
    expect(verified).toMatchObject({ milliseconds: expect.any(Number) });
  });

  it('a rotation refuses no valid token at any moment, and an emergency one refuses all old ones', async () => {
    const known: Vended[] = [await vend()];
    const refused: string[] = [];
    let requests = 0;
    let running = true;
    const traffic = (async () => {
      while (running) {
        known.push(await vend());
        // all at once, as a crowd of players would
        await Promise.all(
          known.slice(-20).map(async ({ url, kid }) => {
            const answer = await ask(url);
            requests += 1;
            if (answer !== '200') refused.push(`${kid}: ${answer}`);
          }),
        );
      }
    })();
    const rotated = await command('keys rotate --settle 2s --reason test');
    for (let waits = 0; waits < 50 && known.at(-1)?.kid !== rotated['kid']; waits += 1) await pause(100);
    await pause(500);
    running = false;
    await traffic;
    expect(refused).toEqual([]);
    expect(requests).toBeGreaterThan(50);
    const kids = new Set(known.map(({ kid }) => kid));
    expect([...kids]).toEqual([rotated['replaced'], rotated['kid']]);

    const fresh = known.filter(({ kid }) => kid === rotated['kid']).at(-1) as Vended;
    await command('keys rotate --emergency --yes --reason test');
    expect(await answerOf('401 unknown_key', () => ask(fresh.url))).toBe('401 unknown_key');
    for (let waits = 0; waits < 50 && (await vend()).kid === fresh.kid; waits += 1) await pause(100);
    expect(await answerOf('200', async () => ask((await vend()).url))).toBe('200');
  });

  it.each([
    ['country', '--country US', 'country=US', 'country=CA'],
    ['region', '--subdivision US-CA', 'country=US; region=CA', 'country=US; region=NV'],
    ['US metro', '--metro 807', 'country=US; region=CA; metro=807', 'country=US; region=CA; metro=862'],
  ])('a blackout by %s holds for the right viewers only, until it is cleared', async (_, places, dark, bright) => {
    const { url } = await vend();
    await command(`blackout set ch1 ${places} --reason test`);
    expect(await answerOf('451 blackout', () => ask(url, dark))).toBe('451 blackout');
    expect(await ask(url, bright)).toBe('200');
    await command('blackout clear ch1');
    expect(await answerOf('200', () => ask(url, dark))).toBe('200');
  });

  it('a blackout keeps to its start and its end', async () => {
    const { url } = await vend();
    const now = Math.floor(Date.now() / 1000);
    const dark = (): Promise<string> => ask(url, 'country=US');
    await command(`blackout set ch1 --country US --from ${now + 3} --until ${now + 6}`);
    expect(await dark()).toBe('200');
    expect(await answerOf('451 blackout', dark)).toBe('451 blackout');
    expect(await answerOf('200', dark)).toBe('200');
    await command('revocations gc');
    expect(await command('blackout list')).toEqual({ blackouts: [] });
  });

  it('a blackout holds while tokens are off', async () => {
    const { url } = await vend();
    const token = url.split('/')[3] ?? '';
    await command('mode set off --for 1m --reason test --yes');
    const bare = url.replace(`/${token}`, '');
    expect(await answerOf('200', () => ask(bare))).toBe('200');
    await command('blackout set ch1 --country US');
    expect(await answerOf('451 blackout', () => ask(bare, 'country=US'))).toBe('451 blackout');
    await command('blackout clear ch1');
    await command('mode set enforce');
    expect(await answerOf('401 missing_token', () => ask(bare))).toBe('401 missing_token');
  });
});
