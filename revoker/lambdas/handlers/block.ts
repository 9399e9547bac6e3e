import { carry, servesNetworks } from '../carry.js';
import { announcedTargets, ledgerOf, settings, wafSets } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('Block', () => {
  const given = settings();
  const waf = wafSets(given);
  const others = announcedTargets(given).filter((target) => !servesNetworks(target));
  const targets = [...others, ...(waf ? [waf.target] : [])];
  return carry({
    ledger: ledgerOf(given),
    targets,
    serves: servesNetworks,
    now: Date.now,
    ...(waf ? { compare: waf.compare } : {}),
  });
});
