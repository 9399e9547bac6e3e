// Alarms for a gate that was disarmed, and a dashboard.
import { ArnFormat, Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  MathExpression,
  Metric,
  TextWidget,
  TreatMissingData,
  type IMetric,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { FilterPattern, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { lambdaCode } from '../lambda-code.js';
import { meaningfulInvocations, type GateExpectation } from '../watch/gate.js';
import { allow, PortcullisFunction } from './function.js';
import { explain } from './nag.js';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';

export interface MonitoringProps extends EnvironmentProps {
  readonly key: IKey;
  readonly topic: ITopic;
  readonly gate: GateExpectation;
  readonly stateMachines: Readonly<Record<string, StateMachine>>;
  /** Where the stream puts windows that it gave up. */
  readonly failedWindows?: IQueue;
  /** The functions' log groups are there already: CloudFront made them at the first line. */
  readonly importLogGroups?: boolean;
}

export class PortcullisMonitoring extends Construct {
  readonly alarms: Alarm[] = [];
  readonly dashboard: Dashboard;
  readonly watch: PortcullisFunction;

  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const enforced = new Set(props.gate.behaviours.filter((item) => item.enforced).flatMap((item) => item.functions));
    const names = [...new Set(props.gate.behaviours.flatMap((item) => item.functions))];
    this.watch = this.#watch(props, names);
    this.#alarm(props, 'GateOpen', {
      metric: new Metric({
        namespace: 'Portcullis',
        metricName: 'gateAlarms',
        dimensionsMap: { distribution: props.gate.distribution },
        statistic: 'Maximum',
        period: Duration.minutes(5),
      }),
      threshold: 0,
      description: 'The gate is open: a function or its store is detached, or a header policy no longer delivers.',
      // A watch that no longer reports is as bad as one that reports trouble.
      missing: TreatMissingData.BREACHING,
      periods: 2,
    });
    for (const name of names) this.#functionAlarms(props, name, enforced.has(name));
    for (const [name, machine] of Object.entries(props.stateMachines)) {
      this.#alarm(props, `${name}Failed`, {
        metric: machine.metricFailed({ period: Duration.minutes(5) }),
        threshold: 0,
        description: `The workflow ${name} failed.`,
        missing: TreatMissingData.NOT_BREACHING,
        periods: 1,
      });
      this.#alarm(props, `${name}TimedOut`, {
        metric: machine.metricTimedOut({ period: Duration.minutes(5) }),
        threshold: 0,
        description: `The workflow ${name} took too long and was ended. Start the execution again under its name.`,
        missing: TreatMissingData.NOT_BREACHING,
        periods: 1,
      });
    }
    if (props.failedWindows) {
      this.#alarm(props, 'FailedWindows', {
        metric: props.failedWindows.metricApproximateNumberOfMessagesVisible({
          statistic: 'Maximum',
          period: Duration.minutes(5),
        }),
        threshold: 0,
        description:
          "The stream gave a window of requests up: look for the fault in its function's log. Detection at rest still reads them.",
        missing: TreatMissingData.NOT_BREACHING,
        periods: 1,
      });
    }
    this.dashboard = this.#dashboard(props, names);
  }

  /** The watch runs on a schedule, and whenever CloudTrail sees somebody change what it looks at. */
  #watch(props: MonitoringProps, names: readonly string[]): PortcullisFunction {
    const stack = Stack.of(this);
    const cloudFront = (resource: string, resourceName: string): string =>
      stack.formatArn({
        service: 'cloudfront',
        region: '',
        resource,
        resourceName,
        arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
      });
    const watch = new PortcullisFunction(this, 'Watch', {
      ...props,
      part: 'watch',
      description: 'Portcullis: is the gate still closed?',
      code: lambdaCode('infra/watch/handler.ts'),
      environment: { GATE: JSON.stringify(props.gate) },
      logKey: props.key,
      timeout: Duration.minutes(1),
      memory: 256,
      statements: [
        allow(['cloudfront:GetDistributionConfig'], [cloudFront('distribution', props.gate.distribution)]),
        allow(
          ['cloudfront:DescribeFunction'],
          names.map((name) => cloudFront('function', name)),
        ),
        allow(['cloudfront:GetCachePolicy'], [cloudFront('cache-policy', '*')]),
        allow(['cloudfront:GetOriginRequestPolicy'], [cloudFront('origin-request-policy', '*')]),
        allow(['cloudfront:DescribeKeyValueStore'], [cloudFront('key-value-store', '*')]),
      ],
    });
    explain(
      watch,
      'AwsSolutions-IAM5',
      'Reads whichever policies and store are attached at the moment: that they may be others than planned is what is looked for. Read-only.',
    );
    new Rule(this, 'EveryFewMinutes', {
      description: 'Portcullis: is the gate still closed?',
      schedule: Schedule.rate(Duration.minutes(5)),
      targets: [new LambdaFunction(watch.function, { retryAttempts: 2 })],
    });
    new Rule(this, 'OnChange', {
      description: 'Portcullis: somebody changes CloudFront',
      eventPattern: {
        source: ['aws.cloudfront'],
        detailType: ['AWS API Call via CloudTrail'],
        detail: {
          eventName: [
            { prefix: 'UpdateDistribution' },
            { prefix: 'UpdateFunction' },
            { prefix: 'PublishFunction' },
            { prefix: 'UpdateOriginRequestPolicy' },
            { prefix: 'UpdateCachePolicy' },
            { prefix: 'DeleteKeyValueStore' },
          ],
        },
      },
      targets: [new LambdaFunction(watch.function, { retryAttempts: 2 })],
    });
    return watch;
  }

  #functionAlarms(props: MonitoringProps, name: string, enforced: boolean): void {
    const sum = (metricName: string, period = Duration.minutes(5)): Metric =>
      functionMetric(name, metricName, 'Sum', period);
    this.#alarm(props, `${name}-errors`, {
      metric: new MathExpression({
        expression: 'execution + validation',
        label: 'errors',
        usingMetrics: { execution: sum('FunctionExecutionErrors'), validation: sum('FunctionValidationErrors') },
        period: Duration.minutes(5),
      }),
      threshold: 0,
      description: `${name} fails: viewers get an error instead of a verdict.`,
      missing: TreatMissingData.NOT_BREACHING,
      periods: 1,
    });
    this.#alarm(props, `${name}-throttles`, {
      metric: sum('FunctionThrottles'),
      threshold: 0,
      description: `${name} is throttled: its compute utilisation is too high.`,
      missing: TreatMissingData.NOT_BREACHING,
      periods: 1,
    });
    if (!enforced || !name.includes('viewer-request')) return;
    const logGroupName = `/aws/cloudfront/function/${name}`;
    const log = props.importLogGroups
      ? LogGroup.fromLogGroupName(this, `${name}-log`, logGroupName)
      : new LogGroup(this, `${name}-log`, {
          logGroupName,
          retention: RetentionDays.THREE_MONTHS,
          encryptionKey: props.key,
          removalPolicy: dataRemovalOf(props),
        });
    // Lines are `<request id> {"id":…,"r":"<reason>",…}`: not JSON as a whole, so they are matched as text.
    const refusals = log
      .addMetricFilter(`${name}-refusals`, {
        filterPattern: FilterPattern.literal('"\\"r\\":\\""'),
        metricNamespace: 'Portcullis',
        metricName: `refusals-${name}`,
        metricValue: '1',
        defaultValue: 0,
      })
      .metric({ statistic: 'Sum', period: Duration.hours(1) });
    this.#alarm(props, `${name}-refuses-nobody`, {
      metric: new MathExpression({
        expression: `IF(invocations > ${meaningfulInvocations} AND FILL(refusals, 0) < 1, 1, 0)`,
        label: 'many requests and no refusal',
        usingMetrics: { invocations: sum('FunctionInvocations', Duration.hours(1)), refusals },
        period: Duration.hours(1),
      }),
      threshold: 0,
      description: `${name} refuses nobody any more: it probably decides nothing.`,
      missing: TreatMissingData.NOT_BREACHING,
      periods: 1,
    });
  }

  #alarm(
    props: MonitoringProps,
    part: string,
    options: { metric: IMetric; threshold: number; description: string; missing: TreatMissingData; periods: number },
  ): void {
    const alarm = new Alarm(this, part, {
      alarmName: resourceName(props, part.startsWith(props.prefix) ? part.slice(resourceName(props, '').length) : part),
      alarmDescription: options.description,
      metric: options.metric,
      threshold: options.threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: options.periods,
      treatMissingData: options.missing,
    });
    alarm.addAlarmAction(new SnsAction(props.topic));
    alarm.addOkAction(new SnsAction(props.topic));
    this.alarms.push(alarm);
  }

  #dashboard(props: MonitoringProps, names: readonly string[]): Dashboard {
    const graph = (title: string, left: IMetric[], right: IMetric[] = []): GraphWidget =>
      new GraphWidget({ title, left, right, width: 12, height: 6 });
    const each = (metricName: string, statistic: string): Metric[] =>
      names.map((name) => functionMetric(name, metricName, statistic, Duration.minutes(1)).with({ label: name }));
    return new Dashboard(this, 'Dashboard', {
      dashboardName: resourceName(props, 'gate'),
      widgets: [
        [new TextWidget({ markdown: `# Portcullis ${props.name}: ${props.gate.distribution}`, width: 24, height: 1 })],
        [
          graph('Requests', each('FunctionInvocations', 'Sum')),
          graph('Compute utilisation, %', each('FunctionComputeUtilization', 'Average')),
        ],
        [
          graph(
            'Errors',
            [...each('FunctionExecutionErrors', 'Sum'), ...each('FunctionValidationErrors', 'Sum')],
            each('FunctionThrottles', 'Sum'),
          ),
          graph(
            'Refusals',
            names
              .filter((name) => name.includes('viewer-request'))
              .map(
                (name) =>
                  new Metric({
                    namespace: 'Portcullis',
                    metricName: `refusals-${name}`,
                    statistic: 'Sum',
                    label: name,
                  }),
              ),
          ),
        ],
        [
          graph(
            'Workflows',
            Object.values(props.stateMachines).map((machine) => machine.metricSucceeded()),
            Object.values(props.stateMachines).map((machine) => machine.metricFailed()),
          ),
        ],
      ],
    });
  }
}

/** CloudFront puts the metrics of functions into us-east-1, under the region "Global". */
function functionMetric(name: string, metricName: string, statistic: string, period: Duration): Metric {
  return new Metric({
    namespace: 'AWS/CloudFront',
    metricName,
    dimensionsMap: { FunctionName: name, Region: 'Global' },
    statistic,
    period,
  });
}
