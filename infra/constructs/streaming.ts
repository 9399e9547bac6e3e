// The streaming path: real-time logs to Kinesis, read in windows by one Lambda.
import { ArnFormat, Duration, Stack } from 'aws-cdk-lib';
import { CfnRealtimeLogConfig } from 'aws-cdk-lib/aws-cloudfront';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { EventSourceMapping, StartingPosition, type Code } from 'aws-cdk-lib/aws-lambda';
import { SqsDlq } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { realTimeFields } from '../../revoker/detection/fields.js';
import { allow, PortcullisFunction } from './function.js';
import { dataTable, type PortcullisLedger } from './ledger.js';
import { explain } from './nag.js';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';
import { checkedFields, detectionSettings, revokerSettings, targetStatements } from './settings.js';

export interface StreamingProps extends EnvironmentProps {
  readonly key: IKey;
  readonly ledger: PortcullisLedger;
  readonly stores: readonly string[];
  /** The real-time log's fields, in order: the consumer is given the same list. Default: those that detection makes use of. */
  readonly fields?: readonly string[];
  /** Percent of the requests that are logged. Default 100. */
  readonly samplingRate?: number;
  /** The consumer's code. */
  readonly code: Code;
  /** JSON of the revoker's and the detection's configuration. */
  readonly revokerConfig: string;
  readonly detectionConfig?: string;
  /** Seconds of one tumbling window: how often sessions are judged. Default 15. */
  readonly window?: number;
}

export class PortcullisStreaming extends Construct {
  readonly stream: Stream;
  readonly logConfig: CfnRealtimeLogConfig;
  readonly consumer: PortcullisFunction;
  readonly failed: Queue;
  /** Sessions under way. Apart from the ledger, which is read whole by who compares, repairs and ends. */
  readonly aggregates: TableV2;

  constructor(scope: Construct, id: string, props: StreamingProps) {
    super(scope, id);
    const fields = checkedFields(props.fields ?? realTimeFields);
    const targets = targetStatements(Stack.of(this), revokerSettings(props.revokerConfig));
    detectionSettings(props.detectionConfig ?? '{}');
    this.stream = new Stream(this, 'Stream', {
      streamName: resourceName(props, 'requests'),
      // Live events come in waves; on demand, nobody sizes shards before a final.
      streamMode: StreamMode.ON_DEMAND,
      // The service's own key: one of ours would be paid for by every shard and consumer.
      encryption: StreamEncryption.MANAGED,
      retentionPeriod: Duration.hours(24),
      removalPolicy: dataRemovalOf(props),
    });
    const writer = new Role(this, 'Writer', {
      assumedBy: new ServicePrincipal('cloudfront.amazonaws.com'),
      description: 'CloudFront writes real-time logs into the stream',
    });
    const write = [
      allow(
        ['kinesis:DescribeStreamSummary', 'kinesis:DescribeStream', 'kinesis:PutRecord', 'kinesis:PutRecords'],
        [this.stream.streamArn],
      ),
    ];
    for (const statement of write) writer.addToPolicy(statement);
    this.logConfig = new CfnRealtimeLogConfig(this, 'LogConfig', {
      name: resourceName(props, 'requests'),
      samplingRate: props.samplingRate ?? 100,
      fields: [...fields],
      endPoints: [
        {
          streamType: 'Kinesis',
          kinesisStreamConfig: { roleArn: writer.roleArn, streamArn: this.stream.streamArn },
        },
      ],
    });
    this.logConfig.node.addDependency(writer);
    this.failed = new Queue(this, 'Failed', {
      queueName: resourceName(props, 'failed-windows'),
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: props.key,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    this.aggregates = dataTable(this, 'Aggregates', { ...props, part: 'aggregates' });
    this.consumer = new PortcullisFunction(this, 'Consumer', {
      ...props,
      part: 'stream',
      description: 'Portcullis revoker: judges sessions from the real-time log',
      code: props.code,
      environment: {
        LEDGER_TABLE: props.ledger.table.tableName,
        AGGREGATES_TABLE: this.aggregates.tableName,
        REVOKER_CONFIG: props.revokerConfig,
        DETECTION_CONFIG: props.detectionConfig ?? '{}',
        LOG_FIELDS: fields.join(','),
      },
      logKey: props.key,
      timeout: Duration.minutes(1),
      memory: 1024,
      statements: [
        allow(
          [
            'kinesis:DescribeStreamSummary',
            'kinesis:DescribeStream',
            'kinesis:GetRecords',
            'kinesis:GetShardIterator',
            'kinesis:ListShards',
          ],
          [this.stream.streamArn],
        ),
        allow(
          [
            'dynamodb:GetItem',
            'dynamodb:BatchGetItem',
            'dynamodb:Query',
            'dynamodb:PutItem',
            'dynamodb:UpdateItem',
            'dynamodb:DeleteItem',
            'dynamodb:BatchWriteItem',
          ],
          [props.ledger.table.tableArn],
        ),
        allow(['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'], [this.aggregates.tableArn]),
        ...(props.stores.length === 0
          ? []
          : [
              allow(
                [
                  'cloudfront-keyvaluestore:DescribeKeyValueStore',
                  'cloudfront-keyvaluestore:GetKey',
                  'cloudfront-keyvaluestore:ListKeys',
                  'cloudfront-keyvaluestore:UpdateKeys',
                ],
                props.stores,
              ),
            ]),
        allow(['kms:Decrypt', 'kms:GenerateDataKey'], [props.key.keyArn]),
        allow(['sqs:SendMessage'], [this.failed.queueArn]),
        ...targets,
      ],
    });
    new EventSourceMapping(this, 'Windows', {
      target: this.consumer.function,
      eventSourceArn: this.stream.streamArn,
      startingPosition: StartingPosition.LATEST,
      batchSize: 10_000,
      maxBatchingWindow: Duration.seconds(5),
      tumblingWindow: Duration.seconds(props.window ?? 15),
      parallelizationFactor: 1,
      bisectBatchOnError: true,
      reportBatchItemFailures: true,
      retryAttempts: 5,
      maxRecordAge: Duration.hours(1),
      onFailure: new SqsDlq(this.failed),
    }).node.addDependency(this.consumer.role);
    explain(
      this.consumer,
      'AwsSolutions-IAM5',
      "A webhook's secret is made at run time; its ARN ends in six characters that only Secrets Manager knows.",
      [{ regex: '/^Resource::arn:.*:secret:[\\w+=.@\\/-]+-[?]{6}$/' }],
    );
    explain(this.failed, 'AwsSolutions-SQS3', 'It is itself where failed windows end up.');
  }

  /** The ARN to set as `RealtimeLogConfigArn` of the guarded behaviours. */
  get logConfigArn(): string {
    return Stack.of(this).formatArn({
      service: 'cloudfront',
      region: '',
      resource: 'realtime-log-config',
      resourceName: this.logConfig.name,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
  }
}
