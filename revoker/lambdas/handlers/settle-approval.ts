import { settleApproval } from '../approval.js';
import { runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('SettleApproval', () => {
  return settleApproval({ runs: runsOf(settings()), now: Date.now });
});
