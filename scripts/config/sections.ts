import type { Placement } from '@portcullis/tokens';
import type { RevokerConfigInput } from '../../revoker/config.js';
import type { DetectionConfigInput, LogPlacement } from '../../revoker/detection/config.js';
import type { WafConfigInput } from '../../waf-rules/config.js';
import { placementsOf } from '../build/plan.js';
import type { LoadedConfig } from './load.js';

// What the configuration says of placements and public paths holds in every part, unless the part's own section says
// otherwise. Where it says nothing, each part keeps its own defaults: WAF cannot watch every place at once.

/** The `waf` section, placements and public paths of the functions filled in. */
export function wafSection({ config, input }: LoadedConfig): WafConfigInput {
  return {
    ...(config.placements ? { placements: placementsOf(config) as NonNullable<WafConfigInput['placements']> } : {}),
    ...(config.publicPaths ? { publicPaths: [...config.publicPaths] } : {}),
    ...input.waf,
  };
}

/** The `detection` section, placements and public paths of the functions filled in. */
export function detectionSection({ config, input }: LoadedConfig): DetectionConfigInput {
  const placements = loggedPlacements(config.placements ? placementsOf(config) : []);
  return {
    ...(placements.length > 0 ? { placements } : {}),
    ...(config.publicPaths ? { publicPaths: [...config.publicPaths] } : {}),
    ...input.detection,
  };
}

/** Placements as a log shows them: it never shows Authorization. */
export function loggedPlacements(placements: readonly Placement[]): LogPlacement[] {
  return placements.flatMap((placement) => {
    if (placement.kind === 'authorization') return [];
    return [
      placement.kind === 'pathParameter' ? { ...placement, kind: 'path-parameter' } : placement,
    ] as LogPlacement[];
  });
}

/** The `revoker` section as it was written. */
export function revokerSection({ input }: LoadedConfig): RevokerConfigInput {
  return input.revoker ?? {};
}
