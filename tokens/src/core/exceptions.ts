import { has } from './basics.js';
import type { EmbedOrigins, GateHost, GatePolicy, Mode, Verdict } from './gate.js';
import { lookUp, recordedMode } from './gate.js';
import { ISS } from './labels.js';
import { headerText } from './request.js';
import { isBelow } from './uri.js';

/** What may let a request without any token pass: an old client's allowance, or the record `m:`. */
export async function withoutToken(verdict: Verdict, policy: GatePolicy): Promise<void> {
  const agent = headerText(verdict.http, 'user-agent') || '';
  const clients = policy.allowedClients || [];
  const index = clients.findIndex(
    (client) =>
      verdict.now < client.until &&
      (client.prefix ? agent.startsWith(client.prefix) : client.contains && has(agent, client.contains)) &&
      isBelow(verdict.cleanPath, client.paths),
  );
  if (FEATURES.allowClients && index >= 0) {
    verdict.reason = '';
    verdict.allowance = index;
  } else if (FEATURES.modeRecord) {
    const json = await lookUp(verdict.host as GateHost, 'm:');
    if (json !== undefined) verdict.mode = recordedMode(JSON.parse(json) as { mode?: Mode }, verdict.now, policy);
    if (verdict.mode === 'off') verdict.reason = '';
  }
}

/** Whether the page that embeds the player is on the list of the token's issuer or the content. */
export const embeddedRightly = (
  verdict: Verdict,
  content: string | undefined,
  rules: readonly EmbedOrigins[],
): boolean => {
  const issuer = verdict.token && verdict.token.claims[ISS];
  const rule = rules.find((one) => (!one.issuer || one.issuer === issuer) && (!one.content || one.content === content));
  // Origin, then Referer: a browser lets no page set either.
  const page = headerText(verdict.http, 'origin') || headerText(verdict.http, 'referer');
  return !rule || (page ? has(rule.origins, page.split('/').slice(0, 3).join('/')) : rule.allowNone);
};
