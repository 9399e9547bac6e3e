import { announcedTargets, ledgerOf, settings } from '../environment.js';
import { expire } from '../expire.js';
import { observed } from '../observe.js';

export const handler = observed('Expire', () => {
  const given = settings();
  return expire({ ledger: ledgerOf(given), targets: announcedTargets(given), now: Date.now });
});
