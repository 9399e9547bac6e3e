import { afterAll, beforeAll, expect, test } from 'vitest';
import { restream } from '../../scripts/local-edge/restreamer.js';
import { runEdge, type RunningCommand, type RunningEdge } from '../browser/program.js';

let edge: RunningEdge;
let watch: RunningCommand;
beforeAll(async () => {
  edge = await runEdge();
  watch = edge.start('detect', 'watch', '--revoke');
  await watch.line(({ watching }) => watching === edge.addresses.accessLog);
});
afterAll(async () => {
  expect(await watch?.end()).toBe(0);
  expect(await edge?.end()).toBe(0);
});

/** A viewer whose network changes as `viewer` says, each segment fetched once; every answer that was none. */
async function watchOn(viewer: (segment: number) => string, over: AbortSignal): Promise<number[]> {
  const sold = await fetch(edge.addresses.vend, { method: 'POST', body: '{}' });
  const { url } = (await sold.json()) as { url: string };
  const refused: number[] = [];
  const fetched = new Set<string>();
  const ask = async (target: string): Promise<string> => {
    const answer = await fetch(target, { headers: { 'x-sim-viewer': viewer(fetched.size) } });
    if (!answer.ok) refused.push(answer.status);
    return answer.text();
  };
  const playlist = new URL((await ask(url)).split('\n').find((line) => /^[^#].*m3u8$/.test(line)) ?? '', url).href;
  while (!over.aborted) {
    for (const line of (await ask(playlist)).split('\n').filter((one) => /^[^#].*m4s$/.test(one))) {
      const target = new URL(line, playlist).href;
      if (fetched.has(target)) continue;
      fetched.add(target);
      await ask(target);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  expect(fetched.size).toBeGreaterThan(5);
  return refused;
}

test('a re-streamer is found in the edge’s own log and refused within a minute; viewers at home, on the road and behind a carrier are not', async () => {
  const over = new AbortController();
  const honest = [
    watchOn(() => 'ip=203.0.113.20', over.signal),
    watchOn((segment) => `ip=198.51.${100 + (segment % 6)}.7; asn=64510`, over.signal),
    watchOn((segment) => (segment < 6 ? 'ip=203.0.113.21' : 'ip=192.0.2.44; asn=64509'), over.signal),
  ];
  // Half a minute of it at most, and the minute that is promised.
  const found = await restream({ vend: edge.addresses.vend, signal: AbortSignal.timeout(90_000) });
  expect(found).toMatchObject({ status: 403, reason: 'revoked' });
  expect(await watch.line(({ session }) => session === found.session)).toMatchObject({ acted: true });
  over.abort();
  expect(await Promise.all(honest)).toEqual([[], [], []]);
  const { entries } = (await edge.command('revocations', 'list')) as { entries: { scope: string; id: string }[] };
  expect(entries.map(({ scope, id }) => [scope, id])).toEqual([['session', found.session]]);
});
