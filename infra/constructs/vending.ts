// The vending API: an HTTP API that signs playback URLs for callers whom IAM has authenticated.
import { ArnFormat, Duration, Stack } from 'aws-cdk-lib';
import type { CfnStage } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpApi, HttpMethod, type IHttpRouteAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Placement } from '@portcullis/tokens';
import { Construct } from 'constructs';
import { lambdaCode } from '../lambda-code.js';
import { allow, PortcullisFunction } from './function.js';
import type { PortcullisLedger } from './ledger.js';
import { explain } from './nag.js';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';

export interface VendingProps extends EnvironmentProps {
  readonly key: IKey;
  readonly ledger: PortcullisLedger;
  readonly issuer: string;
  readonly placement: Placement;
  readonly format?: 'cat' | 'jwt';
  /** Hosts that may be signed for. */
  readonly hosts: readonly string[];
  /** Name of the secret with the signing key, made at run time by `portcullis keys add --sign`. */
  readonly secretName?: string;
  /** Longest life of a token. Default one hour. */
  readonly tokenLife?: Duration;
  /** Default: IAM (callers sign their requests). */
  readonly authorizer?: IHttpRouteAuthorizer;
  /** Requests a second over which callers are told to wait. Default 500. */
  readonly requestsPerSecond?: number;
}

export class PortcullisVending extends Construct {
  readonly api: HttpApi;
  readonly function: PortcullisFunction;

  constructor(scope: Construct, id: string, props: VendingProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const secretName = props.secretName ?? `${props.prefix}/signing`;
    const secretArn = stack.formatArn({
      service: 'secretsmanager',
      resource: 'secret',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      // Secrets Manager ends the name with a hyphen and six characters of its own.
      resourceName: `${secretName}-??????`,
    });
    this.function = new PortcullisFunction(this, 'Signer', {
      ...props,
      part: 'vending',
      description: 'Portcullis: signs playback URLs',
      code: lambdaCode('infra/vending/handler.ts'),
      environment: {
        LEDGER_TABLE: props.ledger.table.tableName,
        VENDING_CONFIG: JSON.stringify({
          issuer: props.issuer,
          format: props.format ?? 'cat',
          placement: props.placement,
          secret: secretName,
          hosts: props.hosts,
          tokenSeconds: (props.tokenLife ?? Duration.hours(1)).toSeconds(),
        }),
      },
      logKey: props.key,
      timeout: Duration.seconds(10),
      statements: [
        allow(['dynamodb:GetItem', 'dynamodb:BatchGetItem'], [props.ledger.table.tableArn]),
        allow(['secretsmanager:GetSecretValue'], [secretArn]),
        allow(['kms:Decrypt'], [props.key.keyArn]),
      ],
    });
    explain(
      this.function,
      'AwsSolutions-IAM5',
      'The secret is made at run time; its ARN ends in six characters that only Secrets Manager knows.',
      [
        `Resource::arn:<AWS::Partition>:secretsmanager:${stack.region}:${stack.account}:secret:${secretName}-??????`,
        `Resource::arn:<AWS::Partition>:secretsmanager:us-east-1:<AWS::AccountId>:secret:${secretName}-??????`,
      ],
    );
    this.api = new HttpApi(this, 'Api', {
      apiName: resourceName(props, 'vending'),
      description: 'Signs playback URLs',
      createDefaultStage: true,
    });
    this.api.addRoutes({
      path: '/sign',
      methods: [HttpMethod.POST],
      integration: new HttpLambdaIntegration('Sign', this.function.function),
      authorizer: props.authorizer ?? new HttpIamAuthorizer(),
    });
    const log = new LogGroup(this, 'AccessLog', {
      logGroupName: `/aws/vendedlogs/apigateway/${resourceName(props, 'vending')}`,
      retention: RetentionDays.THREE_MONTHS,
      encryptionKey: props.key,
      removalPolicy: dataRemovalOf(props),
    });
    const stage = this.api.defaultStage?.node.defaultChild as CfnStage;
    stage.accessLogSettings = {
      destinationArn: log.logGroupArn,
      // Neither body nor answer: the answer holds a token.
      format: JSON.stringify({
        requestId: '$context.requestId',
        time: '$context.requestTimeEpoch',
        caller: '$context.identity.caller',
        status: '$context.status',
        latency: '$context.responseLatency',
      }),
    };
    const rate = props.requestsPerSecond ?? 500;
    stage.defaultRouteSettings = { throttlingRateLimit: rate, throttlingBurstLimit: rate * 2 };
  }
}
