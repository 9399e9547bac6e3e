import { NagSuppressions } from 'cdk-nag';
import type { IConstruct } from 'constructs';

/** Answers a finding of cdk-nag with its reason. For wildcards, only the named ones are answered. */
export function explain(
  construct: IConstruct,
  id: string,
  reason: string,
  appliesTo?: readonly (string | { readonly regex: string })[],
): void {
  NagSuppressions.addResourceSuppressions(
    construct,
    [{ id, reason, ...(appliesTo === undefined ? {} : { appliesTo: [...appliesTo] }) }],
    true,
  );
}
