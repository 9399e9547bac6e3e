import type { CborMap } from '@portcullis/tokens/core/cbor';
import { idText, type Verdict } from '@portcullis/tokens/core/gate';
import { CATPOR, CATREPLAY, CTI, SESSION } from '@portcullis/tokens/core/labels';
import { policy, settings } from 'portcullis:settings';

/**
 * Writes the one log line of a request: every refusal, whatever is let through with a mark, and a sample of the rest.
 * The line is documented in `docs/architecture.md`; it never holds a token.
 */
export const logVerdict = (verdict: Verdict, id: string): void => {
  const token = verdict.token;
  const reason = verdict.reason;
  // Only a token whose signature held has anything to say.
  const claims = verdict.genuine || ({} as CborMap);
  const replay = FEATURES.catreplay ? claims[CATREPLAY] : undefined;
  if (
    // `off` is silent; a key's own `off` has no reason.
    (reason && (policy.mode !== 'off' || verdict.mode !== 'off')) ||
    replay ||
    (FEATURES.onUnknown && verdict.unknown[0]) ||
    (FEATURES.allowClients && verdict.allowance !== undefined) ||
    (settings.sample && Math.random() < settings.sample)
  ) {
    const more: Record<string, unknown> = {};
    if (token) {
      more['k'] = token.kid;
      more['s'] = idText(claims[SESSION]);
      more['t'] = idText(claims[CTI]);
    }
    if (FEATURES.onUnknown && verdict.unknown[0]) more['u'] = verdict.unknown;
    if (FEATURES.catreplay) more['y'] = replay;
    if (FEATURES.catpor && reason === 'probabilistic_refusal') more['p'] = claims[CATPOR];
    // What is in every line needs no escapes; only a token has more to say.
    console.log(
      '{"id":"' +
        id +
        '","r":"' +
        reason +
        '","m":"' +
        verdict.mode +
        (FEATURES.allowClients && verdict.allowance !== undefined
          ? // Without a token.
            '","w":' + verdict.allowance + '}'
          : token
            ? '",' + JSON.stringify(more).slice(1)
            : '"}'),
    );
  }
};
