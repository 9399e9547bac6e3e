import { checkMachine, type Machine, type States } from './asl.js';
import { arnOf, call, carry, everything, failTo, longestApproval, patience, reportAndFail } from './states.js';

/** Batches written to the ledger at the same time. */
const ledgerConcurrency = 4;

function record(prefix: string, kind: 'ready' | 'held'): States {
  return {
    [`${prefix}: ledger`]: {
      Type: 'Map',
      ItemsPath: `$.decision.answer.${kind}`,
      ItemSelector: { 'run.$': '$.run', kind, 'batch.$': '$$.Map.Item.Value' },
      MaxConcurrency: ledgerConcurrency,
      ItemProcessor: {
        ProcessorConfig: { Mode: 'INLINE' },
        StartAt: `${prefix}: one batch`,
        States: {
          [`${prefix}: one batch`]: call(
            'Record',
            { 'run.$': '$.run', 'kind.$': '$.kind', 'batch.$': '$.batch' },
            { to: null, next: undefined },
          ),
        },
      },
      ResultPath: null,
      Catch: failTo('Report the fault'),
      Next: `${prefix}: stores`,
    },
  };
}

/**
 * Detection over one window of the log lake: query, verdicts, what is certain is done at once, what is not waits for a
 * person.
 *
 * An execution that is started again under its name finds the decisions of the first and changes nothing twice.
 *
 * Input: `{"from": "<ISO time>", "to": "<ISO time>"}`, or `{"time": "<ISO time>"}`, as the schedule gives it, for the
 * window that ended last before it: a second execution for that window ends with nothing to do. `"dryRun": true`
 * decides and reports only.
 */
export const detect: Machine = checkMachine({
  Comment: 'Portcullis: find abused sessions in the access logs and shut them out',
  // Some hours for what is no question.
  TimeoutSeconds: longestApproval + 6 * 3600,
  StartAt: 'Plan the run',
  States: {
    'Plan the run': call(
      'PlanRun',
      { 'run.$': '$$.Execution.Name', 'input.$': '$' },
      { to: '$.plan', next: 'Is the window taken?', catch: failTo('Report the fault') },
    ),
    'Is the window taken?': {
      Type: 'Choice',
      Comment: 'A scheduled time that another execution had before',
      Choices: [{ Variable: '$.plan.answer.taken', BooleanEquals: true, Next: 'Done' }],
      Default: 'Unwrap the plan',
    },
    'Unwrap the plan': {
      Type: 'Pass',
      Parameters: {
        'run.$': '$.plan.answer.run',
        'query.$': '$.plan.answer.query',
        'approvalSeconds.$': '$.plan.answer.approvalSeconds',
        page: { answer: { number: 0, nextToken: null } },
      },
      Next: 'Query the logs',
    },
    'Query the logs': {
      Type: 'Task',
      Resource: 'arn:aws:states:::athena:startQueryExecution.sync',
      Parameters: {
        'QueryString.$': '$.query.text',
        'ExecutionParameters.$': '$.query.parameters',
        // The same token makes Athena answer with the query it already runs.
        'ClientRequestToken.$': '$.query.requestToken',
        WorkGroup: '${WorkGroup}',
        QueryExecutionContext: { Database: '${Database}' },
      },
      ResultSelector: { 'id.$': '$.QueryExecution.QueryExecutionId' },
      ResultPath: '$.execution',
      TimeoutSeconds: 1800,
      Retry: [
        {
          ErrorEquals: [
            'Athena.TooManyRequestsException',
            'Athena.InternalServerException',
            'Athena.SdkClientException',
          ],
          IntervalSeconds: 5,
          MaxAttempts: 6,
          BackoffRate: 2,
          MaxDelaySeconds: 120,
          JitterStrategy: 'FULL',
        },
      ],
      Catch: failTo('Report the fault'),
      Next: 'Read a page',
    },
    'Read a page': call(
      'ReadPage',
      { 'run.$': '$.run', 'query.$': '$.execution.id', 'page.$': '$.page.answer' },
      { to: '$.page', next: 'Was it the last?', catch: failTo('Report the fault') },
    ),
    'Was it the last?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.page.answer.nextToken', IsNull: true, Next: 'Decide' }],
      Default: 'Read a page',
    },
    Decide: call(
      'Decide',
      { 'run.$': '$.run', 'pages.$': '$.page.answer.number' },
      { to: '$.decision', next: 'Anything certain?', catch: failTo('Report the fault') },
    ),
    'Anything certain?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.decision.answer.readyCount', NumericGreaterThan: 0, Next: 'Certain: ledger' }],
      Default: 'Anything to ask?',
    },
    ...record('Certain', 'ready'),
    ...carry('Certain', 'Anything to ask?'),
    'Anything to ask?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.decision.answer.heldCount', NumericGreaterThan: 0, Next: 'Ask for approval' }],
      Default: 'Report',
    },
    'Ask for approval': {
      Type: 'Task',
      Comment: 'Waits until somebody answers through the AnswerApproval function, or the time is up',
      Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
      Parameters: {
        FunctionName: arnOf('AskApproval'),
        Payload: { 'run.$': '$.run', 'token.$': '$$.Task.Token' },
      },
      ResultPath: '$.approval',
      TimeoutSecondsPath: '$.approvalSeconds',
      // A timeout is an answer here; everything else is tried again.
      Retry: patience.map((retrier) => ({
        ...retrier,
        ErrorEquals: retrier.ErrorEquals.filter((name) => name !== 'States.Timeout'),
      })),
      Catch: [
        { ErrorEquals: ['States.Timeout'], ResultPath: '$.silence', Next: 'Nobody answered' },
        { ErrorEquals: everything, ResultPath: '$.fault', Next: 'Report the fault' },
      ],
      Next: 'Approved?',
    },
    'Nobody answered': call(
      'SettleApproval',
      { 'run.$': '$.run' },
      { to: '$.approval', next: 'Approved?', catch: failTo('Report the fault') },
    ),
    'Approved?': {
      Type: 'Choice',
      Choices: [{ Variable: '$.approval.answer.approved', BooleanEquals: true, Next: 'Approved: ledger' }],
      Default: 'Report',
    },
    ...record('Approved', 'held'),
    ...carry('Approved', 'Report'),
    Report: call(
      'Report',
      { workflow: 'detect', 'run.$': '$.run', outcome: 'done', 'state.$': '$' },
      { to: '$.report', next: 'Done', catch: failTo('Report the fault') },
    ),
    Done: { Type: 'Succeed' },
    ...reportAndFail('detect'),
  },
});
