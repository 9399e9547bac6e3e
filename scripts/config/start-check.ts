import type { z } from 'zod';
import type { LambdaConfig } from '../../edge/config.js';
import { pathHead } from '@portcullis/tokens/placement';
import { functionPlan, type PlannedConfig } from '../build/plan.js';

/** What exchanged tokens need of the viewer function. */
export function checkStart(
  config: PlannedConfig & { readonly lambda?: LambdaConfig | undefined },
  context: z.core.$RefinementCtx,
): void {
  const start = config.lambda?.start;
  if (!start) return;
  const problem = (path: (string | number)[], message: string): void => {
    context.addIssue({ code: 'custom', path: ['lambda', 'start', ...path], message });
  };
  const { features, placements } = functionPlan(config);
  const { exchange, oneTime } = start;
  if (!features.path) problem([], 'expected a path placement: that is where session tokens go');
  if (!features.catu) problem([], 'expected catu in claims.use: session tokens are bound to the paths of their keys');
  if (exchange.by === 'cookie' && !features.cookie)
    problem(['exchange', 'by'], 'expected a cookie placement, by which session tokens come back');
  for (const [word, claim] of [
    ['network', 'catnip'],
    ['country', 'catgeoiso3166'],
    ['methods', 'catm'],
  ] as const)
    if (exchange[word] && !features[claim])
      problem(['exchange', word], `expected ${claim} in claims.use, which session tokens then carry`);
  if (exchange.format !== 'same' && !features[exchange.format])
    problem(['exchange', 'format'], `expected ${exchange.format} among formats`);
  const heads = placements.flatMap((placement) => (placement.kind === 'path' ? [pathHead(placement)] : []));
  if (heads.some((head) => head === start.path || head.startsWith(`${start.path}/`)))
    problem(['path'], 'expected another path than that of a token placement');
  if (oneTime && oneTime.choose === 'nearest' && new Set(oneTime.regions).size < oneTime.regions.length)
    problem(['oneTime', 'regions'], 'expected each region once');
}
