/**
 * Amazon States Language (states-language.net, JSONPath flavour) as types: the part of it that the workflows use. A
 * definition that names a state that is not there does not get past {@link checkMachine}.
 */

/** A reference path or context path: `$.run`, `$$.Execution.Name`. */
export type Path = `$${string}`;

/** JSON in which a key that ends in `.$` takes its value from a path. */
export type Template = { readonly [key: string]: Template | string | number | boolean | null | readonly Template[] };

export interface Retrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds: number;
  readonly MaxAttempts: number;
  readonly BackoffRate: number;
  readonly MaxDelaySeconds: number;
  /** Spreads those who failed together over time. */
  readonly JitterStrategy: 'FULL';
}

export interface Catcher {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath: Path | null;
  readonly Next: string;
}

type Continuation = { readonly Next: string; readonly End?: never } | { readonly End: true; readonly Next?: never };

interface Common {
  readonly Comment?: string;
}

export type Task = Common &
  Continuation & {
    readonly Type: 'Task';
    readonly Resource: string;
    readonly Parameters?: Template;
    readonly ResultSelector?: Template;
    readonly ResultPath?: Path | null;
    readonly OutputPath?: Path;
    readonly Retry?: readonly Retrier[];
    readonly Catch?: readonly Catcher[];
  } & (
    | { readonly TimeoutSeconds: number; readonly TimeoutSecondsPath?: never }
    | { readonly TimeoutSecondsPath: Path; readonly TimeoutSeconds?: never }
  );

export type MapState = Common &
  Continuation & {
    readonly Type: 'Map';
    readonly ItemsPath: Path;
    readonly ItemSelector: Template;
    /** 0 would mean without bound. */
    readonly MaxConcurrency: number;
    readonly ItemProcessor: Branch & { readonly ProcessorConfig: { readonly Mode: 'INLINE' } };
    readonly ResultPath: Path | null;
    readonly Retry?: readonly Retrier[];
    readonly Catch?: readonly Catcher[];
  };

export interface Rule {
  readonly Variable: Path;
  readonly BooleanEquals?: boolean;
  readonly NumericGreaterThan?: number;
  readonly IsNull?: boolean;
  readonly Next: string;
}

export interface Choice extends Common {
  readonly Type: 'Choice';
  readonly Choices: readonly Rule[];
  readonly Default: string;
}

export type Wait = Common &
  Continuation & { readonly Type: 'Wait' } & ({ readonly SecondsPath: Path } | { readonly TimestampPath: Path });

export type Pass = Common &
  Continuation & {
    readonly Type: 'Pass';
    readonly Result?: Template;
    readonly Parameters?: Template;
    readonly ResultPath?: Path;
  };

export interface Succeed extends Common {
  readonly Type: 'Succeed';
}

export interface Fail extends Common {
  readonly Type: 'Fail';
  readonly ErrorPath?: Path;
  readonly CausePath?: Path;
  readonly Error?: string;
  readonly Cause?: string;
}

export type State = Task | MapState | Choice | Wait | Pass | Succeed | Fail;
export type States = Readonly<Record<string, State>>;

export interface Branch {
  readonly StartAt: string;
  readonly States: States;
}

export interface Machine extends Branch {
  readonly Comment: string;
  /** Seconds after which the execution is ended. */
  readonly TimeoutSeconds: number;
}

/** Where a state can go next. */
function successors(state: State): string[] {
  const next = 'Next' in state && state.Next ? [state.Next] : [];
  const caught = 'Catch' in state && state.Catch ? state.Catch.map((catcher) => catcher.Next) : [];
  if (state.Type === 'Choice') return [...state.Choices.map((rule) => rule.Next), state.Default];
  return [...next, ...caught];
}

/**
 * Refuses a definition with a transition to nowhere, a state nobody reaches, or a Map without a bound.
 * @throws Error naming the state
 */
export function checkMachine<Checked extends Branch>(branch: Checked): Checked {
  const reached = new Set<string>();
  const open = [branch.StartAt];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (reached.has(name)) continue;
    const state = branch.States[name];
    if (!state) throw new Error(`There is no state "${name}".`);
    reached.add(name);
    open.push(...successors(state));
    if (state.Type === 'Map') {
      if (state.MaxConcurrency < 1) throw new Error(`Map "${name}" has no bound on its concurrency.`);
      checkMachine(state.ItemProcessor);
    }
  }
  const orphan = Object.keys(branch.States).find((name) => !reached.has(name));
  if (orphan !== undefined) throw new Error(`No transition leads to state "${orphan}".`);
  return branch;
}
