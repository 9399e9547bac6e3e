import { checkMachine, type Machine } from './asl.js';
import { call, carry, failTo, reportAndFail } from './states.js';

/**
 * Finishes what a crash or an outage interrupted, then compares every store and the WAF's address sets with the
 * ledger and repairs what differs.
 * Runs often; a run that finds nothing costs one listing of each store.
 */
export const reconcile: Machine = checkMachine({
  Comment: 'Portcullis: finish interrupted work, compare the stores and the address sets with the ledger, repair',
  TimeoutSeconds: 2 * 3600,
  StartAt: 'Name the run',
  States: {
    'Name the run': { Type: 'Pass', Parameters: { 'run.$': '$$.Execution.Name' }, Next: 'Interrupted: stores' },
    ...carry('Interrupted', 'Compare', { compare: true }),
    Compare: call(
      'Compare',
      { 'run.$': '$.run' },
      { to: '$.drift', next: 'Any difference?', catch: failTo('Report the fault'), seconds: 930 },
    ),
    'Any difference?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.drift.answer.keys', NumericGreaterThan: 0, Next: 'Repair' }],
      Default: 'Report',
    },
    Repair: call(
      'Repair',
      { 'run.$': '$.run' },
      { to: '$.repair', next: 'Report', catch: failTo('Report the fault'), seconds: 930 },
    ),
    Report: call(
      'Report',
      { workflow: 'reconcile', 'run.$': '$.run', outcome: 'done', 'state.$': '$' },
      { to: '$.report', next: 'Done', catch: failTo('Report the fault') },
    ),
    Done: { Type: 'Succeed' },
    ...reportAndFail('reconcile'),
  },
});
