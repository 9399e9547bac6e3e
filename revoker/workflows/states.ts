import type { Catcher, Path, Retrier, States, Task, Template } from './asl.js';

/** The functions that the workflows call; each is one bundle, and one substitution `${<Name>Arn}` in a definition. */
export const functionNames = [
  'PlanRun',
  'ReadPage',
  'Decide',
  'AskApproval',
  'AnswerApproval',
  'SettleApproval',
  'Record',
  'Project',
  'Block',
  'Expire',
  'Compare',
  'Repair',
  'PublishKey',
  'SignWithKey',
  'RetireKey',
  'Report',
] as const;
export type FunctionName = (typeof functionNames)[number];

/** How a function's ARN stands in a definition until it is deployed. */
export const arnOf = (name: FunctionName): string => `\${${name}Arn}`;

/** What goes away by itself: the service's own faults, a crashed or timed-out function, and our `TransientFault`. */
const passing = [
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.Unknown',
  'Sandbox.Timedout',
  'Runtime.ExitError',
  'States.Timeout',
  'TransientFault',
] as const;

/** Six attempts over about two minutes, each pause drawn from twice the range of the one before. */
export const patience: readonly Retrier[] = [
  {
    ErrorEquals: passing,
    IntervalSeconds: 2,
    MaxAttempts: 6,
    BackoffRate: 2,
    MaxDelaySeconds: 60,
    JitterStrategy: 'FULL',
  },
];

/** Seconds that a question may stay open. */
export const longestApproval = 24 * 3600;

export const everything = ['States.ALL'] as const;

export const failTo = (next: string): readonly Catcher[] => [
  { ErrorEquals: everything, ResultPath: '$.fault', Next: next },
];

/** A call of one of our functions; its answer replaces what stands at `to`. */
export function call(
  name: FunctionName,
  payload: Template,
  details: {
    to: Path | null;
    next: string | undefined;
    catch?: readonly Catcher[];
    seconds?: number;
    comment?: string;
  },
): Task {
  return {
    Type: 'Task',
    ...(details.comment === undefined ? {} : { Comment: details.comment }),
    Resource: 'arn:aws:states:::lambda:invoke',
    Parameters: { FunctionName: arnOf(name), Payload: payload },
    ...(details.to === null ? {} : { ResultSelector: { 'answer.$': '$.Payload' } }),
    ResultPath: details.to,
    // A function is given up a little after its own limit.
    TimeoutSeconds: details.seconds ?? 330,
    Retry: patience,
    ...(details.catch ? { Catch: details.catch } : {}),
    ...(details.next === undefined ? { End: true } : { Next: details.next }),
  };
}

/**
 * The way of entries that the ledger has to where they take effect: the stores, then the WAF sets. A target that does
 * not take them in time keeps the announcement open; the reconciliation carries it on, so the run goes on too.
 */
export function carry(prefix: string, next: string, blockWith: Template = {}): States {
  return {
    [`${prefix}: stores`]: call('Project', { 'run.$': '$.run' }, {
      to: '$.stores',
      next: `${prefix}: WAF`,
      catch: [{ ErrorEquals: everything, ResultPath: '$.storesFault', Next: `${prefix}: WAF` }],
      comment: 'Ledger to KeyValueStores, in batches of 50 under their ETags',
    }),
    [`${prefix}: WAF`]: call('Block', { 'run.$': '$.run', ...blockWith }, {
      to: '$.waf',
      next,
      catch: [{ ErrorEquals: everything, ResultPath: '$.wafFault', Next: next }],
      comment: 'Ledger to the IP sets, under their lock tokens',
    }),
  }; // prettier-ignore
}

/** Tells of a fault, then fails with it. */
export function reportAndFail(workflow: string): States {
  return {
    'Report the fault': call(
      'Report',
      { workflow, 'run.$': '$$.Execution.Name', outcome: 'failed', 'fault.$': '$.fault' },
      { to: null, next: 'Failed', catch: [{ ErrorEquals: everything, ResultPath: null, Next: 'Failed' }] },
    ),
    Failed: { Type: 'Fail', ErrorPath: '$.fault.Error', CausePath: '$.fault.Cause' },
  };
}
