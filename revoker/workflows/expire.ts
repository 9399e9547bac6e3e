import { checkMachine, type Machine } from './asl.js';
import { call, carry, failTo, reportAndFail } from './states.js';

/** Ends revocations whose time is up: in the ledger, then in the stores and the WAF sets. Every few minutes. */
export const expire: Machine = checkMachine({
  Comment: 'Portcullis: end the revocations whose time is up',
  TimeoutSeconds: 2 * 3600,
  StartAt: 'Expire',
  States: {
    Expire: call(
      'Expire',
      { 'run.$': '$$.Execution.Name' },
      { to: '$.expired', next: 'Name the run', catch: failTo('Report the fault'), seconds: 930 },
    ),
    'Name the run': {
      Type: 'Pass',
      Parameters: { 'run.$': '$$.Execution.Name', 'expired.$': '$.expired' },
      Next: 'Ended: stores',
    },
    ...carry('Ended', 'Report'),
    Report: call(
      'Report',
      { workflow: 'expire', 'run.$': '$.run', outcome: 'done', 'state.$': '$' },
      { to: '$.report', next: 'Done', catch: failTo('Report the fault') },
    ),
    Done: { Type: 'Succeed' },
    ...reportAndFail('expire'),
  },
});
