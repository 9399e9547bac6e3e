import { ArnFormat, CfnOutput, Stack, type RemovalPolicy, type StackProps } from 'aws-cdk-lib';
import type { Schedule } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { FunctionName, WorkflowName } from '../revoker/workflows/index.js';
import { environmentKey } from './constructs/key.js';
import { PortcullisLedger } from './constructs/ledger.js';
import { PortcullisMonitoring } from './constructs/monitoring.js';
import { tagAll, type EnvironmentProps } from './constructs/naming.js';
import { PortcullisNotices } from './constructs/notices.js';
import { PortcullisStreaming, type StreamingProps } from './constructs/streaming.js';
import { PortcullisVending, type VendingProps } from './constructs/vending.js';
import { PortcullisWorkflows, type WorkflowsProps } from './constructs/workflows.js';
import { lambdaCode } from './lambda-code.js';
import type { GateExpectation } from './watch/gate.js';

/** CloudFront, its WAF and its metrics live there. */
export const portcullisRegion = 'us-east-1';

export interface PortcullisStackProps
  extends
    StackProps,
    Omit<EnvironmentProps, 'dataRemoval'>,
    Pick<WorkflowsProps, 'webAclName' | 'neverBlock' | 'logTable' | 'logDelay' | 'approvalTime'> {
  /** ARNs of the KeyValueStores to project revocations to. */
  readonly stores: readonly string[];
  /** What the watch looks after; `portcullis deploy status --json` prints it. Absent: no watch and no alarms. */
  readonly gate?: GateExpectation;
  /** The vending API; absent: none. */
  readonly vending?: Pick<
    VendingProps,
    'issuer' | 'placement' | 'format' | 'hosts' | 'secretName' | 'tokenLife' | 'authorizer' | 'requestsPerSecond'
  >;
  /** The streaming path; absent: none. */
  readonly streaming?: Pick<StreamingProps, 'fields' | 'samplingRate' | 'window'> & { readonly code?: Code };
  /** The bucket with the access logs that Athena reads. */
  readonly logs?: { readonly bucketArn: string };
  readonly database?: string;
  readonly emails?: readonly string[];
  readonly schedules?: Partial<Record<WorkflowName, Schedule | null>>;
  /** JSON of the sections `revoker` and `detection` of the configuration. */
  readonly revokerConfig?: string;
  readonly detectionConfig?: string;
  readonly dataRemoval?: RemovalPolicy;
  /** The code of the revoker's functions; default: bundled from this repository. */
  readonly functionCode?: (name: FunctionName) => Code;
}

/** The regional parts of one environment. */
export class PortcullisStack extends Stack {
  readonly ledger: PortcullisLedger;
  readonly workflows: PortcullisWorkflows;
  readonly notices: PortcullisNotices;
  readonly vending: PortcullisVending | undefined;
  readonly streaming: PortcullisStreaming | undefined;
  readonly monitoring: PortcullisMonitoring | undefined;

  constructor(scope: Construct, id: string, props: PortcullisStackProps) {
    super(scope, id, {
      description: `Portcullis ${props.name}: ledger, detection, revocation, vending`,
      env: { region: portcullisRegion },
      ...props,
    });
    tagAll(this, props);
    const environment: EnvironmentProps = {
      name: props.name,
      prefix: props.prefix,
      ...(props.dataRemoval === undefined ? {} : { dataRemoval: props.dataRemoval }),
    };
    const key = environmentKey(this, environment);
    allowLogs(this, key);
    this.ledger = new PortcullisLedger(this, 'Ledger', { ...environment, key });
    this.notices = new PortcullisNotices(this, 'Notices', {
      ...environment,
      key,
      ...(props.emails === undefined ? {} : { emails: props.emails }),
    });
    const revokerConfig = props.revokerConfig ?? JSON.stringify({ stores: props.stores.map((arn) => ({ arn })) });
    this.workflows = new PortcullisWorkflows(this, 'Workflows', {
      ...environment,
      key,
      ledger: this.ledger,
      bus: this.notices.bus,
      stores: props.stores,
      revokerConfig,
      ...(props.functionCode === undefined ? {} : { code: props.functionCode }),
      ...(props.detectionConfig === undefined ? {} : { detectionConfig: props.detectionConfig }),
      ...(props.logs === undefined ? {} : { logs: props.logs }),
      ...(props.database === undefined ? {} : { database: props.database }),
      ...(props.schedules === undefined ? {} : { schedules: props.schedules }),
      ...(props.webAclName === undefined ? {} : { webAclName: props.webAclName }),
      ...(props.neverBlock === undefined ? {} : { neverBlock: props.neverBlock }),
      ...(props.logTable === undefined ? {} : { logTable: props.logTable }),
      ...(props.logDelay === undefined ? {} : { logDelay: props.logDelay }),
      ...(props.approvalTime === undefined ? {} : { approvalTime: props.approvalTime }),
    });
    this.vending =
      props.vending === undefined
        ? undefined
        : new PortcullisVending(this, 'Vending', { ...environment, ...props.vending, key, ledger: this.ledger });
    this.streaming =
      props.streaming === undefined
        ? undefined
        : new PortcullisStreaming(this, 'Streaming', {
            ...environment,
            key,
            ledger: this.ledger,
            stores: props.stores,
            ...props.streaming,
            code: props.streaming.code ?? lambdaCode('revoker/streaming/lambda.ts'),
            revokerConfig,
            ...(props.detectionConfig === undefined ? {} : { detectionConfig: props.detectionConfig }),
          });
    this.monitoring =
      props.gate === undefined
        ? undefined
        : new PortcullisMonitoring(this, 'Monitoring', {
            ...environment,
            key,
            topic: this.notices.topic,
            gate: props.gate,
            stateMachines: this.workflows.stateMachines,
            ...(this.streaming === undefined ? {} : { failedWindows: this.streaming.failed }),
          });
    this.#outputs();
  }

  /** What the command line reads from `cdk deploy --outputs-file .portcullis/outputs.json`. */
  #outputs(): void {
    const output = (name: string, value: string, description: string): void => {
      new CfnOutput(this, name, { value, description });
    };
    output('LedgerTable', this.ledger.table.tableName, 'deployment.record.table, revoker.ledger.table');
    output('NoticesTopic', this.notices.topic.topicArn, 'Where approvals, faults and alarms go');
    for (const [name, machine] of Object.entries(this.workflows.stateMachines)) {
      output(
        `Workflow${name.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase())}`,
        machine.stateMachineArn,
        `The workflow ${name}`,
      );
    }
    if (this.vending) output('VendingUrl', this.vending.api.apiEndpoint, 'POST /sign, signed with IAM');
    if (this.streaming)
      output('RealtimeLogConfig', this.streaming.logConfigArn, 'RealtimeLogConfigArn of the guarded behaviours');
  }
}

/** CloudWatch Logs encrypts with the key only where the key's own policy says so. */
function allowLogs(stack: Stack, key: ReturnType<typeof environmentKey>): void {
  const principal = new ServicePrincipal(`logs.${stack.region}.amazonaws.com`);
  key.addToResourcePolicy(
    new PolicyStatement({
      sid: 'Logs',
      principals: [principal],
      actions: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
      resources: ['*'],
      conditions: {
        ArnLike: {
          'kms:EncryptionContext:aws:logs:arn': stack.formatArn({
            service: 'logs',
            resource: 'log-group',
            resourceName: '*',
            arnFormat: ArnFormat.COLON_RESOURCE_NAME,
          }),
        },
      },
    }),
  );
}
