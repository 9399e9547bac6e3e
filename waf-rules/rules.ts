import type { Statement } from '@aws-sdk/client-wafv2';
import { mergeRanges, parseRange, toCidrs, type AddressFamily } from './addresses.js';
import { shortDigest } from './canonical.js';
import { awsHealthCheckRanges, privateRelayAsns } from './exceptions.js';
import { ipSetLimits } from './limits.js';
import { managedGroups } from './managed-groups.js';
import type { IpSetDefinition, RuleDefinition } from './rule-set.js';
import type { RateSetting, WafSettings } from './settings.js';
import {
  addressSet,
  all,
  any,
  bytes,
  country,
  field,
  label,
  labelNamespace,
  managedGroup,
  network,
  not,
  present,
  rate,
  regex,
  size,
  transformations,
} from './statements.js';
import { inPath, pathTokenPrefix, tokenPlaceFilled, tokenRateKeys, tokenShaped } from './token-shape.js';

/** Headers WAF inserts for the function; a client that sends one is turned away first. */
export const insertedHeaderPrefix = 'x-amzn-waf-portcullis-';
export const insertedHeaders = {
  anonymous: { name: 'portcullis-anonymous', arrivesAs: `${insertedHeaderPrefix}anonymous` },
  hosting: { name: 'portcullis-hosting', arrivesAs: `${insertedHeaderPrefix}hosting` },
  reputation: { name: 'portcullis-reputation', arrivesAs: `${insertedHeaderPrefix}reputation` },
} as const;

/** Labels of the ACL's own rules. Namespace `deny` says why a request is (or would be) turned away. */
export const labels = {
  exemptMonitoring: 'exempt:trusted:monitoring',
  exemptRelay: 'exempt:relay',
  exemptNetwork: 'exempt:trusted:network',
  exempt: 'exempt:',
  trusted: 'exempt:trusted:',
  tokenShaped: 'token:shaped',
} as const;
const deny = (id: string): string => `deny:${id}`;

const [vpnRule, hostingRule] = managedGroups.anonymousIps.rules;
const [reputationRule, reconnaissanceRule, ddosRule] = managedGroups.ipReputation.rules;

/** Neither trusted nor a relay: for lists of networks, which a relay's viewer did not choose to be on. */
const notExempt = (): Statement => not(labelNamespace(labels.exempt));

/** Not trusted: for everything else, so that a relay is no way around places, fingerprints and rate limits. */
const notTrusted = (): Statement => not(labelNamespace(labels.trusted));

const startsWith = (paths: readonly string[]): Statement =>
  any(paths.map((path) => bytes(field.path, 'STARTS_WITH', path)));

/** Refuses headers that only WAF may set. Oversized requests are caught by the exact names, inspected whole. */
export function clientWafHeaders(): RuleDefinition {
  return {
    id: 'client-waf-headers',
    threat: 'A client that forges the headers in which WAF tells the function about networks.',
    falsePositives: 'None known: no browser or player sends these names.',
    statement: any([
      bytes(field.headerNames('CONTINUE'), 'STARTS_WITH', insertedHeaderPrefix, ['LOWERCASE']),
      ...Object.values(insertedHeaders).map((header) => present(field.header(header.arrivesAs))),
    ]),
    enforcement: { kind: 'block', status: 400, reason: 'forged_header' },
    labels: [deny('client-waf-headers')],
  };
}

/** The sets that exceptions need: one family each, sharded where a list is long. */
export function exceptionSets(settings: WafSettings): { monitoring: IpSetDefinition[]; relay: IpSetDefinition[] } {
  const { exceptions } = settings;
  const monitoring = [
    ...(exceptions.awsHealthChecks ? awsHealthCheckRanges : []),
    ...exceptions.monitoring,
    ...exceptions.partners,
    ...exceptions.media,
  ];
  const setsOf = (purpose: string, description: string, ranges: readonly string[]): IpSetDefinition[] => {
    const merged = mergeRanges(ranges.map(parseRange));
    return ([4, 6] as const).flatMap((family: AddressFamily) => {
      const blocks = merged.filter((range) => range.family === family).flatMap(toCidrs);
      const sets: IpSetDefinition[] = [];
      for (let i = 0; i < blocks.length; i += ipSetLimits.addresses) {
        const addresses = blocks.slice(i, i + ipSetLimits.addresses);
        sets.push({
          name: `${settings.name}-${purpose}-v${family}-${shortDigest(addresses)}`,
          family,
          description,
          addresses,
        });
      }
      return sets;
    });
  };
  return {
    monitoring: setsOf('exempt', 'Portcullis: probes, partners and media services', monitoring),
    relay: setsOf('relay', 'Portcullis: Private Relay ranges', exceptions.relayRanges),
  };
}

/** Labels requests of excepted addresses and networks, for the network rules and rate limits to pass over. */
export function exceptionRules(settings: WafSettings): RuleDefinition[] {
  const sets = exceptionSets(settings);
  const { exceptions } = settings;
  const rule = (id: string, threat: string, added: string, parts: Statement[]): RuleDefinition[] =>
    parts.length === 0
      ? []
      : [
          {
            id,
            threat,
            falsePositives: 'Not a refusal. An excepted address still needs a token.',
            statement: any(parts),
            enforcement: { kind: 'label' },
            labels: [added],
          },
        ];
  return [
    ...rule(
      'exempt-monitoring',
      'Labels probes, partner CDNs and AWS media services, so that no network rule hits them.',
      labels.exemptMonitoring,
      sets.monitoring.map((set) => addressSet(set.name)),
    ),
    ...rule('exempt-relay', 'Labels Apple Private Relay, which is not a VPN a viewer chose.', labels.exemptRelay, [
      ...(exceptions.privateRelay ? [network(privateRelayAsns)] : []),
      ...sets.relay.map((set) => addressSet(set.name)),
    ]),
    ...rule(
      'exempt-network',
      'Labels networks that are let through by number.',
      labels.exemptNetwork,
      exceptions.asns.length > 0 ? [network(exceptions.asns)] : [],
    ),
  ];
}

/** Countries, regions and networks by configuration. */
export function placeRules(settings: WafSettings): RuleDefinition[] {
  const rules: RuleDefinition[] = [];
  const block = (id: string, threat: string, falsePositives: string, statement: Statement): void => {
    rules.push({
      id,
      threat,
      falsePositives,
      statement,
      enforcement: { kind: 'block', status: 403, reason: 'place_refused' },
      labels: [deny(id)],
    });
  };
  const roaming = 'Travellers, and addresses that the geographic database puts elsewhere.';
  if (settings.asnsBlocked.length > 0) {
    const shared = 'Every customer of the network. Use it for hosting, never for a carrier.';
    block('network-blocked', 'Networks refused by number.', shared, all([network(settings.asnsBlocked), notTrusted()]));
  }
  if (settings.countriesBlocked.length > 0) {
    block(
      'country-blocked',
      'Viewers from refused countries.',
      roaming,
      all([country(settings.countriesBlocked), notTrusted()]),
    );
  }
  if (settings.countriesAllowed.length > 0) {
    block(
      'country-outside',
      'Viewers from outside the allowed countries; unknown places count as outside.',
      roaming,
      all([not(country(settings.countriesAllowed)), notTrusted()]),
    );
  }
  if (settings.regionsBlocked.length > 0) {
    // Region labels are added by a geographic match and readable in later rules only.
    rules.push({
      id: 'region-labels',
      threat: 'Makes WAF label each request with its country and region.',
      falsePositives: 'Not a refusal.',
      statement: country([...new Set(settings.regionsBlocked.map((code) => code.slice(0, 2)))]),
      enforcement: { kind: 'label' },
      labels: [],
    });
    block(
      'region-blocked',
      'Viewers from refused regions.',
      roaming,
      all([any(settings.regionsBlocked.map((code) => label(`awswaf:clientip:geo:region:${code}`))), notTrusted()]),
    );
  }
  return rules;
}

/** Fingerprints of known re-streaming tools. */
export function fingerprintRules(settings: WafSettings): RuleDefinition[] {
  const rules: RuleDefinition[] = [];
  const add = (id: string, statement: Statement): void => {
    rules.push({
      id,
      threat: 'Tools known by their TLS fingerprint.',
      falsePositives: 'Every client built on the same TLS library and version; try in count mode over an event first.',
      statement: all([statement, notTrusted()]),
      enforcement: { kind: 'block', status: 403, reason: 'fingerprint_refused' },
      labels: [deny(id)],
    });
  };
  if (settings.ja3.length > 0) {
    add('fingerprint-ja3', any(settings.ja3.map((value) => bytes(field.ja3, 'EXACTLY', value))));
  }
  if (settings.ja4.length > 0) {
    add('fingerprint-ja4', any(settings.ja4.map((value) => bytes(field.ja4, 'EXACTLY', value))));
  }
  return rules;
}

/** IP reputation and anonymous networks through AWS's managed groups, with exceptions and the softer variant. */
export function listedNetworkRules(settings: WafSettings): RuleDefinition[] {
  const rules: RuleDefinition[] = [];
  if (settings.reputation !== 'off') {
    const blocked = settings.reputation === 'block' ? [reputationRule.name, reconnaissanceRule.name] : [];
    rules.push({
      id: 'ip-reputation',
      threat: 'Addresses that AWS sees taking part in attacks, scans' + (settings.reputationDdos ? ' or floods.' : '.'),
      falsePositives: 'Households with an infected device; expect few, watch the label amazon-ip-list.',
      statement: managedGroup(managedGroups.ipReputation.name, { only: notExempt() }),
      enforcement: {
        kind: 'managed',
        block: [...blocked, ...(settings.reputationDdos && blocked.length > 0 ? [ddosRule.name] : [])],
      },
      labels: [],
    });
  }
  if (settings.vpn !== 'off' || settings.hosting !== 'off') {
    rules.push({
      id: 'anonymous-networks',
      threat: 'Viewers and re-streamers behind VPNs, proxies, Tor and hosting providers.',
      falsePositives:
        'Company VPNs, security products that route through data centres, Private Relay outside its own network. ' +
        'Label instead of block, or add exceptions.',
      statement: managedGroup(managedGroups.anonymousIps.name, { only: notExempt() }),
      enforcement: {
        kind: 'managed',
        block: [
          ...(settings.vpn === 'block' ? [vpnRule.name] : []),
          ...(settings.hosting === 'block' ? [hostingRule.name] : []),
        ],
      },
      labels: [],
    });
  }
  const tell = (id: string, header: string, from: readonly string[]): void => {
    rules.push({
      id,
      threat: `Tells the function in ${insertedHeaderPrefix}${header.replace('portcullis-', '')} and lets it decide.`,
      falsePositives: 'Not a refusal.',
      statement: any(from.map(label)),
      enforcement: { kind: 'label', headers: [{ Name: header, Value: '1' }] },
      labels: [],
    });
  };
  if (settings.vpn === 'label') tell('tell-anonymous', insertedHeaders.anonymous.name, [vpnRule.label]);
  if (settings.hosting === 'label') tell('tell-hosting', insertedHeaders.hosting.name, [hostingRule.label]);
  if (settings.reputation === 'label') {
    tell('tell-reputation', insertedHeaders.reputation.name, [reputationRule.label, reconnaissanceRule.label]);
  }
  return rules;
}

/** Method, path, query and body hygiene: what no player sends. Lives in a rule group of its own. */
export function hygieneRules(settings: WafSettings): RuleDefinition[] {
  const rules: RuleDefinition[] = [];
  const block = (
    id: string,
    status: number,
    reason: string,
    threat: string,
    falsePositives: string,
    statement: Statement,
  ): void => {
    rules.push({
      id,
      threat,
      falsePositives,
      statement,
      enforcement: { kind: 'block', status, reason },
      labels: [deny(id)],
    });
  };
  const guarded = startsWith([...settings.protectedPaths, ...markerPaths(settings)]);
  const reading = ['GET', 'HEAD', 'OPTIONS'].map((method) => bytes(field.method, 'EXACTLY', method));
  block(
    'method',
    405,
    'method_refused',
    'Methods that no player uses on media.',
    'A player that posts statistics to a media path; give it a path of its own.',
    all([
      guarded,
      ...(settings.mint ? [not(bytes(field.path, 'STARTS_WITH', settings.mint.path))] : []),
      not(any(reading)),
    ]),
  );
  block(
    'media-body',
    413,
    'body_refused',
    'A body on a media request.',
    'None known.',
    all([
      guarded,
      ...(settings.mint ? [not(bytes(field.path, 'STARTS_WITH', settings.mint.path))] : []),
      size(field.body('MATCH'), 'GT', 0),
    ]),
  );
  block(
    'path-length',
    414,
    'too_long',
    'Overlong paths.',
    'Very long tokens in the path; raise hygiene.pathBytes.',
    size(field.path, 'GT', settings.pathBytes),
  );
  block(
    'query-length',
    414,
    'too_long',
    'Overlong query strings.',
    'Advertising parameters stacked by a player; raise hygiene.queryBytes.',
    size(field.query, 'GT', settings.queryBytes),
  );
  block(
    'path-ambiguous',
    400,
    'ambiguous_path',
    'Paths that two parties could read differently: encoded slashes and backslashes, dot segments, control characters.',
    'None known: the function answers 400 to the same paths.',
    all([guarded, regex(field.path, '%2[fF]|%5[cC]|%[01][0-9a-fA-F]|%7[fF]|\\\\|/(\\.|%2[eE]){1,2}(/|$)')]),
  );
  if (settings.mint) {
    block(
      'mint-body',
      413,
      'body_refused',
      'Token requests larger than any application sends.',
      'An application that sends more; raise mint.bodyBytes.',
      all([
        bytes(field.path, 'STARTS_WITH', settings.mint.path),
        size(field.body('MATCH'), 'GT', settings.mint.bodyBytes),
      ]),
    );
    block(
      'mint-method',
      405,
      'method_refused',
      'Token requests with other methods than GET, POST and OPTIONS.',
      'None known.',
      all([
        bytes(field.path, 'STARTS_WITH', settings.mint.path),
        not(any(['GET', 'POST', 'OPTIONS'].map((method) => bytes(field.method, 'EXACTLY', method)))),
      ]),
    );
  }
  return rules;
}

const markerPaths = (settings: WafSettings): string[] =>
  settings.placements.flatMap((placement) =>
    placement.kind === 'path' && placement.mode === 'marker' ? [`${pathTokenPrefix(placement)}/`] : [],
  );

/** Requests that must carry a token: on a protected path, not on a public one, and no CORS preflight. */
function tokenNeeded(settings: WafSettings): Statement[] {
  const open = [...settings.publicPaths, ...(settings.mint ? [settings.mint.path] : [])];
  return [
    startsWith([...settings.protectedPaths, ...markerPaths(settings)]),
    ...(open.length > 0 ? [not(startsWith(open))] : []),
    not(bytes(field.method, 'EXACTLY', 'OPTIONS')),
  ];
}

/** Turns away requests whose tokens the function could only refuse, before it is paid for. */
export function tokenRules(settings: WafSettings): RuleDefinition[] {
  const shaped = settings.placements.flatMap((each) => tokenShaped(each, settings.tokenMinimumCharacters));
  const filled = settings.placements.flatMap(tokenPlaceFilled);
  const rules: RuleDefinition[] = [
    {
      id: 'token-shape',
      threat: 'Labels requests that carry something shaped like a token.',
      falsePositives: 'Not a refusal.',
      statement: any(shaped),
      enforcement: { kind: 'label' },
      labels: [labels.tokenShaped],
    },
  ];
  if (filled.length > 0) {
    rules.push({
      id: 'token-malformed',
      threat: 'Something in the place of a token that cannot be one.',
      falsePositives: 'Tokens shorter than tokenMinimumCharacters.',
      statement: all([...tokenNeeded(settings), any(filled), not(label(labels.tokenShaped))]),
      enforcement: { kind: 'block', status: 401, reason: 'malformed_token' },
      labels: [deny('token-malformed')],
    });
  }
  rules.push({
    id: 'token-missing',
    threat: 'Requests for protected paths without any token.',
    falsePositives: 'A public path that is not listed in publicPaths.',
    statement: all([...tokenNeeded(settings), not(label(labels.tokenShaped))]),
    enforcement: { kind: 'block', status: 401, reason: 'missing_token' },
    labels: [deny('token-missing')],
  });
  return rules;
}

const limited = (
  id: string,
  setting: Exclude<RateSetting, false>,
  threat: string,
  falsePositives: string,
  statement: Statement,
): RuleDefinition => ({
  id,
  threat: `${threat} (${setting.limit} in ${setting.window} s).`,
  falsePositives,
  statement,
  enforcement: { kind: 'block', status: 429, reason: 'rate_limited', retryAfter: 30 },
  labels: [deny(id)],
});

const agentKeys = {
  kind: 'keys' as const,
  keys: [{ IP: {} }, { Header: { Name: 'user-agent', TextTransformations: transformations([]) } }],
};

/** Protects the endpoint that hands out tokens. */
export function mintRules(settings: WafSettings): RuleDefinition[] {
  const { mint } = settings;
  if (!mint) return [];
  const here = bytes(field.path, 'STARTS_WITH', mint.path);
  const rules: RuleDefinition[] = [];
  const listed = [
    ...(settings.vpn === 'label' || settings.vpn === 'count' ? [label(vpnRule.label)] : []),
    ...(settings.hosting === 'label' || settings.hosting === 'count' ? [label(hostingRule.label)] : []),
  ];
  if (mint.refuseListedNetworks && listed.length > 0) {
    rules.push({
      id: 'mint-listed-networks',
      threat: 'Token requests from VPNs, proxies and hosting providers.',
      falsePositives: 'Viewers who sign in behind a VPN; set mint.refuseListedNetworks to false.',
      statement: all([here, any(listed)]),
      enforcement: { kind: 'block', status: 403, reason: 'network_refused' },
      labels: [deny('mint-listed-networks')],
    });
  }
  if (mint.perAddress) {
    rules.push(
      limited(
        'mint-rate-address',
        mint.perAddress,
        'Farming of tokens from one address',
        'Carriers and campuses at kick-off, when hundreds sign in behind one address.',
        rate({ kind: 'address' }, mint.perAddress.limit, mint.perAddress.window, all([here, notTrusted()])),
      ),
    );
  }
  if (mint.perAddressAndAgent) {
    rules.push(
      limited(
        'mint-rate-agent',
        mint.perAddressAndAgent,
        'Farming of tokens by one client of an address',
        'Identical set-top boxes behind one address.',
        rate(agentKeys, mint.perAddressAndAgent.limit, mint.perAddressAndAgent.window, all([here, notTrusted()])),
      ),
    );
  }
  return rules;
}

/** Asks browsers to prove themselves on pages, never on media: players cannot answer. */
export function challengeRules(settings: WafSettings): RuleDefinition[] {
  if (settings.challengePages.length === 0) return [];
  return [
    {
      id: 'challenge-pages',
      threat: 'Scripts that open player pages.',
      falsePositives: 'Applications that load the page without running its scripts; they are asked only for text/html.',
      statement: all([
        startsWith(settings.challengePages),
        bytes(field.method, 'EXACTLY', 'GET'),
        bytes(field.header('accept'), 'CONTAINS', 'text/html'),
        notTrusted(),
      ]),
      enforcement: { kind: 'challenge' },
      labels: ['challenge:page'],
    },
  ];
}

/** Rate limits. Each is an estimate with some seconds' lag, so limits stand well above what a viewer does. */
export function rateRules(settings: WafSettings): RuleDefinition[] {
  const { rates } = settings;
  const rules: RuleDefinition[] = [];
  const carrier = 'Carriers and campuses that put hundreds of viewers behind one address.';
  if (rates.address) {
    rules.push(
      limited(
        'rate-address',
        rates.address,
        'Floods from one address',
        carrier,
        rate({ kind: 'address' }, rates.address.limit, rates.address.window, notTrusted()),
      ),
    );
  }
  if (rates.addressAndAgent) {
    rules.push(
      limited(
        'rate-address-agent',
        rates.addressAndAgent,
        'Floods by one client of an address',
        carrier,
        rate(agentKeys, rates.addressAndAgent.limit, rates.addressAndAgent.window, notTrusted()),
      ),
    );
  }
  if (rates.token) {
    const setting = rates.token;
    const guarded = startsWith([...settings.protectedPaths, ...markerPaths(settings)]);
    for (const { id, key } of settings.placements.flatMap(tokenRateKeys)) {
      rules.push(
        limited(
          `rate-token-${id}`,
          setting,
          'One token used by many players at once',
          'Players that load far ahead on a fast line.',
          rate({ kind: 'keys', keys: [key] }, setting.limit, setting.window, all([guarded, notTrusted()])),
        ),
      );
    }
  }
  if (rates.segmentReuse && settings.placements.some(inPath)) {
    const setting = rates.segmentReuse;
    const key = { UriPath: { TextTransformations: transformations(['SHA256']) } };
    rules.push(
      limited(
        'rate-segment-reuse',
        setting,
        'One media URL, token in its path, fetched over and over: a shared token',
        'Players that fetch ranges of one file send Range and are left out; playlists are left out.',
        rate(
          { kind: 'keys', keys: [key] },
          setting.limit,
          setting.window,
          all([
            any(
              settings.placements.filter(inPath).flatMap((each) => tokenShaped(each, settings.tokenMinimumCharacters)),
            ),
            not(regex(field.path, '\\.(m3u8|mpd)$')),
            not(present(field.header('range'))),
            notTrusted(),
          ]),
        ),
      ),
    );
  }
  if (rates.session && rates.sessionKey) {
    const { kind, name } = rates.sessionKey;
    const hashed = { Name: name, TextTransformations: transformations(['SHA256']) };
    const key =
      kind === 'query' ? { QueryArgument: hashed } : kind === 'cookie' ? { Cookie: hashed } : { Header: hashed };
    rules.push(
      limited(
        'rate-session',
        rates.session,
        'One session used by many players at once',
        'Households that watch several streams in one session.',
        rate({ kind: 'keys', keys: [key] }, rates.session.limit, rates.session.window, notTrusted()),
      ),
    );
  }
  if (rates.listedNetwork && settings.vpn !== 'block' && settings.hosting !== 'block') {
    rules.push(
      limited(
        'rate-listed-network',
        rates.listedNetwork,
        'Pulling by the machines of one hosting or VPN network',
        'Popular VPN networks during a large event.',
        rate(
          { kind: 'keys', keys: [{ ASN: {} }] },
          rates.listedNetwork.limit,
          rates.listedNetwork.window,
          all([any([label(vpnRule.label), label(hostingRule.label)]), notTrusted()]),
        ),
      ),
    );
  }
  return rules;
}
