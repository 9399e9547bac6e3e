// What runs where, whether it still is what was deployed, and what the functions have been doing.
import { GetMetricDataCommand, type CloudWatchClient, type MetricDataQuery } from '@aws-sdk/client-cloudwatch';
import { FilterLogEventsCommand, type CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { configurationAlarms, trafficAlarms, type GateAlarm, type GateExpectation } from '../../infra/watch/gate.js';
import { functionOn, nameOfArn, settingsOf } from './behaviour-changes.js';
import { findingsOf, type Finding } from './findings.js';
import { errorName, observe, type ReadAccess } from './observe.js';
import { makePlan, type Step } from './plan.js';
import type { DesiredState, ObservedState } from './state.js';

export interface FunctionMetrics {
  readonly invocations: number;
  readonly validationErrors: number;
  readonly executionErrors: number;
  readonly throttles: number;
  /** The highest average of a period, in percent; undefined without traffic. */
  readonly computeUtilization: number | undefined;
}

export interface RefusalCount {
  readonly reason: string;
  readonly mode: string;
  readonly count: number;
}

export interface FunctionStatus {
  readonly name: string;
  readonly live: boolean;
  readonly upToDate: boolean;
  readonly bytes: number | undefined;
  readonly metrics: FunctionMetrics | undefined;
  /** By reason, most frequent first; undefined where there is no log to read. */
  readonly refusals: readonly RefusalCount[] | undefined;
}

export interface DeploymentStatus {
  readonly distribution: string;
  readonly domainName: string;
  readonly deployed: boolean;
  readonly behaviours: readonly {
    readonly pattern: string;
    readonly wanted: string;
    readonly viewerRequest: string | null;
    readonly viewerResponse: string | null;
  }[];
  readonly functions: readonly FunctionStatus[];
  /** What a plan would change: what drifted from the configuration. */
  readonly drift: readonly Step[];
  readonly alarms: readonly GateAlarm[];
  readonly findings: readonly Finding[];
  readonly minutes: number;
}

export interface StatusAccess extends ReadAccess {
  readonly cloudWatch: CloudWatchClient;
  readonly logs: CloudWatchLogsClient;
  readonly now: () => Date;
}

/** Reads the state, the metrics and the refusals of the last minutes. */
export async function deploymentStatus(
  access: StatusAccess,
  desired: DesiredState,
  options: { readonly minutes?: number } = {},
): Promise<DeploymentStatus> {
  const minutes = options.minutes ?? 60;
  const observed = await observe(access, desired);
  const { config } = observed.distribution;
  const functions: FunctionStatus[] = [];
  for (const wanted of desired.functions) {
    const found = observed.functions.get(wanted.name);
    functions.push({
      name: wanted.name,
      live: found?.live !== undefined,
      upToDate: found?.live?.sha256 === wanted.sha256,
      bytes: found?.live?.bytes,
      metrics: found?.live ? await functionMetrics(access, wanted.name, minutes) : undefined,
      refusals: found?.live ? await refusals(access, wanted.name, minutes) : undefined,
    });
  }
  const traffic = functions
    .filter((item) => item.metrics !== undefined && item.name.includes('viewer-request'))
    .map((item) => ({
      function: item.name,
      enforced: !item.name.endsWith('-log'),
      invocations: item.metrics?.invocations ?? 0,
      errors: (item.metrics?.executionErrors ?? 0) + (item.metrics?.validationErrors ?? 0),
      throttles: item.metrics?.throttles ?? 0,
      refusals: item.refusals?.reduce((sum, entry) => sum + entry.count, 0),
    }));
  return {
    distribution: observed.distribution.id,
    domainName: observed.distribution.domainName,
    deployed: observed.distribution.deployed,
    behaviours: desired.behaviours.map((behaviour) => {
      const settings = settingsOf(config, behaviour.pattern);
      const on = (event: 'viewer-request' | 'viewer-response'): string | null => {
        const arn = settings && functionOn(settings, event);
        return arn === undefined ? null : nameOfArn(arn);
      };
      return {
        pattern: behaviour.pattern,
        wanted: behaviour.stage,
        viewerRequest: on('viewer-request'),
        viewerResponse: on('viewer-response'),
      };
    }),
    functions,
    drift: makePlan(desired, observed, { disarm: true }).steps,
    alarms: [...configurationAlarms(expectationOf(desired), factsOf(observed)), ...trafficAlarms(traffic)],
    findings: findingsOf(desired, observed, { disarm: true }).findings.filter((finding) => finding.severity !== 'info'),
    minutes,
  };
}

/** What the watch has to look after. */
export function expectationOf(desired: DesiredState): GateExpectation {
  return {
    distribution: desired.distribution,
    store: desired.storeName,
    behaviours: desired.behaviours
      .filter((behaviour) => behaviour.stage !== 'off')
      .map((behaviour) => ({
        pattern: behaviour.pattern,
        functions: Object.values(behaviour.functions),
        enforced: behaviour.stage === 'enforce',
      })),
    headers: desired.headers,
  };
}

function factsOf(observed: ObservedState): Parameters<typeof configurationAlarms>[1] {
  return {
    config: observed.distribution.config,
    storeArn: observed.store?.arn,
    liveStores: new Map(
      [...observed.functions].flatMap(([name, item]) => (item.live ? [[name, item.live.stores] as const] : [])),
    ),
    cachePolicies: observed.cachePolicies,
    originRequestPolicies: observed.originRequestPolicies,
  };
}

const metricNames = {
  invocations: ['FunctionInvocations', 'Sum'],
  validationErrors: ['FunctionValidationErrors', 'Sum'],
  executionErrors: ['FunctionExecutionErrors', 'Sum'],
  throttles: ['FunctionThrottles', 'Sum'],
  computeUtilization: ['FunctionComputeUtilization', 'Average'],
} as const;

async function functionMetrics(access: StatusAccess, name: string, minutes: number): Promise<FunctionMetrics> {
  const end = access.now();
  const queries = Object.entries(metricNames).map(([id, [metric, statistic]]): MetricDataQuery => ({
    Id: id,
    MetricStat: {
      // CloudFront puts the metrics of functions into us-east-1, under the region "Global".
      Metric: {
        Namespace: 'AWS/CloudFront',
        MetricName: metric,
        Dimensions: [
          { Name: 'FunctionName', Value: name },
          { Name: 'Region', Value: 'Global' },
        ],
      },
      Period: 60,
      Stat: statistic,
    },
  }));
  const { MetricDataResults: results } = await access.cloudWatch.send(
    new GetMetricDataCommand({
      StartTime: new Date(end.getTime() - minutes * 60_000),
      EndTime: end,
      MetricDataQueries: queries,
    }),
  );
  const values = (id: string): number[] => results?.find((result) => result.Id === id)?.Values ?? [];
  const sum = (id: string): number => values(id).reduce((total, value) => total + value, 0);
  const utilization = values('computeUtilization');
  return {
    invocations: sum('invocations'),
    validationErrors: sum('validationErrors'),
    executionErrors: sum('executionErrors'),
    throttles: sum('throttles'),
    computeUtilization: utilization.length === 0 ? undefined : Math.max(...utilization),
  };
}

/** Pages of the log that are read at most; what lies beyond is not counted. */
const logPages = 20;

async function refusals(access: StatusAccess, name: string, minutes: number): Promise<RefusalCount[] | undefined> {
  const counts = new Map<string, RefusalCount>();
  let next: string | undefined;
  try {
    for (let page = 0; page < logPages; page += 1) {
      const answer = await access.logs.send(
        new FilterLogEventsCommand({
          logGroupName: `/aws/cloudfront/function/${name}`,
          startTime: access.now().getTime() - minutes * 60_000,
          ...(next === undefined ? {} : { nextToken: next }),
        }),
      );
      for (const event of answer.events ?? []) count(counts, event.message ?? '');
      next = answer.nextToken;
      if (next === undefined) break;
    }
  } catch (error) {
    if (errorName(error) === 'ResourceNotFoundException') return undefined;
    throw error;
  }
  return [...counts.values()].sort((a, b) => b.count - a.count);
}

/** A line is `<request id> {"r":"<reason>","m":"<mode>",…}`; other lines are CloudFront's own. */
function count(counts: Map<string, RefusalCount>, message: string): void {
  const brace = message.indexOf('{');
  if (brace < 0) return;
  try {
    const line = JSON.parse(message.slice(brace)) as { r?: unknown; m?: unknown };
    if (typeof line.r !== 'string' || line.r === '') return;
    const mode = typeof line.m === 'string' ? line.m : '';
    const key = `${line.r}\n${mode}`;
    counts.set(key, { reason: line.r, mode, count: (counts.get(key)?.count ?? 0) + 1 });
  } catch {
    // Not one of our lines.
  }
}
