// What a deployment takes from the configuration: its own section, and what the functions will be like.
import type { Placement } from '@portcullis/tokens';
import type { DeploymentConfig } from './config.js';
import type { AttachedStage, CompiledFunctions, PolicyFacts } from './state.js';

export interface DeployConfiguration {
  readonly deployment: DeploymentConfig;
  readonly facts: PolicyFacts;
  /** What test tokens are like. */
  readonly tokens: {
    readonly format: 'cat' | 'jwt';
    readonly issuer: string | null;
    readonly audience?: string | undefined;
    readonly placement: Placement;
    /** Request headers that every viewer's player sends, such as the origin of an allowed page. */
    readonly headers?: Readonly<Record<string, string>> | undefined;
  };
  /** Compiles the functions with a stage's mode as the default. */
  compile(stage: AttachedStage): Promise<CompiledFunctions>;
}

/** Reads a configuration file. */
export type LoadDeployConfiguration = (file: string) => Promise<DeployConfiguration>;
