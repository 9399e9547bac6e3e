// Reads a distribution and proposes what to guard, and how tokens travel there.
import type { DefaultCacheBehavior, DistributionConfig } from '@aws-sdk/client-cloudfront';
import type { Placement } from '@portcullis/tokens';
import { behavioursOf, defaultPattern, patternsIntersect, samplePath } from './paths.js';

/** What `init` needs to know. */
export interface ConfigurationAnswers {
  readonly name: string;
  readonly distribution: string;
  readonly issuer: string;
  readonly format: 'cat' | 'jwt';
  readonly placement: Placement;
  readonly guarded: readonly string[];
  /** Unguarded behaviours that share an origin with a guarded one. */
  readonly open: readonly string[];
  readonly cors: boolean;
  readonly smoke: { readonly url: string; readonly path: string } | undefined;
}

export interface Proposal {
  readonly answers: Omit<ConfigurationAnswers, 'name' | 'issuer' | 'format'>;
  /** Why each was proposed, one line each. */
  readonly reasons: readonly string[];
}

const mediaDomains = /mediapackage|mediatailor|mediastore|medialive|\bivs\b/i;
const mediaPaths = /(^|\/)(live|vod|hls|dash|stream|streams|media|video|videos|out|cmaf)(\/|\*|$)/i;
const mediaFiles = /\.(m3u8|mpd|ts|m4s|mp4|cmf[vat])\b/i;

/** Proposes from a distribution's configuration. */
export function propose(id: string, domainName: string, config: DistributionConfig): Proposal {
  const reasons: string[] = [];
  const guarded: string[] = [];
  for (const { pattern, settings } of behavioursOf(config)) {
    const domains = domainsOf(config, settings);
    if (pattern !== defaultPattern && mediaPaths.test(pattern)) {
      guarded.push(pattern);
      reasons.push(`${pattern}: its path looks like media`);
    } else if (mediaFiles.test(pattern)) {
      guarded.push(pattern);
      reasons.push(`${pattern}: its pattern names media files`);
    } else if (domains.some((domain) => mediaDomains.test(domain))) {
      guarded.push(pattern);
      reasons.push(`${pattern}: its origin is ${domains.join(', ')}`);
    }
  }
  if (guarded.length === 0) {
    guarded.push(defaultPattern);
    reasons.push('default: no behaviour looks like media, so everything is guarded');
  }
  const guardedDomains = new Set(
    behavioursOf(config)
      .filter((item) => guarded.includes(item.pattern))
      .flatMap((item) => domainsOf(config, item.settings)),
  );
  const open = behavioursOf(config)
    .filter((item) => !guarded.includes(item.pattern))
    .filter((item) => domainsOf(config, item.settings).some((domain) => guardedDomains.has(domain)))
    .filter(
      (item) => !guarded.some((pattern) => patternsIntersect(pattern, item.pattern) && item.pattern === defaultPattern),
    )
    .map((item) => item.pattern);
  for (const pattern of open)
    reasons.push(`${pattern}: shares an origin with what is guarded; listed as open, look at it`);

  const placement = proposePlacement(guarded);
  reasons.push(`placement: ${describePlacement(placement)}`);
  const cors = behavioursOf(config)
    .filter((item) => guarded.includes(item.pattern))
    .some((item) => item.settings.AllowedMethods?.Items?.includes('OPTIONS'));
  const host = config.Aliases?.Items?.[0] ?? domainName;
  return {
    answers: {
      distribution: id,
      placement,
      guarded,
      open,
      cors,
      smoke: { url: `https://${host}`, path: samplePath(guarded[0] ?? '/*') },
    },
    reasons,
  };
}

function domainsOf(config: DistributionConfig, settings: DefaultCacheBehavior): string[] {
  const group = config.OriginGroups?.Items?.find((item) => item.Id === settings.TargetOriginId);
  const ids = group ? (group.Members?.Items ?? []).map((member) => member.OriginId) : [settings.TargetOriginId];
  return (config.Origins?.Items ?? [])
    .filter((origin) => ids.includes(origin.Id))
    .map((origin) => origin.DomainName as string);
}

/** A token in the path reaches every segment by itself, but must keep what the behaviour is chosen by. */
export function proposePlacement(guarded: readonly string[]): Placement {
  if (guarded.includes(defaultPattern) && guarded.length === 1) return { kind: 'path', mode: 'first' };
  const prefixes = new Set(guarded.map((pattern) => /^(\/[\w.~-]+)\/\*$/.exec(pattern)?.[1]));
  const [only] = prefixes;
  return prefixes.size === 1 && only !== undefined
    ? { kind: 'path', mode: 'prefix', prefix: only as `/${string}` }
    : { kind: 'query' };
}

function describePlacement(placement: Placement): string {
  if (placement.kind !== 'path') {
    return `${placement.kind}, since the guarded paths share no beginning; a player must repeat it on every request`;
  }
  return placement.mode === 'first'
    ? 'first segment of the path, which relative URLs inherit'
    : 'in the path behind its beginning, which relative URLs inherit';
}
