import { checkMachine, type Machine } from './asl.js';
import { call, failTo, reportAndFail } from './states.js';

/**
 * Replaces the signing key without refusing anybody: the next key is at the edge before a token is signed with it, and
 * the old one stays until the last of its tokens is dead.
 *
 * Input: `{"tokenSeconds": <longest life of a token>, "edgeSeconds": <wait for the edge>}`.
 */
export const rotateKey: Machine = checkMachine({
  Comment: 'Portcullis: rotate the signing key',
  TimeoutSeconds: 30 * 24 * 3600,
  StartAt: 'Publish the next key',
  States: {
    'Publish the next key': call(
      'PublishKey',
      { 'run.$': '$$.Execution.Name' },
      { to: '$.next', next: 'Wait for the edge', catch: failTo('Report the fault') },
    ),
    'Wait for the edge': {
      Type: 'Wait',
      Comment: 'Changes reach the edge within seconds; a token signed too early would be refused',
      SecondsPath: '$.edgeSeconds',
      Next: 'Sign with the next key',
    },
    'Sign with the next key': call(
      'SignWithKey',
      { 'run.$': '$$.Execution.Name', 'tokenSeconds.$': '$.tokenSeconds' },
      { to: '$.signing', next: 'Was there an old key?', catch: failTo('Report the fault') },
    ),
    'Was there an old key?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.signing.answer.retireAt', IsNull: true, Next: 'Report' }],
      Default: 'Wait for the last old token',
    },
    'Wait for the last old token': {
      Type: 'Wait',
      TimestampPath: '$.signing.answer.retireAt',
      Next: 'Retire the old key',
    },
    'Retire the old key': call(
      'RetireKey',
      { 'run.$': '$$.Execution.Name' },
      { to: '$.retired', next: 'Report', catch: failTo('Report the fault') },
    ),
    Report: call(
      'Report',
      { workflow: 'rotate-key', 'run.$': '$$.Execution.Name', outcome: 'done', 'state.$': '$' },
      { to: '$.report', next: 'Done', catch: failTo('Report the fault') },
    ),
    Done: { Type: 'Succeed' },
    ...reportAndFail('rotate-key'),
  },
});
