import { CATPOR, CATREPLAY, CTI, SESSION } from '@portcullis/tokens/core/labels';
import { idText } from '@portcullis/tokens/core/gate';
import type { EdgeVerdict } from './validator.js';

/** Writes one line of JSON. */
export type WriteLine = (line: string) => void;

/**
 * The one log line of a request, in the words of the viewer functions' (`docs/architecture.md`): every refusal, whatever is
 * let through with a mark, and a sample of the rest. It never holds a token.
 *
 * @returns Undefined where there is nothing to say.
 */
export function logLine(verdict: EdgeVerdict, sample: number, random: () => number = Math.random): string | undefined {
  const { reason, mode, token, requestId, unknown, allowance, key, encrypted, proof, config } = verdict;
  // Only a token whose signature held has anything to say.
  const claims = verdict.genuine ?? {};
  const replay = claims[CATREPLAY];
  const told =
    (reason && (config.policy.mode !== 'off' || mode !== 'off')) ||
    replay ||
    unknown.length > 0 ||
    allowance !== undefined ||
    (sample > 0 && random() < sample);
  if (!told) return undefined;
  return JSON.stringify({
    id: requestId,
    r: reason,
    m: mode,
    k: token?.kid,
    s: idText(claims[SESSION]),
    t: idText(claims[CTI]),
    u: unknown,
    w: allowance,
    y: replay,
    p: reason === 'probabilistic_refusal' ? claims[CATPOR] : undefined,
    // What only Lambda@Edge knows: the algorithm, whether it came encrypted, what was wrong with its proof.
    a: key?.algorithm,
    e: encrypted || undefined,
    d: proof && 'problem' in proof ? proof.problem : undefined,
  });
}
