import { notifyOf, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { report } from '../report.js';

export const handler = observed('Report', () => {
  const given = settings();
  return report({ runs: runsOf(given), notify: notifyOf(given), now: Date.now });
});
