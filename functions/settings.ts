/** How refusals and answers look; the deployment's choice, compiled in. */
export interface FunctionSettings {
  /** Status by reason where it is not 401. */
  readonly status: Readonly<Record<string, number>>;
  /** Whether the header `x-portcullis-reason` tells the reason. */
  readonly reasonHeader: boolean;
  /** Response headers that scripts of other origins may read, separated by commas; `*`, which credentials rule out. */
  readonly exposed: string;
  /** Origins that may read answers; undefined: any (`*`), which rules out credentials. */
  readonly corsOrigins?: readonly string[] | undefined;
  readonly corsCredentials: boolean;
  /** The headers that preflights are answered with. */
  readonly preflight: Readonly<Record<string, { readonly value: string }>>;
  /** The share of admitted requests that are logged, 0 to 1. */
  readonly sample: number;
  /** Seconds that a player is asked to wait before it tries again after a fault of ours. */
  readonly retryAfter: string;
}
