import { announcedTargets, ledgerOf, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { record } from '../record.js';

export const handler = observed('Record', () => {
  const given = settings();
  return record({ runs: runsOf(given), ledger: ledgerOf(given), targets: announcedTargets(given), now: Date.now });
});
