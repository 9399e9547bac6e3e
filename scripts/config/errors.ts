import { CliError } from '../cli/output.js';

/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  /** Where: `placements.path.0.prefix`; empty for the configuration as a whole. */
  readonly path: string;
  /** What was expected there, or what else is wrong. */
  readonly message: string;
}

/** A configuration that cannot be used; the message names every problem with its path. */
export class ConfigError extends CliError {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
    super('invalid_config', `${file}:\n  ${lines.join('\n  ')}`, {
      exitCode: 2,
      hint: 'Every setting is described in docs/configuration.md.',
    });
    this.name = 'ConfigError';
    this.file = file;
    this.problems = problems;
  }
}
