// What is wrong, or worth knowing, about a distribution and what is planned for it. Pure: no call leaves from here.
import type { DefaultCacheBehavior, Origin } from '@aws-sdk/client-cloudfront';
import { functionOn, lambdaOn, nameOfArn, settingsOf } from './behaviour-changes.js';
import type { Placement } from '@portcullis/tokens';
import {
  behavioursOf,
  defaultPattern,
  patternsIntersect,
  placementName,
  samplePath,
  selectBehaviour,
  nameOfPlacement,
  signedPath,
  type Behaviour,
} from './paths.js';
import {
  maximumFunctionBytes,
  viewerEvents,
  type DesiredBehaviour,
  type DesiredState,
  type ObservedState,
} from './state.js';
import { extendPolicy, missingHeaders } from './viewer-headers.js';

export type Severity = 'error' | 'warning' | 'info';

export interface Finding {
  /** Stable; `accept` in the configuration names it. */
  readonly code: string;
  readonly severity: Severity;
  readonly behaviour?: string | undefined;
  readonly message: string;
  /** What to do about it. */
  readonly fix?: string | undefined;
  /** The reason given in the configuration why it is all right here; such a finding stops nothing. */
  readonly accepted?: string | undefined;
}

/** That a signed URL selects a guarded behaviour, for one placement and one content path. */
export interface SelectionProof {
  readonly placement: string;
  readonly content: string;
  /** With a word in the token's place. */
  readonly signedPath: string;
  readonly selected: string;
  readonly guarded: boolean;
}

export interface PlanFacts {
  readonly findings: readonly Finding[];
  readonly proofs: readonly SelectionProof[];
}

/** The deployment's own function names: attached by it, so not foreign. */
export function isOwnFunction(desired: Pick<DesiredState, 'prefix' | 'name'>, name: string): boolean {
  return name.startsWith(`${desired.prefix}-${desired.name}-viewer-re`);
}

/** The stage that a behaviour is in now, by the function on it. */
export function observedStage(
  desired: Pick<DesiredState, 'prefix' | 'name'>,
  settings: DefaultCacheBehavior,
): 'off' | 'log' | 'enforce' {
  const arn = functionOn(settings, 'viewer-request');
  if (arn === undefined || !isOwnFunction(desired, nameOfArn(arn))) return 'off';
  return arn.endsWith('-log') ? 'log' : 'enforce';
}

/** Every finding about a desired and an observed state; those that the configuration accepts are marked. */
export function findingsOf(
  desired: DesiredState,
  observed: ObservedState,
  options: { disarm?: boolean } = {},
): PlanFacts {
  const proofs = selectionProofs(desired, observed);
  const findings = [
    ...distributionFindings(desired, observed),
    ...functionFindings(desired),
    ...storeFindings(desired, observed),
    ...desired.behaviours.flatMap((behaviour) => behaviourFindings(desired, observed, behaviour, options)),
    ...proofFindings(desired, proofs),
    ...bypassFindings(desired, observed),
    ...originFindings(desired, observed),
  ];
  return { findings: findings.map((finding) => withAcceptance(desired, finding)), proofs };
}

function withAcceptance(desired: DesiredState, finding: Finding): Finding {
  const accepted = desired.accept.find(
    (entry) =>
      entry.finding === finding.code && (entry.behaviour === undefined || entry.behaviour === finding.behaviour),
  );
  return accepted ? { ...finding, accepted: accepted.because } : finding;
}

/** Findings that stop a deployment. */
export function blockingFindings(findings: readonly Finding[]): Finding[] {
  return findings.filter((finding) => finding.severity === 'error' && finding.accepted === undefined);
}

function distributionFindings(desired: DesiredState, observed: ObservedState): Finding[] {
  const { config, unknownElements, id } = observed.distribution;
  const findings: Finding[] = [];
  if (unknownElements.length > 0) {
    findings.push({
      code: 'configuration_unknown',
      severity: 'error',
      message: `The distribution has settings that this version of the AWS SDK does not know (${unknownElements.join(', ')}); an update would drop them.`,
      fix: 'Update Portcullis and its AWS SDK, then plan again.',
    });
  }
  if (config.Staging) {
    findings.push({
      code: 'staging_distribution',
      severity: 'error',
      message: `${id} is a staging distribution of a continuous deployment.`,
      fix: 'Name the primary distribution in deployment.distribution.',
    });
  }
  if (!config.Enabled) {
    findings.push({ code: 'distribution_disabled', severity: 'info', message: `${id} is disabled: nobody is served.` });
  }
  if (desired.canary !== undefined && (config.HttpVersion ?? '').includes('3')) {
    findings.push({
      code: 'canary_http3',
      severity: 'error',
      message: 'CloudFront does not do continuous deployment while the distribution speaks HTTP/3.',
      fix: 'Take deployment.canary out, or set the distribution to HTTP/2 first.',
    });
  }
  const realtime = behavioursOf(config).some((behaviour) => behaviour.settings.RealtimeLogConfigArn);
  if (!config.Logging?.Enabled && !realtime) {
    findings.push({
      code: 'no_access_logs',
      severity: 'info',
      message:
        'No access log is configured here; detection has nothing to read unless standard logging (v2) is set up.',
    });
  }
  return findings;
}

function functionFindings(desired: DesiredState): Finding[] {
  return desired.functions
    .filter((item) => item.bytes > maximumFunctionBytes)
    .map((item) => ({
      code: 'function_too_large',
      severity: 'error',
      message: `${item.name} has ${item.bytes} bytes; CloudFront takes ${maximumFunctionBytes}.`,
      fix: 'Leave formats, placements or claims that are not used out of the configuration.',
    }));
}

function storeFindings(desired: DesiredState, observed: ObservedState): Finding[] {
  const attached = desired.behaviours.filter((behaviour) => behaviour.stage !== 'off');
  if (attached.length === 0) return [];
  const enforced = attached.some((behaviour) => behaviour.stage === 'enforce');
  const findings: Finding[] = [];
  if (observed.store === undefined || observed.store.keyRecords === 0) {
    findings.push({
      code: 'no_key_in_store',
      severity: enforced ? 'error' : 'warning',
      message: `The KeyValueStore ${desired.storeName} holds no signing key: ${enforced ? 'every viewer would be refused' : 'every request will be logged as refused'}.`,
      fix: 'Add one with: npx portcullis keys add',
    });
  }
  for (const record of observed.store?.modes ?? []) {
    if (!enforced || record.mode === 'enforce') continue;
    findings.push({
      code: 'mode_override_in_store',
      severity: 'warning',
      message: `The record ${record.key} in the store sets the mode "${record.mode}"${record.until === undefined ? ' without an end' : ` until ${new Date(record.until * 1000).toISOString()}`}: it wins over the stage "enforce".`,
      fix: 'Remove the mode from the record when the incident is over.',
    });
  }
  return findings;
}

function behaviourFindings(
  desired: DesiredState,
  observed: ObservedState,
  behaviour: DesiredBehaviour,
  options: { disarm?: boolean },
): Finding[] {
  const { config } = observed.distribution;
  const { pattern } = behaviour;
  const settings = settingsOf(config, pattern);
  if (!settings) {
    return [
      {
        code: 'behaviour_missing',
        severity: 'error',
        behaviour: pattern,
        message: `The distribution has no behaviour ${pattern}; it has ${behavioursOf(config)
          .map((item) => item.pattern)
          .join(', ')}.`,
        fix: 'Correct deployment.behaviours, or create the behaviour first: a deployment never makes or removes behaviours.',
      },
    ];
  }
  const now = observedStage(desired, settings);
  const findings: Finding[] = [];
  const report = (code: string, severity: Severity, message: string, fix?: string): void => {
    findings.push({ code, severity, behaviour: pattern, message, fix });
  };

  if (now === 'enforce' && behaviour.stage !== 'enforce' && !options.disarm) {
    report(
      'disarm',
      'error',
      `${pattern} is enforced now and would go back to "${behaviour.stage}": viewers without a token would be served.`,
      'If that is meant, apply with --disarm.',
    );
  }
  if (now === 'off' && behaviour.stage === 'enforce') {
    report(
      'stage_skipped',
      'error',
      `${pattern} would go from "off" to "enforce" at once: nobody has seen yet whom that refuses.`,
      'Deploy stage "log" first and read the refusals with: npx portcullis deploy status',
    );
  }
  if (behaviour.stage === 'off') return findings;

  for (const event of viewerEvents) {
    const foreign = functionOn(settings, event);
    const wanted = behaviour.functions[event] !== undefined;
    if (wanted && foreign !== undefined && !isOwnFunction(desired, nameOfArn(foreign))) {
      report(
        'foreign_function',
        'error',
        `${pattern} has the function ${nameOfArn(foreign)} on ${event}; an event takes one function.`,
        event === 'viewer-request'
          ? 'Compile it in: put its code in a module, name it in hooks.before or hooks.after of the configuration, and accept this finding.'
          : 'Move what it does to a response headers policy or to the origin, then take it off.',
      );
    }
    const lambda = lambdaOn(settings, event);
    if (lambda !== undefined) {
      report(
        'lambda_on_viewer_event',
        'error',
        `${pattern} has a Lambda@Edge function on ${event}; CloudFront takes no CloudFront Function beside it on viewer events.`,
        'Move what it does to an origin event, or into a hook of the compiled function.',
      );
    }
  }
  const originLambda = lambdaOn(settings, 'origin-request');
  if (
    behaviour.originRequestLambda !== undefined &&
    originLambda !== undefined &&
    functionOfVersion(originLambda) !== functionOfVersion(behaviour.originRequestLambda)
  ) {
    report(
      'foreign_lambda',
      'error',
      `${pattern} has the Lambda@Edge function ${functionOfVersion(originLambda)} on origin-request already.`,
      'Call its handler from the Portcullis one, then take it off.',
    );
  }
  if (settings.TrustedKeyGroups?.Enabled || settings.TrustedSigners?.Enabled) {
    report(
      'trusted_signers',
      'error',
      `${pattern} demands CloudFront signed URLs or cookies, which CloudFront checks before any function: viewers with a token alone are refused with 403.`,
      'Take the key groups off this behaviour, or accept the finding where players send both.',
    );
  }
  if (settings.ViewerProtocolPolicy === 'allow-all') {
    report(
      'http_allowed',
      'warning',
      `${pattern} answers plain HTTP: tokens travel readable by anybody on the way.`,
      'Set the viewer protocol policy to "redirect-to-https" or "https-only".',
    );
  }
  const methods = settings.AllowedMethods?.Items ?? ['GET', 'HEAD'];
  if (desired.cors && !methods.includes('OPTIONS')) {
    report(
      'options_not_allowed',
      'error',
      `${pattern} does not allow OPTIONS: CloudFront answers 403 to the preflight of every browser player before the function runs.`,
      'Allow GET, HEAD and OPTIONS on the behaviour.',
    );
  }
  findings.push(...policyFindings(desired, observed, pattern, settings));
  return findings;
}

function functionOfVersion(arn: string): string {
  return arn.replace(/:\d+$/, '');
}

function policyFindings(
  desired: DesiredState,
  observed: ObservedState,
  pattern: string,
  settings: DefaultCacheBehavior,
): Finding[] {
  const findings: Finding[] = [];
  const report = (code: string, severity: Severity, message: string, fix?: string): void => {
    findings.push({ code, severity, behaviour: pattern, message, fix });
  };
  const tokenNames = (kind: Placement['kind']): string[] =>
    desired.placements
      .filter((placement) => placement.kind === kind)
      .map((placement) => nameOfPlacement(placement) as string);

  if (!settings.CachePolicyId) {
    report(
      'legacy_cache_settings',
      desired.headers.length > 0 ? 'error' : 'warning',
      `${pattern} uses the legacy cache settings (forwarded values); an origin request policy cannot be attached beside them.`,
      'Give the behaviour a cache policy that keeps what it forwards today.',
    );
    const values = settings.ForwardedValues;
    if (values?.QueryString && tokenNames('query').length > 0 && (values.QueryStringCacheKeys?.Quantity ?? 0) === 0) {
      report(
        'cache_key_token',
        'warning',
        `${pattern} puts every query parameter into the cache key, the token's too.`,
      );
    }
    return findings;
  }

  const cachePolicy = observed.cachePolicies.get(settings.CachePolicyId);
  const originPolicy = settings.OriginRequestPolicyId
    ? observed.originRequestPolicies.get(settings.OriginRequestPolicyId)
    : undefined;
  const missing = missingHeaders(desired.headers, cachePolicy, originPolicy);
  if (missing.length > 0) {
    const extended = extendPolicy(originPolicy, missing);
    const consequence =
      'without them claims about the viewer refuse everybody, or believe the headers that a viewer types in';
    if (extended.possible) {
      report(
        'headers_missing',
        'warning',
        `${pattern} does not deliver ${missing.join(', ')}: ${consequence}. The plan adds them.`,
      );
    } else {
      report(
        'headers_undeliverable',
        'error',
        `${pattern} does not deliver ${missing.join(', ')}: ${consequence}. They cannot be added: ${extended.reason}.`,
        'Attach an origin request policy that can carry them, or leave the claims that need them out of the configuration.',
      );
    }
  }

  const parameters = cachePolicy?.ParametersInCacheKeyAndForwardedToOrigin;
  const keyHeaders =
    parameters?.HeadersConfig?.HeaderBehavior === 'whitelist' ? (parameters.HeadersConfig.Headers?.Items ?? []) : [];
  const geoInKey = keyHeaders.filter((name) => /^cloudfront-viewer-/i.test(name));
  if (geoInKey.length > 0) {
    report(
      'cache_key_geo',
      'error',
      `${pattern} has ${geoInKey.join(', ')} in its cache key: every object is cached once for each of their values.`,
      'Move them to the origin request policy: the function sees them there too.',
    );
  }
  for (const name of tokenNames('header')) {
    if (keyHeaders.some((item) => item.toLowerCase() === name.toLowerCase())) {
      report(
        'cache_key_token',
        'error',
        `${pattern} has the token header ${name} in its cache key.`,
        'Take it out of the cache policy.',
      );
    }
  }
  const query = parameters?.QueryStringsConfig;
  for (const name of tokenNames('query')) {
    const listed = query?.QueryStrings?.Items?.includes(name) ?? false;
    if (query?.QueryStringBehavior === 'whitelist' && listed) {
      report(
        'cache_key_token',
        'error',
        `${pattern} has the token parameter ${name} in its cache key.`,
        'Take it out of the cache policy.',
      );
    } else if (query?.QueryStringBehavior === 'all' || (query?.QueryStringBehavior === 'allExcept' && !listed)) {
      report(
        'cache_key_token',
        'warning',
        `${pattern} puts every query parameter into its cache key; the function takes ${name} out first, but only where it runs.`,
        'List the parameters that the origin really needs in the cache policy.',
      );
    }
  }
  const cookies = parameters?.CookiesConfig;
  for (const name of tokenNames('cookie')) {
    const listed = cookies?.Cookies?.Items?.includes(name) ?? false;
    if (cookies?.CookieBehavior === 'whitelist' && listed) {
      report(
        'cache_key_cookie',
        'error',
        `${pattern} has the token cookie ${name} in its cache key.`,
        'Take it out of the cache policy.',
      );
    } else if (cookies?.CookieBehavior === 'all' || (cookies?.CookieBehavior === 'allExcept' && !listed)) {
      report(
        'cache_key_cookie',
        'warning',
        `${pattern} puts every cookie into its cache key: players with different cookies share nothing.`,
        'List the cookies that the origin really needs in the cache policy.',
      );
    }
  }
  return findings;
}

function guardedPatterns(desired: DesiredState): Set<string> {
  return new Set(desired.behaviours.filter((item) => item.stage !== 'off').map((item) => item.pattern));
}

/** For every placement and guarded behaviour: where does a signed URL lead? */
export function selectionProofs(desired: DesiredState, observed: ObservedState): SelectionProof[] {
  const { config } = observed.distribution;
  const guarded = guardedPatterns(desired);
  const contents = [
    ...new Set(desired.behaviours.filter((item) => item.stage !== 'off').flatMap((item) => item.content)),
  ];
  return desired.placements.flatMap((placement) =>
    contents.flatMap((content) => {
      const path = signedPath(placement, samplePath(content));
      if (path === undefined) return [];
      const selected = selectBehaviour(config, path.split('?')[0] as string).pattern;
      return [
        {
          placement: placementName(placement),
          content,
          signedPath: path,
          selected,
          guarded: guarded.has(selected),
        },
      ];
    }),
  );
}

function proofFindings(desired: DesiredState, proofs: readonly SelectionProof[]): Finding[] {
  const findings: Finding[] = proofs
    .filter((proof) => !proof.guarded)
    .map((proof) => ({
      code: 'placement_not_guarded',
      severity: 'error',
      behaviour: proof.selected,
      message: `A URL signed with the placement ${proof.placement} for ${proof.content} (${proof.signedPath}) selects the behaviour ${proof.selected}, where no Portcullis function runs: CloudFront chooses on the URL as sent.`,
      fix: `Guard ${proof.selected} too, use a placement that keeps the path's beginning, or give the marker its own behaviour.`,
    }));
  for (const behaviour of desired.behaviours.filter((item) => item.stage !== 'off')) {
    const proved = proofs.some((proof) => behaviour.content.includes(proof.content));
    if (!proved && desired.placements.length > 0) {
      findings.push({
        code: 'no_placement_reaches',
        severity: 'warning',
        behaviour: behaviour.pattern,
        message: `No configured placement can sign a URL under ${behaviour.content.join(', ')}.`,
      });
    }
  }
  return findings;
}

interface OriginPlace {
  readonly domain: string;
  readonly path: string;
}

/** Where a behaviour's requests go: one origin, or the members of a group. */
function originsOf(observed: ObservedState, settings: DefaultCacheBehavior): Origin[] {
  const { config } = observed.distribution;
  const group = config.OriginGroups?.Items?.find((item) => item.Id === settings.TargetOriginId);
  const ids = group ? (group.Members?.Items ?? []).map((member) => member.OriginId) : [settings.TargetOriginId];
  return (config.Origins?.Items ?? []).filter((origin) => ids.includes(origin.Id));
}

function placesOf(observed: ObservedState, settings: DefaultCacheBehavior): OriginPlace[] {
  return originsOf(observed, settings).map((origin) => ({
    domain: (origin.DomainName ?? '').toLowerCase(),
    path: origin.OriginPath ?? '',
  }));
}

const plainPattern = (pattern: string): string => (pattern === defaultPattern ? '/*' : pattern);

/** Behaviours and distributions through which guarded objects can be had without a token. */
function bypassFindings(desired: DesiredState, observed: ObservedState): Finding[] {
  const { config } = observed.distribution;
  const all = behavioursOf(config);
  const guarded = guardedPatterns(desired);
  const positions = new Map(all.map((item, i) => [item.pattern, i]));
  const findings: Finding[] = [];
  const guardedBehaviours = desired.behaviours.filter((item) => item.stage !== 'off');
  const severity: Severity = guardedBehaviours.some((item) => item.stage === 'enforce') ? 'error' : 'warning';

  for (const other of all) {
    if (guarded.has(other.pattern) || desired.open.includes(other.pattern)) continue;
    const hit = guardedBehaviours.find((item) => leadsAround(observed, all, positions, item, other));
    if (hit) {
      findings.push({
        code: 'bypass_behaviour',
        severity,
        behaviour: other.pattern,
        message: `${other.pattern} has no Portcullis function and serves from the same origin paths that ${hit.pattern} guards: the same objects can be had there without a token.`,
        fix: `Guard ${other.pattern} too, give it another origin, or list it in deployment.open if those objects are public.`,
      });
    }
  }

  const guardedDomains = new Set(
    guardedBehaviours.flatMap((item) => {
      const settings = settingsOf(config, item.pattern);
      return settings ? placesOf(observed, settings).map((place) => place.domain) : [];
    }),
  );
  for (const distribution of observed.otherDistributions) {
    const shared = distribution.originDomains.filter((domain) => guardedDomains.has(domain.toLowerCase()));
    if (shared.length > 0) {
      findings.push({
        code: 'bypass_distribution',
        severity: 'warning',
        message: `The distribution ${distribution.id} of this account reads from ${shared.join(', ')} too: what is guarded here may be open there.`,
        fix: 'Guard it as well, or separate the origins.',
      });
    }
  }
  return findings;
}

/** Can a request that selects `other` reach an object that `item` guards? */
function leadsAround(
  observed: ObservedState,
  all: readonly Behaviour[],
  positions: ReadonlyMap<string, number>,
  item: DesiredBehaviour,
  other: Behaviour,
): boolean {
  const guard = all.find((entry) => entry.pattern === item.pattern);
  if (!guard) return false;
  const guardFirst = (positions.get(item.pattern) ?? 0) < (positions.get(other.pattern) ?? 0);
  for (const own of placesOf(observed, guard.settings)) {
    for (const their of placesOf(observed, other.settings)) {
      if (own.domain !== their.domain) continue;
      for (const content of item.content) {
        const meets = patternsIntersect(own.path + plainPattern(content), their.path + plainPattern(other.pattern));
        // Same path, and the guard is asked first: CloudFront gives every such URL to the guard.
        const caughtFirst = own.path === their.path && content === item.pattern && guardFirst;
        if (meets && !caughtFirst) return true;
      }
    }
  }
  return false;
}

/** Origins that answer anybody, so that the distribution can be walked around. */
function originFindings(desired: DesiredState, observed: ObservedState): Finding[] {
  const { config } = observed.distribution;
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const behaviour of desired.behaviours) {
    const settings = behaviour.stage === 'off' ? undefined : settingsOf(config, behaviour.pattern);
    for (const origin of settings ? originsOf(observed, settings) : []) {
      if (seen.has(origin.Id as string)) continue;
      seen.add(origin.Id as string);
      const finding = originExposure(origin);
      if (finding) findings.push({ ...finding, behaviour: behaviour.pattern });
    }
  }
  return findings;
}

function originExposure(origin: Origin): Finding | undefined {
  const domain = origin.DomainName ?? '';
  const hasAccessControl = Boolean(origin.OriginAccessControlId || origin.S3OriginConfig?.OriginAccessIdentity);
  if (/\.s3-website[.-]/.test(domain)) {
    return {
      code: 'origin_exposed',
      severity: 'warning',
      message: `The origin ${origin.Id} is an S3 website endpoint, which must be public: its objects can be had without CloudFront.`,
      fix: "Use the bucket's REST endpoint with origin access control.",
    };
  }
  if (origin.S3OriginConfig || /\.s3[.-][\w.-]*amazonaws\.com$/.test(domain)) {
    return hasAccessControl
      ? undefined
      : {
          code: 'origin_exposed',
          severity: 'warning',
          message: `The origin ${origin.Id} is an S3 bucket without origin access control: it must be public, so its objects can be had without CloudFront.`,
          fix: 'Attach an origin access control and close the bucket policy to everything else.',
        };
  }
  if (origin.VpcOriginConfig || hasAccessControl || origin.CustomOriginConfig?.OriginMtlsConfig) return undefined;
  if ((origin.CustomHeaders?.Quantity ?? 0) === 0) {
    return {
      code: 'origin_exposed',
      severity: 'warning',
      message: `The origin ${origin.Id} gets no header by which it could tell CloudFront from anybody else: whoever knows its address can read it.`,
      fix: 'Send a secret header from CloudFront and refuse requests without it at the origin (for MediaPackage: CDN authorization).',
    };
  }
  if (origin.CustomOriginConfig?.OriginProtocolPolicy === 'http-only') {
    return {
      code: 'origin_plain_http',
      severity: 'warning',
      message: `CloudFront reads the origin ${origin.Id} over plain HTTP: its secret header travels readable.`,
      fix: 'Set the origin protocol policy to HTTPS only.',
    };
  }
  return undefined;
}
