import { askApproval } from '../approval.js';
import { notifyOf, runsOf, settings, stepsClient } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('AskApproval', () => {
  const given = settings();
  return askApproval({ runs: runsOf(given), steps: stepsClient(), notify: notifyOf(given), now: Date.now });
});
