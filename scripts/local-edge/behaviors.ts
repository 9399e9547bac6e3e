import type { BehaviorLambdas } from './lambda.js';
import type { ViewerHeaderPolicy } from './viewer.js';

/** One cache behaviour of the local distribution. */
export interface Behavior {
  /** `*` stands for any characters, `?` for one; case-sensitive. The last behaviour should be `*`. */
  readonly pattern: string;
  /** Name of the origin that answers. */
  readonly origin: string;
  /** Whether the viewer functions are attached. */
  readonly guarded: boolean;
  readonly viewerHeaders: ViewerHeaderPolicy;
  /** Lambda@Edge functions. One on viewer-request rules the viewer functions out, as CloudFront does. */
  readonly lambdas?: BehaviorLambdas | undefined;
  /** Request headers in the cache key, by lower-case name; for behaviours with an origin-request function. */
  readonly cacheKeyHeaders?: readonly string[] | undefined;
  /** Caching disabled: every request reaches the origin-request function. */
  readonly uncached?: boolean | undefined;
  /** False: WAF is not asked, as for another distribution. Default true. */
  readonly firewall?: boolean;
}

/** The first behaviour whose pattern matches the path as the viewer sent it: not decoded, not normalised. */
export function behaviorFor(behaviors: readonly Behavior[], rawPath: string): Behavior | undefined {
  return behaviors.find((behavior) => patternMatches(behavior.pattern, rawPath));
}

export function patternMatches(pattern: string, rawPath: string): boolean {
  const rooted = pattern.startsWith('/') || pattern.startsWith('*') ? pattern : `/${pattern}`;
  let patternAt = 0;
  let pathAt = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (pathAt < rawPath.length) {
    const expected = rooted[patternAt];
    if (expected === '*') {
      starAt = patternAt;
      resumeAt = pathAt;
      patternAt += 1;
    } else if (expected === '?' || expected === rawPath[pathAt]) {
      patternAt += 1;
      pathAt += 1;
    } else if (starAt >= 0) {
      patternAt = starAt + 1;
      resumeAt += 1;
      pathAt = resumeAt;
    } else return false;
  }
  while (rooted[patternAt] === '*') patternAt += 1;
  return patternAt === rooted.length;
}
