import { judgeOf, runsOf, settings, windowSecondsOf } from '../environment.js';
import { observed } from '../observe.js';
import { planRun } from '../plan-run.js';

export const handler = observed('PlanRun', () => {
  const given = settings();
  return planRun({
    runs: runsOf(given),
    judge: judgeOf(given),
    now: Date.now,
    windowSeconds: windowSecondsOf(given),
    delaySeconds: given.environment.LOG_DELAY_SECONDS,
    approvalSeconds: given.environment.APPROVAL_SECONDS,
  });
});
