import { Duration } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, Function as LambdaFunction, Runtime, Tracing, type Code } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';

export interface PortcullisFunctionProps extends EnvironmentProps {
  /** Last part of the function's name. */
  readonly part: string;
  readonly description: string;
  readonly code: Code;
  /** Named export of the bundle. Default `handler`. */
  readonly handler?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly logKey: IKey;
  readonly timeout?: Duration;
  /** Megabytes. Default 512. */
  readonly memory?: number;
  /** What the function may do, besides writing its own log. */
  readonly statements?: readonly PolicyStatement[];
  /** At most so many at once; absent: no reservation. */
  readonly reservedConcurrency?: number;
}

/** A Lambda with a role of its own that holds what it needs and nothing else, and an encrypted log with an end. */
export class PortcullisFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: PortcullisFunctionProps) {
    super(scope, id);
    const name = resourceName(props, props.part);
    const log = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${name}`,
      retention: RetentionDays.THREE_MONTHS,
      encryptionKey: props.logKey,
      removalPolicy: dataRemovalOf(props),
    });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `${name}: its own log${props.statements?.length ? ' and what it works on' : ''}`,
    });
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [log.logGroupArn],
      }),
    );
    for (const statement of props.statements ?? []) this.role.addToPolicy(statement);
    this.function = new LambdaFunction(this, 'Function', {
      functionName: name,
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: props.code,
      handler: `index.${props.handler ?? 'handler'}`,
      role: this.role.withoutPolicyUpdates(),
      environment: { ...props.environment },
      environmentEncryption: props.logKey,
      logGroup: log,
      timeout: props.timeout ?? Duration.seconds(30),
      memorySize: props.memory ?? 512,
      tracing: Tracing.DISABLED,
      ...(props.reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: props.reservedConcurrency }),
    });
  }
}

/** A statement that allows actions on resources. */
export function allow(actions: readonly string[], resources: readonly string[]): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions: [...actions], resources: [...resources] });
}
