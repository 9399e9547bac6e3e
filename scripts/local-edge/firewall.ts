import { BlockList, isIP, isIPv6 } from 'node:net';
import type { WafApi } from './wafv2-api.js';

/** The answer that a rule gives in place of the distribution's. */
export interface FirewallAnswer {
  readonly rule: string;
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface Firewall {
  /** What turns this viewer away, if anything does. */
  check(viewer: { readonly ip: string; readonly asn?: string | undefined }): FirewallAnswer | undefined;
}

type Json = Readonly<Record<string, unknown>>;

interface CompiledRule {
  readonly matches: (viewer: { readonly ip: string; readonly asn: number }) => boolean;
  readonly answer: FirewallAnswer;
}

const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const member = (of: unknown, name: string): Json => ((of as Json | undefined)?.[name] ?? {}) as Json;

/**
 * WAF's part at the local edge: the groups that revocation keeps (`<web ACL>-blocked`), as they stand in the WAF API, are
 * in force as if a web ACL referred to them. Of their rules it knows what those groups are made of: address sets and
 * autonomous systems. The other rules of a web ACL are not run here; `portcullis waf simulate` runs them.
 */
export function createFirewall(api: Pick<WafApi, 'all' | 'version'>): Firewall {
  let compiled: readonly CompiledRule[] = [];
  let version = -1;
  return {
    check({ ip, asn }) {
      if (api.version() !== version) {
        version = api.version();
        compiled = compile(api);
      }
      const viewer = { ip, asn: Number(asn ?? NaN) };
      return compiled.find(({ matches }) => matches(viewer))?.answer;
    },
  };
}

function compile(api: Pick<WafApi, 'all'>): CompiledRule[] {
  const sets = new Map(api.all('ipset').map((set) => [String(set['ARN']), addressesOf(set['Addresses'] as string[])]));
  return api
    .all('rulegroup')
    .filter((group) => String(group['Name']).endsWith('-blocked'))
    .flatMap((group) =>
      list(group['Rules'])
        .sort((a, b) => Number(a['Priority']) - Number(b['Priority']))
        .filter((rule) => 'Block' in member(rule, 'Action'))
        .map((rule) => ({
          matches: (viewer) => statementMatches(rule['Statement'] as Json, viewer, sets),
          answer: answerOf(rule, member(group, 'CustomResponseBodies')),
        })),
    );
}

function addressesOf(ranges: readonly string[]): BlockList {
  const found = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix = ''] = range.split('/');
    found.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return found;
}

function statementMatches(
  statement: Json,
  viewer: { readonly ip: string; readonly asn: number },
  sets: ReadonlyMap<string, BlockList>,
): boolean {
  const [kind] = Object.keys(statement);
  const body = member(statement, kind ?? '');
  if (kind === 'OrStatement') return list(body['Statements']).some((part) => statementMatches(part, viewer, sets));
  if (kind === 'AsnMatchStatement') return (body['AsnList'] as readonly number[]).includes(viewer.asn);
  if (kind !== 'IPSetReferenceStatement' || isIP(viewer.ip) === 0) return false;
  return sets.get(String(body['ARN']))?.check(viewer.ip, isIPv6(viewer.ip) ? 'ipv6' : 'ipv4') ?? false;
}

function answerOf(rule: Json, bodies: Json): FirewallAnswer {
  const custom = member(member(member(rule, 'Action'), 'Block'), 'CustomResponse');
  const body = member(bodies, String(custom['CustomResponseBodyKey'] ?? ''));
  const type = body['ContentType'] === 'APPLICATION_JSON' ? 'application/json' : 'text/html';
  return {
    rule: String(rule['Name']),
    status: Number(custom['ResponseCode'] ?? 403),
    headers: [
      ['content-type', type],
      ...list(custom['ResponseHeaders']).map((header) => [String(header['Name']), String(header['Value'])] as const),
    ],
    body: String(body['Content'] ?? 'Request blocked.'),
  };
}
