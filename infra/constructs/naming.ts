import { RemovalPolicy, Tags } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** What every construct of an environment shares. */
export interface EnvironmentProps {
  /** The environment's name, as in `deployment.name`. */
  readonly name: string;
  /** First part of every resource's name, as in `deployment.prefix`. */
  readonly prefix: string;
  /**
   * What becomes of data (ledger, logs) when the stack is deleted. Default: kept. `DESTROY` suits trial environments.
   */
  readonly dataRemoval?: RemovalPolicy;
}

/** `portcullis-production-<part>`. */
export function resourceName(props: EnvironmentProps, part: string): string {
  return `${props.prefix}-${props.name}-${part}`;
}

export function dataRemovalOf(props: EnvironmentProps): RemovalPolicy {
  return props.dataRemoval ?? RemovalPolicy.RETAIN;
}

/** Tags by which everything of an environment is found, and its cost told apart. */
export function tagAll(scope: IConstruct, props: EnvironmentProps): void {
  Tags.of(scope).add('portcullis:environment', props.name);
  Tags.of(scope).add('portcullis:managed-by', 'cdk');
}
