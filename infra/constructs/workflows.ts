// The revoker's state machines: the very definitions that the tests execute, with the deployed functions' ARNs put in.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Arn, ArnFormat, Duration, Fn, Stack } from 'aws-cdk-lib';
import { CfnWorkGroup } from 'aws-cdk-lib/aws-athena';
import { EventField, Rule, RuleTargetInput, Schedule, type EventBus } from 'aws-cdk-lib/aws-events';
import { SfnStateMachine } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import { DefinitionBody, LogLevel, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import {
  functionNames,
  longestApproval,
  workflows,
  type FunctionName,
  type WorkflowName,
} from '../../revoker/workflows/index.js';
import { lambdaCode, repositoryRoot } from '../lambda-code.js';
import { allow, PortcullisFunction } from './function.js';
import type { PortcullisLedger } from './ledger.js';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';
import { detectionSettings, revokerSettings, targetStatements } from './settings.js';
import { explain } from './nag.js';

export interface WorkflowsProps extends EnvironmentProps {
  readonly key: IKey;
  readonly ledger: PortcullisLedger;
  readonly bus: EventBus;
  /** ARNs of the KeyValueStores that the ledger is projected to. */
  readonly stores: readonly string[];
  /**
   * Name of the web ACL whose address sets take blocked networks, as `portcullis waf apply` makes them. Default
   * `<prefix>-<name>`; `null`: networks are refused at minting only.
   */
  readonly webAclName?: string | null;
  /** The bucket that holds the access logs which Athena reads; absent: a folder of this environment's own. */
  readonly logs?: { readonly bucketArn: string };
  /** The Glue database of the access logs. Default `<prefix>_<name>`. */
  readonly database?: string;
  /** How often each workflow runs by itself; `null`: only when started. */
  readonly schedules?: Partial<Record<WorkflowName, Schedule | null>>;
  /** JSON of the revoker's configuration, for the functions. It names secrets and holds none. */
  readonly revokerConfig: string;
  /** The code of a function; default: bundled from `revoker/lambdas/`. */
  readonly code?: (name: FunctionName) => Code;
  /** JSON of the detection's configuration. */
  readonly detectionConfig?: string;
  /** Networks that are never blocked, besides `allow.networks` of the detection's configuration. */
  readonly neverBlock?: readonly string[];
  /** The Glue table of the access logs. Default `cloudfront_logs`. */
  readonly logTable?: string;
  /** How long after a request its log has surely arrived. Default 15 minutes. */
  readonly logDelay?: Duration;
  /** How long a person has to answer: 24 hours at most. Default 4 hours. */
  readonly approvalTime?: Duration;
}

const defaultSchedules: Record<Exclude<WorkflowName, 'detect'>, Schedule | null> = {
  expire: Schedule.rate(Duration.minutes(5)),
  reconcile: Schedule.rate(Duration.hours(6)),
  // Rotation is started by a person or a calendar of yours: it retires keys.
  'rotate-key': null,
};

/** At least once in every window: a window that is asked for twice is taken once, one that is left out is lost. */
function everyWindow(windowSeconds: number): Schedule {
  const minutes = Math.floor(windowSeconds / 60);
  if (minutes < 1) {
    throw new Error(
      `detection.windowSeconds is ${windowSeconds}: a schedule runs once a minute at most. Make it 60 or more, or give schedules.detect.`,
    );
  }
  return Schedule.rate(Duration.minutes(minutes));
}

/** What a workflow is started with by its schedule. */
const scheduledInput: Record<WorkflowName, Record<string, unknown>> = {
  // The time that was meant, not the moment it came about: whoever plans the run aligns its window by it.
  detect: { time: EventField.time },
  expire: {},
  reconcile: {},
  'rotate-key': { edgeSeconds: 60, tokenSeconds: 86_400 },
};

export class PortcullisWorkflows extends Construct {
  readonly functions: Readonly<Record<FunctionName, PortcullisFunction>>;
  readonly stateMachines: Readonly<Record<WorkflowName, StateMachine>>;
  /** Where Athena puts its answers. */
  readonly results: Bucket;
  readonly workGroup: CfnWorkGroup;

  constructor(scope: Construct, id: string, props: WorkflowsProps) {
    super(scope, id);
    const approvalSeconds = (props.approvalTime ?? Duration.hours(4)).toSeconds();
    if (approvalSeconds > longestApproval) {
      throw new Error(`approvalTime is ${approvalSeconds} s: a question stays open for ${longestApproval} s at most.`);
    }
    const stack = Stack.of(this);
    const removalPolicy = dataRemovalOf(props);
    this.results = new Bucket(this, 'Results', {
      encryption: BucketEncryption.KMS,
      encryptionKey: props.key,
      bucketKeyEnabled: true,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_PREFERRED,
      serverAccessLogsPrefix: 'access-log/',
      lifecycleRules: [{ expiration: Duration.days(30), abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      removalPolicy,
    });
    const workGroupName = resourceName(props, 'detection');
    this.workGroup = new CfnWorkGroup(this, 'WorkGroup', {
      name: workGroupName,
      description: 'Portcullis detection queries',
      workGroupConfiguration: {
        enforceWorkGroupConfiguration: true,
        publishCloudWatchMetricsEnabled: true,
        // A query that would read more than this is stopped: the price of a slip is bounded.
        bytesScannedCutoffPerQuery: 1024 ** 4,
        resultConfiguration: {
          outputLocation: `s3://${this.results.bucketName}/athena/`,
          encryptionConfiguration: { encryptionOption: 'SSE_KMS', kmsKey: props.key.keyArn },
        },
      },
      recursiveDeleteOption: true,
    });
    const database = props.database ?? `${props.prefix}_${props.name}`.replace(/-/g, '_');
    const webAclName = props.webAclName === undefined ? `${props.prefix}-${props.name}` : props.webAclName;
    const revoker = revokerSettings(props.revokerConfig);
    const detectionConfig = props.detectionConfig ?? '{}';
    const detection = detectionSettings(detectionConfig);
    const neverBlock = [...new Set([...detection.allow.networks, ...(props.neverBlock ?? [])])];
    const environment = {
      LEDGER_TABLE: props.ledger.table.tableName,
      REVOKER_CONFIG: props.revokerConfig,
      DETECTION_CONFIG: detectionConfig,
      EVENT_BUS: props.bus.eventBusName,
      ...(webAclName === null ? {} : { WAF_PREFIX: webAclName }),
      ...(neverBlock.length === 0 ? {} : { WAF_ALLOW: neverBlock.join(',') }),
      ATHENA_DATABASE: database,
      ATHENA_TABLE: props.logTable ?? 'cloudfront_logs',
      LOG_DELAY_SECONDS: String((props.logDelay ?? Duration.minutes(15)).toSeconds()),
      APPROVAL_SECONDS: String(approvalSeconds),
    };
    const secrets = stack.formatArn({
      service: 'secretsmanager',
      resource: 'secret',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      resourceName: `${props.prefix}/*`,
    });
    const grants = statementsFor(props, {
      workGroup: stack.formatArn({ service: 'athena', resource: 'workgroup', resourceName: workGroupName }),
      results: this.results,
      secrets,
      webAclName,
      targets: targetStatements(stack, revoker),
    });
    const long = new Set<FunctionName>(['Expire', 'Compare', 'Repair']);
    this.functions = Object.fromEntries(
      functionNames.map((name) => [
        name,
        new PortcullisFunction(this, name, {
          ...props,
          part: kebab(name),
          description: `Portcullis revoker: ${kebab(name).replace(/-/g, ' ')}`,
          code: (props.code ?? functionCode)(name),
          environment,
          logKey: props.key,
          timeout: long.has(name) ? Duration.minutes(15) : Duration.minutes(5),
          memory: 1024,
          statements: grants[name],
        }),
      ]),
    ) as Record<FunctionName, PortcullisFunction>;

    const arns = Object.fromEntries(
      functionNames.map((name) => [`${name}Arn`, this.functions[name].function.functionArn]),
    );
    this.stateMachines = Object.fromEntries(
      (Object.keys(workflows) as WorkflowName[]).map((name) => [
        name,
        this.#stateMachine(props, name, {
          schedule: scheduleOf(props, name, detection.windowSeconds),
          substitutions: { ...arns, WorkGroup: workGroupName, Database: database },
        }),
      ]),
    ) as Record<WorkflowName, StateMachine>;

    const { detect } = this.stateMachines;
    for (const statement of athenaStatements(props, database, this.results, this.workGroup)) {
      detect.addToRolePolicy(statement);
    }
    // Asking answers at once where a run that is started again was answered before. By name: the machine names both.
    const detectArn = stack.formatArn({
      service: 'states',
      resource: 'stateMachine',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      resourceName: resourceName(props, 'detect'),
    });
    for (const name of ['AskApproval', 'AnswerApproval'] as const) {
      this.functions[name].role.addToPolicy(allow(['states:SendTaskSuccess'], [detectArn]));
    }
    this.#explain();
  }

  #stateMachine(
    props: WorkflowsProps,
    name: WorkflowName,
    { schedule, substitutions }: { schedule: Schedule | null; substitutions: Record<string, string> },
  ): StateMachine {
    const file = join(repositoryRoot(), 'revoker', 'workflows', `${name}.asl.json`);
    const used = new Set([...readFileSync(file, 'utf8').matchAll(/\$\{(\w+)\}/g)].map((match) => match[1] as string));
    const log = new LogGroup(this, `${name}Log`, {
      logGroupName: `/aws/vendedlogs/states/${resourceName(props, name)}`,
      retention: RetentionDays.THREE_MONTHS,
      encryptionKey: props.key,
      removalPolicy: dataRemovalOf(props),
    });
    const machine = new StateMachine(this, `${name}Machine`, {
      stateMachineName: resourceName(props, name),
      definitionBody: DefinitionBody.fromString(readFileSync(file, 'utf8')),
      definitionSubstitutions: Object.fromEntries(Object.entries(substitutions).filter(([key]) => used.has(key))),
      // Ids of sessions and accounts travel in the state: the log says which step ran, not with what.
      logs: { destination: log, level: LogLevel.ALL, includeExecutionData: false },
      tracingEnabled: true,
    });
    for (const key of used) {
      const functionName = functionNames.find((item) => `${item}Arn` === key);
      if (functionName) {
        machine.addToRolePolicy(allow(['lambda:InvokeFunction'], [this.functions[functionName].function.functionArn]));
      }
    }
    if (schedule) {
      new Rule(this, `${name}Schedule`, {
        ruleName: resourceName(props, name),
        description: `Starts ${resourceName(props, name)}`,
        schedule,
        targets: [
          new SfnStateMachine(machine, { input: RuleTargetInput.fromObject(scheduledInput[name]), retryAttempts: 3 }),
        ],
      });
    }
    return machine;
  }

  #explain(): void {
    for (const machine of Object.values(this.stateMachines)) {
      explain(machine, wildcards, 'X-Ray and the delivery of vended logs accept no narrower resource than *.', [
        'Resource::*',
      ]);
    }
    for (const name of ['PublishKey', 'SignWithKey', 'RetireKey', 'Project', 'Compare', 'Repair'] as const) {
      explain(
        this.functions[name],
        wildcards,
        'Keys are made at run time: their secrets share a name prefix and nothing else is known of their ARNs.',
        [{ regex: '/^Resource::arn:.*:secret:[\\w+=.@-]+(\\/\\*|-[?]{6})$/' }],
      );
    }
    explain(
      this.functions.Block,
      wildcards,
      'WAF lists sets and groups of the whole account only; the sets it may write share a name, whose ids are made at run time.',
      ['Resource::*', { regex: '/^Resource::arn:.*:global\\/(ipset|rulegroup)\\/.*$/' }],
    );
    const objects = { regex: '/^Resource::.*\\/athena\\/\\*$/' };
    explain(this.functions.ReadPage, wildcards, 'Athena names the objects of its answers itself, in one folder.', [
      objects,
    ]);
    explain(
      this.stateMachines.detect,
      wildcards,
      'A query reads the objects of the log bucket and the tables of its own database, and writes into its own folder.',
      [objects, { regex: '/^Resource::arn:.*:table\\/\\w+\\/\\*$/' }, { regex: '/^Resource::arn:aws:s3:::.*\\/\\*$/' }],
    );
  }
}

const wildcards = 'AwsSolutions-IAM5';

function scheduleOf({ schedules }: WorkflowsProps, name: WorkflowName, windowSeconds: number): Schedule | null {
  const given = schedules?.[name];
  if (given !== undefined) return given;
  return name === 'detect' ? everyWindow(windowSeconds) : defaultSchedules[name];
}

function functionCode(name: FunctionName): Code {
  return lambdaCode(`revoker/lambdas/handlers/${kebab(name)}.ts`);
}

function kebab(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

interface GrantResources {
  readonly workGroup: string;
  readonly results: Bucket;
  readonly secrets: string;
  readonly webAclName: string | null;
  readonly targets: readonly PolicyStatement[];
}

/** ARNs of scope CLOUDFRONT: `…:global/<kind>/<name>/<id>`. */
function waf(stack: Stack, kind: 'ipset' | 'rulegroup', name: string): string {
  return stack.formatArn({ service: 'wafv2', resource: 'global', resourceName: `${kind}/${name}` });
}

/** What each function may do. */
function statementsFor(props: WorkflowsProps, resources: GrantResources): Record<FunctionName, PolicyStatement[]> {
  const stack = Stack.of(props.ledger);
  const table = props.ledger.table.tableArn;
  const useKey = allow(['kms:Decrypt', 'kms:GenerateDataKey'], [props.key.keyArn]);
  // The parts of runs, and nothing of what is revoked.
  const runs = [
    new PolicyStatement({
      actions: ['dynamodb:GetItem', 'dynamodb:PutItem'],
      resources: [table],
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['RUN#*'] } },
    }),
    useKey,
  ];
  const ledger = [
    allow(
      [
        'dynamodb:GetItem',
        'dynamodb:BatchGetItem',
        'dynamodb:Query',
        'dynamodb:Scan',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
        'dynamodb:BatchWriteItem',
      ],
      [table],
    ),
    useKey,
  ];
  const readLedger = [
    allow(['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query', 'dynamodb:Scan'], [table]),
    allow(['kms:Decrypt'], [props.key.keyArn]),
  ];
  const readStores =
    props.stores.length === 0
      ? []
      : [
          allow(
            [
              'cloudfront-keyvaluestore:DescribeKeyValueStore',
              'cloudfront-keyvaluestore:GetKey',
              'cloudfront-keyvaluestore:ListKeys',
            ],
            props.stores,
          ),
        ];
  const stores =
    props.stores.length === 0 ? [] : [...readStores, allow(['cloudfront-keyvaluestore:UpdateKeys'], props.stores)];
  const { webAclName, targets } = resources;
  // The revoker makes a further set when one is full, all under one name.
  const ipSets =
    webAclName === null
      ? []
      : [
          allow(['wafv2:ListIPSets', 'wafv2:ListRuleGroups'], ['*']),
          allow(
            ['wafv2:GetIPSet', 'wafv2:UpdateIPSet', 'wafv2:CreateIPSet'],
            [waf(stack, 'ipset', `${webAclName}-blocked-*`)],
          ),
          allow(
            ['wafv2:GetRuleGroup', 'wafv2:UpdateRuleGroup', 'wafv2:CreateRuleGroup'],
            [waf(stack, 'rulegroup', `${webAclName}-blocked/*`), waf(stack, 'ipset', `${webAclName}-blocked-*`)],
          ),
        ];
  // Key records are among what a store is brought to: their secrets are read to write or compare them.
  const readKeys = [allow(['secretsmanager:GetSecretValue'], [resources.secrets])];
  const notify = [allow(['events:PutEvents'], [props.bus.eventBusArn])];
  const keys = [
    ...ledger,
    ...stores,
    ...targets,
    allow(
      [
        'secretsmanager:CreateSecret',
        'secretsmanager:PutSecretValue',
        'secretsmanager:GetSecretValue',
        'secretsmanager:DeleteSecret',
        'secretsmanager:RestoreSecret',
        'secretsmanager:TagResource',
      ],
      [resources.secrets],
    ),
  ];
  return {
    PlanRun: runs,
    ReadPage: [
      ...runs,
      allow(['athena:GetQueryResults', 'athena:GetQueryExecution'], [resources.workGroup]),
      allow(['s3:GetObject'], [resources.results.arnForObjects('athena/*')]),
    ],
    Decide: runs,
    AskApproval: [...runs, ...notify],
    AnswerApproval: runs,
    SettleApproval: runs,
    Record: ledger,
    Project: [...ledger, ...stores, ...readKeys, ...targets],
    Block: [...ledger, ...ipSets],
    Expire: ledger,
    Compare: [...readLedger, ...readStores, ...readKeys, ...targets],
    Repair: [...ledger, ...stores, ...readKeys, ...targets],
    PublishKey: keys,
    SignWithKey: keys,
    RetireKey: keys,
    Report: [...runs, ...notify],
  };
}

/** What the detection workflow itself needs to run a query and wait for it (`startQueryExecution.sync`). */
function athenaStatements(
  props: WorkflowsProps,
  database: string,
  results: Bucket,
  workGroup: CfnWorkGroup,
): PolicyStatement[] {
  const stack = Stack.of(results);
  const glue = (resource: string, resourceName?: string): string =>
    stack.formatArn({ service: 'glue', resource, ...(resourceName === undefined ? {} : { resourceName }) });
  const workGroupArn = Arn.format(
    { service: 'athena', resource: 'workgroup', resourceName: Fn.ref(workGroup.logicalId) },
    stack,
  );
  return [
    allow(
      ['athena:StartQueryExecution', 'athena:GetQueryExecution', 'athena:GetQueryResults', 'athena:StopQueryExecution'],
      [workGroupArn],
    ),
    allow(
      ['glue:GetDatabase', 'glue:GetTable', 'glue:GetPartitions'],
      [glue('catalog'), glue('database', database), glue('table', `${database}/*`)],
    ),
    allow(
      ['s3:GetBucketLocation', 's3:ListBucket'],
      [results.bucketArn, ...(props.logs ? [props.logs.bucketArn] : [])],
    ),
    allow(['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'], [results.arnForObjects('athena/*')]),
    ...(props.logs ? [allow(['s3:GetObject'], [`${props.logs.bucketArn}/*`])] : []),
    allow(['kms:Decrypt', 'kms:GenerateDataKey'], [props.key.keyArn]),
  ];
}
