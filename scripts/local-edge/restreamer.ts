import { z } from 'zod';

export interface RestreamOptions {
  /** The vending service's `POST /vend`. */
  readonly vend: string;
  readonly content?: string;
  /** Networks that fetch the one session. Default 40. */
  readonly networks?: number;
  /** Ends it where no refusal does. */
  readonly signal?: AbortSignal;
  readonly onRound?: (round: { readonly requests: number; readonly refused: number }) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** How a simulated re-stream went. */
export interface Restream {
  readonly session: string;
  readonly requests: number;
  /** Seconds from the first request to the first refusal; undefined where there was none. */
  readonly refusedAfter: number | undefined;
  readonly status: number | undefined;
  readonly reason: string | undefined;
}

const vended = z.object({ url: z.string(), session: z.string() });
const pollMilliseconds = 1000;

/** Viewers' networks, one /24 each, of the range that is set apart for benchmarks (RFC 2544). */
export const restreamViewer = (network: number): string =>
  `ip=198.${18 + (network >> 8)}.${network & 255}.9; asn=${64_496 + (network % 16)}`;

/**
 * A re-streamer at the local edge: one session is bought, and every segment of the live stream is fetched with its token
 * through many networks, until the edge refuses.
 *
 * @example
 * const { refusedAfter } = await restream({ vend: localEndpoints().vend });
 */
export async function restream(options: RestreamOptions): Promise<Restream> {
  const { networks = 40, signal, onRound } = options;
  const now = options.now ?? Date.now;
  const { url, session } = await buy(options.vend, options.content ?? 'ch1');
  const started = now();
  const fetched = new Set<string>();
  let requests = 0;
  const over = (): boolean => signal?.aborted === true;
  const ask = async (target: string, network: number): Promise<Response> => {
    requests++;
    const answer = await fetch(target, { headers: { 'x-sim-viewer': restreamViewer(network) } });
    return answer;
  };
  const result = (answer: Response | undefined): Restream => ({
    session,
    requests,
    refusedAfter: answer === undefined ? undefined : (now() - started) / 1000,
    status: answer?.status,
    reason: answer?.headers.get('x-portcullis-reason') ?? undefined,
  });

  let playlist = url;
  while (!over()) {
    const answer = await ask(playlist, 0);
    const text = await answer.text();
    if (!answer.ok) return result(answer);
    const targets = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => new URL(line, playlist).href);
    if (text.includes('#EXT-X-STREAM-INF')) {
      playlist = targets[0] as string;
      continue;
    }
    for (const target of targets) {
      if (fetched.has(target) || over()) continue;
      fetched.add(target);
      const answers = await Promise.all(Array.from({ length: networks }, (_, network) => ask(target, network)));
      await Promise.all(answers.map((one) => one.arrayBuffer()));
      const refusal = answers.find((one) => one.status === 401 || one.status === 403);
      onRound?.({ requests: answers.length, refused: answers.filter((one) => !one.ok).length });
      if (refusal) return result(refusal);
    }
    await new Promise((resolve) => setTimeout(resolve, pollMilliseconds));
  }
  return result(undefined);
}

async function buy(vend: string, content: string): Promise<z.infer<typeof vended>> {
  const answer = await fetch(vend, { method: 'POST', body: JSON.stringify({ content, subject: 'restreamer' }) });
  const body: unknown = await answer.json();
  if (!answer.ok) throw new Error(`The vending service answered ${answer.status}: ${JSON.stringify(body)}`);
  return vended.parse(body);
}
