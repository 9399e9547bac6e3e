// A Lambda@Edge function on origin-request, in us-east-1 as CloudFront wants it, and what the start path's cache behaviour
// needs beside it.
import { Annotations, Duration, Stack, Token } from 'aws-cdk-lib';
import {
  CacheCookieBehavior,
  CacheHeaderBehavior,
  CachePolicy,
  CacheQueryStringBehavior,
  LambdaEdgeEventType,
  OriginRequestPolicy,
  ViewerProtocolPolicy,
  AllowedMethods,
  type EdgeLambda,
  type IOriginRequestPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { CompositePrincipal, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import { Architecture, Function as LambdaFunction, Runtime, type IVersion, type Version } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { explain } from './nag.js';
import { dataRemovalOf, resourceName, tagAll, type EnvironmentProps } from './naming.js';

/** The header that the viewer-request function seals; in the cache key it keeps every start a request of its own. */
export const startHeader = 'x-portcullis-start';

export interface PortcullisEdgeLambdaProps extends EnvironmentProps {
  /** Which handler it is: `start`, `guard` or `origin-secret`. */
  readonly part: string;
  /** The package, `dist/functions/lambda/<part>.zip`. */
  readonly code: Code;
  /** Secrets that it reads: names, or ARNs, with their regions. */
  readonly secrets?: readonly { readonly secret: string; readonly region: string }[];
  /** The table of used one-time tokens, and its regions. */
  readonly oneTime?: { readonly table: string; readonly regions: readonly string[] };
  /** Megabytes. Default 256. */
  readonly memory?: number;
}

/**
 * A Lambda@Edge function with a numbered version and a role that holds what it needs and nothing else.
 *
 * @example
 * const start = new PortcullisEdgeLambda(this, 'Start', {
 *   prefix: 'portcullis', name: 'production', part: 'start',
 *   code: Code.fromAsset('dist/functions/lambda/start.zip'),
 *   secrets: [{ secret: 'portcullis/keys/edge', region: 'us-east-1' }],
 * });
 * new Distribution(this, 'Site', {
 *   defaultBehavior: { origin: web },
 *   additionalBehaviors: { '/start/*': { origin: live, ...guard.behaviour, ...start.startBehaviour } },
 * });
 */
export class PortcullisEdgeLambda extends Construct {
  readonly function: LambdaFunction;
  /** The present code under a number: CloudFront takes no `$LATEST` and no alias. */
  readonly version: Version;
  readonly role: Role;
  #cachePolicy: CachePolicy | undefined;
  readonly #props: PortcullisEdgeLambdaProps;

  constructor(scope: Construct, id: string, props: PortcullisEdgeLambdaProps) {
    super(scope, id);
    this.#props = props;
    tagAll(this, props);
    const { account, partition, region } = Stack.of(this);
    if (!Token.isUnresolved(region) && region !== 'us-east-1')
      Annotations.of(this).addError(`Lambda@Edge functions are made in us-east-1, not in ${region}.`);
    const name = resourceName(props, `edge-${props.part}`);
    this.role = new Role(this, 'Role', {
      assumedBy: new CompositePrincipal(
        new ServicePrincipal('lambda.amazonaws.com'),
        new ServicePrincipal('edgelambda.amazonaws.com'),
      ),
      description: `${name}: its own logs, in every region${props.secrets?.length ? ', and its secrets' : ''}`,
    });
    this.role.addToPolicy(
      new PolicyStatement({
        sid: 'Logs',
        actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
        // Replicas log where they run, under a name that begins with the region they were made in.
        resources: [`arn:${partition}:logs:*:${account}:log-group:/aws/lambda/us-east-1.${name}:*`],
      }),
    );
    explain(
      this.role,
      'AwsSolutions-IAM5',
      'Replicas run in every region, and their log groups have streams by date.',
      [{ regex: '/^Resource::arn:.*:log-group:.*$/' }],
    );
    if (props.secrets && props.secrets.length > 0) {
      this.role.addToPolicy(
        new PolicyStatement({
          sid: 'Secrets',
          actions: ['secretsmanager:GetSecretValue'],
          resources: props.secrets.map(({ secret, region: place }) =>
            secret.startsWith('arn:')
              ? secret
              : `arn:${partition}:secretsmanager:${place}:${account}:secret:${secret}-??????`,
          ),
        }),
      );
      explain(
        this.role,
        'AwsSolutions-IAM5',
        'Secrets Manager ends the names of secrets with six characters of its own.',
        [{ regex: '/^Resource::arn:.*:secret:.*-\\?\\?\\?\\?\\?\\?$/' }],
      );
    }
    if (props.oneTime) {
      const { table, regions } = props.oneTime;
      this.role.addToPolicy(
        new PolicyStatement({
          sid: 'UsedTokens',
          actions: ['dynamodb:UpdateItem'],
          resources: regions.map((place) => `arn:${partition}:dynamodb:${place}:${account}:table/${table}`),
        }),
      );
    }
    this.function = new LambdaFunction(this, 'Function', {
      functionName: name,
      description: `Portcullis ${props.part} at the edge, ${props.name}`,
      runtime: Runtime.NODEJS_22_X,
      // Lambda@Edge has no ARM, no environment variables, no VPC and no layers.
      architecture: Architecture.X86_64,
      code: props.code,
      handler: 'index.handler',
      role: this.role.withoutPolicyUpdates(),
      timeout: Duration.seconds(10),
      memorySize: props.memory ?? 256,
    });
    explain(this.function, 'AwsSolutions-L1', 'The runtime that the packages are built and tested for.');
    this.version = this.function.currentVersion;
  }

  /** The association of a behaviour. */
  get edgeLambda(): EdgeLambda {
    return { functionVersion: this.version as IVersion, eventType: LambdaEdgeEventType.ORIGIN_REQUEST };
  }

  /** What the start path's behaviour needs, to spread into its options behind the guard's. */
  get startBehaviour(): {
    edgeLambdas: EdgeLambda[];
    cachePolicy: CachePolicy;
    originRequestPolicy: IOriginRequestPolicy;
    viewerProtocolPolicy: ViewerProtocolPolicy;
    allowedMethods: AllowedMethods;
  } {
    this.#cachePolicy ??= new CachePolicy(this, 'Starts', {
      cachePolicyName: resourceName(this.#props, `starts-${Stack.of(this).region}`),
      comment: 'Keeps no start, and lets none wait for the answer to another',
      minTtl: Duration.seconds(0),
      defaultTtl: Duration.seconds(0),
      // With a maximum of 0 CloudFront takes no headers into the key.
      maxTtl: Duration.seconds(1),
      headerBehavior: CacheHeaderBehavior.allowList(startHeader),
      cookieBehavior: CacheCookieBehavior.none(),
      queryStringBehavior: CacheQueryStringBehavior.none(),
    });
    return {
      edgeLambdas: [this.edgeLambda],
      cachePolicy: this.#cachePolicy,
      originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_AND_CLOUDFRONT_2022,
      viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
      allowedMethods: AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
    };
  }
}

export interface PortcullisOneTimeTableProps extends EnvironmentProps {
  /** Regions besides the stack's own; only for `choose: 'nearest'`. */
  readonly replicas?: readonly string[];
}

/** The table of used one-time tokens. */
export class PortcullisOneTimeTable extends Construct {
  readonly table: TableV2;

  constructor(scope: Construct, id: string, props: PortcullisOneTimeTableProps) {
    super(scope, id);
    tagAll(this, props);
    this.table = new TableV2(this, 'Table', {
      tableName: resourceName(props, 'once'),
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      billing: Billing.onDemand(),
      timeToLiveAttribute: 'ttl',
      // Hashes of tokens, for as long as these live: nothing to restore, and nobody else's key to ask for.
      encryption: TableEncryptionV2.awsManagedKey(),
      removalPolicy: dataRemovalOf(props),
      ...(props.replicas === undefined ? {} : { replicas: props.replicas.map((region) => ({ region })) }),
    });
    explain(
      this.table,
      'AwsSolutions-DDB3',
      'What is lost with it are tokens that can be used once more until they end.',
    );
  }
}
