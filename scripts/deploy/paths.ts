// CloudFront's path patterns: which behaviour a URL selects, and whether two patterns can mean the same object.
import { PlacementError, placeToken, type Placement } from '@portcullis/tokens';
import { defaultHeaderName, defaultTokenName, pathHead } from '@portcullis/tokens/placement';
import type { CacheBehavior, DefaultCacheBehavior, DistributionConfig } from '@aws-sdk/client-cloudfront';

/** `default` names the default behaviour, whose pattern is `*`. */
export const defaultPattern = 'default';

export interface Behaviour {
  readonly pattern: string;
  readonly settings: DefaultCacheBehavior | CacheBehavior;
}

/** Every behaviour in the order CloudFront tries them, the default one last. */
export function behavioursOf(config: DistributionConfig): Behaviour[] {
  const named = (config.CacheBehaviors?.Items ?? []).map((settings) => ({
    pattern: settings.PathPattern as string,
    settings,
  }));
  return [...named, { pattern: defaultPattern, settings: config.DefaultCacheBehavior as DefaultCacheBehavior }];
}

/** Patterns may be written without the leading slash (developer guide, "Path pattern"). */
function rooted(pattern: string): string {
  if (pattern === defaultPattern) return '/*';
  return pattern.startsWith('/') || pattern.startsWith('*') ? pattern : `/${pattern}`;
}

/** Does the pattern match the path as the viewer sent it? `*` any characters, `?` exactly one; case-sensitive. */
export function patternMatches(pattern: string, path: string): boolean {
  return intersects(rooted(pattern), path, false);
}

/** Can some path match both patterns? */
export function patternsIntersect(first: string, second: string): boolean {
  return intersects(rooted(first), rooted(second), true);
}

/**
 * Walks both texts at once; `*` and `?` in the second are wild only where asked. States are pairs of positions, so the
 * work is bounded by the product of the lengths.
 */
function intersects(first: string, second: string, secondIsPattern: boolean): boolean {
  const width = second.length + 1;
  const seen = new Uint8Array((first.length + 1) * width);
  const open: [number, number][] = [[0, 0]];
  const push = (i: number, j: number): void => {
    if (seen[i * width + j]) return;
    seen[i * width + j] = 1;
    open.push([i, j]);
  };
  for (let next = open.pop(); next; next = open.pop()) {
    const [i, j] = next;
    const a = first[i];
    const b = second[j];
    const starB = secondIsPattern && b === '*';
    if (a === undefined && b === undefined) return true;
    if (a === '*') push(i + 1, j);
    if (starB) push(i, j + 1);
    if (a === '*' && b !== undefined && !starB) push(i, j + 1);
    if (starB && a !== undefined && a !== '*') push(i + 1, j);
    const single = (character: string | undefined, wild: boolean): boolean => character === '?' && wild;
    if (a !== undefined && b !== undefined && a !== '*' && !starB) {
      if (a === b || single(a, true) || single(b, secondIsPattern)) push(i + 1, j + 1);
    }
  }
  return false;
}

/** The behaviour that CloudFront chooses for a path as sent. */
export function selectBehaviour(config: DistributionConfig, path: string): Behaviour {
  const all = behavioursOf(config);
  return all.find((behaviour) => patternMatches(behaviour.pattern, path)) ?? (all[all.length - 1] as Behaviour);
}

/** A path that the pattern matches: wildcards filled in with a name a player could ask for. */
export function samplePath(pattern: string): string {
  const text = rooted(pattern).replace(/\*/g, 'ch1/segment-42.m4s').replace(/\?/g, 'a');
  return text.startsWith('/') ? text : `/${text}`;
}

/** Stands for a token in printed URLs: nothing printed may look like a credential. */
export const tokenStandIn = 'TOKEN';

/** The path of a signed URL for a content path; undefined where the placement cannot sign that path. */
export function signedPath(placement: Placement, contentPath: string): string | undefined {
  try {
    return placeToken(contentPath, tokenStandIn, placement).url;
  } catch (error) {
    if (error instanceof PlacementError) return undefined;
    throw error;
  }
}

/** How a placement is called in a sentence. */
export function placementName(placement: Placement): string {
  switch (placement.kind) {
    case 'path':
      return placement.mode === 'first' ? 'path (first segment)' : `path (${placement.mode} ${pathHead(placement)})`;
    case 'authorization':
      return 'the Authorization header';
    default:
      return `${placement.kind} ${placement.name ?? (placement.kind === 'header' ? defaultHeaderName : defaultTokenName)}`;
  }
}

/** The name that a placement of this kind gives the token; undefined for those that name nothing. */
export function nameOfPlacement(placement: Placement): string | undefined {
  switch (placement.kind) {
    case 'query':
    case 'cookie':
    case 'pathParameter':
      return placement.name ?? defaultTokenName;
    case 'header':
      return placement.name ?? defaultHeaderName;
    default:
      return undefined;
  }
}
