import type {
  FieldToMatch,
  ForwardedIPConfig,
  PreParseTextTransformation,
  RateBasedStatement,
  Rule,
  RuleAction,
  Statement,
  TextTransformation,
} from '@aws-sdk/client-wafv2';
import { parseAddress, type AddressTable, type ParsedAddress } from './addresses.js';
import { WafRulesError } from './errors.js';
import { looksLikeScript, looksLikeSqlInjection } from './injection.js';
import { atPointer, readJsonBody } from './json-body.js';
import { inspectionLimits } from './limits.js';
import { findManagedGroup, type ManagedRule } from './managed-groups.js';
import { createRateWindow } from './rate-window.js';
import type { SimulatedRequest } from './simulated-request.js';
import { preParseTransformationOf, transformationOf, undocumentedTransformations } from './transformations.js';

/** False, true, or not to be known from what the source recorded. */
type Truth = 0 | 1 | 2;

/** What the source of a request may know of an address. */
export interface AddressFacts {
  readonly country?: string;
  /** Subdivision without the country. */
  readonly region?: string;
  readonly asn?: number;
}

/** A rule group as the simulator runs it. */
export interface SimulatedGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** Everything outside the rules that a simulation needs. */
export interface SimulationEnvironment {
  /** Account number in label names. Default `000000000000`. */
  readonly account?: string;
  /** Addresses of an IP set, by the ARN or reference in the statement. */
  readonly ipSet?: (arn: string) => AddressTable | undefined;
  readonly regexSet?: (arn: string) => readonly string[] | undefined;
  readonly ruleGroup?: (arn: string) => SimulatedGroup | undefined;
  /** The addresses on the list behind a rule of a managed group. */
  readonly managedList?: (vendor: string, group: string, rule: string) => AddressTable | undefined;
  /** Rules of managed groups this project does not know. */
  readonly managedRules?: (vendor: string, group: string) => readonly ManagedRule[] | undefined;
  readonly locate?: (address: string) => AddressFacts | undefined;
  /** Bytes of the body that WAF inspects. Default 16,384. */
  readonly bodyLimit?: number;
  /** Decide rates on every request instead of every ten seconds. */
  readonly promptRates?: boolean;
}

/** A web ACL as the simulator runs it. */
export interface SimulatedAcl {
  readonly name: string;
  readonly rules: readonly Rule[];
  readonly defaultAction?: 'ALLOW' | 'BLOCK';
}

/** One rule that matched. */
export interface Match {
  /** The rule's name. */
  readonly rule: string;
  /** The group it is in. */
  readonly group: string | undefined;
  readonly action: 'BLOCK' | 'ALLOW' | 'COUNT' | 'CAPTCHA' | 'CHALLENGE';
}

/** What became of a request. */
export interface Decision {
  readonly action: 'ALLOW' | 'BLOCK' | 'CAPTCHA' | 'CHALLENGE';
  /** The rule that ended it; undefined for the default action. */
  readonly rule: string | undefined;
  readonly group: string | undefined;
  /** The answer's status where WAF answers itself. */
  readonly status: number | undefined;
  /** Rules that matched, in order, the deciding one included. */
  readonly matches: readonly Match[];
  /** Rules that could not be decided from what the source recorded. */
  readonly undecided: readonly string[];
  readonly labels: readonly string[];
  /** Headers WAF adds to the request, by their full names. */
  readonly insertedHeaders: Readonly<Record<string, string>>;
}

/** A compiled rule set. It keeps rate counts, so requests go through it in the order of their time. */
export interface Simulator {
  decide(request: SimulatedRequest): Decision;
  /** What the simulation cannot do like AWS. */
  readonly remarks: readonly string[];
}

interface Context {
  request: SimulatedRequest;
  parsed: ParsedAddress | undefined;
  labels: string[];
  pending: string[];
  slots: (Inspected | undefined)[];
}

interface Inspected {
  readonly values: readonly string[];
  /** Part of the component was not recorded. */
  readonly unknown: boolean;
  /** Oversize or fallback handling decides without looking. */
  readonly forced: Truth | undefined;
}

/** What rules leave behind on the way to a decision. */
interface Findings {
  readonly matches: Match[];
  readonly undecided: string[];
  readonly insertedHeaders: Record<string, string>;
}

type Check = (context: Context) => Truth;
interface CompiledRule {
  readonly name: string;
  readonly group: string | undefined;
  readonly check: Check;
  readonly action: Match['action'];
  readonly status: number | undefined;
  readonly labels: readonly string[];
  readonly headers: readonly (readonly [string, string])[];
  /** A rule that is a group: its rules run in its place. */
  readonly inside: readonly CompiledRule[] | undefined;
  /** OverrideAction Count: the group stops where it would, and only its result becomes Count. */
  readonly countResult: boolean;
  readonly geoLabels: ((context: Context) => void) | undefined;
}

type Extract = (request: SimulatedRequest) => Inspected;

const nothing: Inspected = { values: [], unknown: false, forced: undefined };
const unknown: Inspected = { values: [], unknown: true, forced: undefined };
const one = (value: string): Inspected => ({ values: [value], unknown: false, forced: undefined });
const many = (values: readonly string[], partial = false): Inspected => ({
  values,
  unknown: partial,
  forced: undefined,
});
const forced = (truth: Truth): Inspected => ({ values: [], unknown: false, forced: truth });

/** Headers that an access log line stands for without recording them. */
const missingOf = (request: SimulatedRequest, name: string): Inspected =>
  request.knownHeaders === undefined || request.knownHeaders.has(name) ? nothing : unknown;

function headerValues(request: SimulatedRequest, name: string): string[] {
  const values: string[] = [];
  for (const header of request.headers) if (header[0] === name) values.push(header[1]);
  return values;
}

/** Splits a query string, raw: nothing is decoded. */
function queryArguments(query: string): [string, string][] {
  if (query === '') return [];
  return query.split('&').map((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  });
}

function cookiesOf(request: SimulatedRequest): [string, string][] {
  const cookies: [string, string][] = [];
  for (const value of headerValues(request, 'cookie')) {
    for (const pair of value.split(';')) {
      const trimmed = pair.trim();
      if (trimmed === '') continue;
      const equals = trimmed.indexOf('=');
      cookies.push(equals < 0 ? [trimmed, ''] : [trimmed.slice(0, equals), trimmed.slice(equals + 1)]);
    }
  }
  return cookies;
}

type Oversize = 'CONTINUE' | 'MATCH' | 'NO_MATCH' | undefined;

/** The part of a list that WAF sees, or the decision that its oversize handling makes. */
function withinLimits<T extends readonly [string, string]>(
  list: readonly T[],
  bytesLimit: number,
  countLimit: number,
  oversize: Oversize,
): readonly T[] | Truth {
  let bytes = 0;
  for (let i = 0; i < list.length; i++) {
    const pair = list[i] as T;
    bytes += pair[0].length + pair[1].length;
    if (i >= countLimit || bytes > bytesLimit) {
      return oversize === 'MATCH' ? 1 : oversize === 'NO_MATCH' ? 0 : list.slice(0, i);
    }
  }
  return list;
}

function scoped(
  pairs: readonly (readonly [string, string])[],
  scope: string | undefined,
  chosen: ((name: string) => boolean) | undefined,
): string[] {
  const found: string[] = [];
  for (const pair of pairs) {
    if (chosen && !chosen(pair[0])) continue;
    if (scope !== 'VALUE') found.push(pair[0]);
    if (scope !== 'KEY') found.push(pair[1]);
  }
  return found;
}

/** Whether a name is among those inspected; undefined where all are. */
function chooser(included: readonly string[] | undefined, excluded: readonly string[] | undefined) {
  if (included) return (name: string): boolean => included.includes(name);
  if (excluded) return (name: string): boolean => !excluded.includes(name);
  return undefined;
}

function extractorOf(
  component: FieldToMatch,
  environment: SimulationEnvironment,
  preParse: (query: string) => string,
): Extract {
  if (component.UriPath) return (request) => one(request.path);
  if (component.QueryString) return (request) => one(request.query);
  if (component.Method) return (request) => one(request.method);
  if (component.SingleHeader) {
    const name = (component.SingleHeader.Name ?? '').toLowerCase();
    return (request) => {
      const values = headerValues(request, name);
      return values.length > 0 ? many(values) : missingOf(request, name);
    };
  }
  if (component.SingleQueryArgument) {
    const name = (component.SingleQueryArgument.Name ?? '').toLowerCase();
    return (request) => {
      if (request.query === '') return nothing;
      const values: string[] = [];
      for (const [key, value] of queryArguments(preParse(request.query)))
        if (key.toLowerCase() === name) values.push(value);
      return values.length > 0 ? many(values) : nothing;
    };
  }
  if (component.AllQueryArguments) {
    return (request) => many(queryArguments(preParse(request.query)).map(([, value]) => value));
  }
  if (component.Headers) {
    const { MatchPattern, MatchScope, OversizeHandling } = component.Headers;
    const included = MatchPattern?.IncludedHeaders?.map((name) => name.toLowerCase());
    const chosen = chooser(
      included,
      MatchPattern?.ExcludedHeaders?.map((name) => name.toLowerCase()),
    );
    return (request) => {
      const visible = withinLimits(
        request.headers,
        inspectionLimits.headersBytes,
        inspectionLimits.headers,
        OversizeHandling,
      );
      if (typeof visible === 'number') return forced(visible);
      const partial =
        request.knownHeaders !== undefined && !(included?.every((name) => request.knownHeaders?.has(name)) ?? false);
      return many(scoped(visible, MatchScope, chosen), partial);
    };
  }
  if (component.Cookies) {
    const { MatchPattern, MatchScope, OversizeHandling } = component.Cookies;
    const chosen = chooser(MatchPattern?.IncludedCookies, MatchPattern?.ExcludedCookies);
    return (request) => {
      const visible = withinLimits(
        cookiesOf(request),
        inspectionLimits.cookiesBytes,
        inspectionLimits.cookies,
        OversizeHandling,
      );
      if (typeof visible === 'number') return forced(visible);
      return many(scoped(visible, MatchScope, chosen), missingOf(request, 'cookie').unknown);
    };
  }
  if (component.HeaderOrder) {
    const { OversizeHandling } = component.HeaderOrder;
    return (request) => {
      if (request.knownHeaders !== undefined) return unknown;
      const visible = withinLimits(
        request.headers,
        inspectionLimits.headersBytes,
        inspectionLimits.headers,
        OversizeHandling,
      );
      return typeof visible === 'number' ? forced(visible) : one(visible.map(([name]) => name).join(':'));
    };
  }
  const bodyLimit = environment.bodyLimit ?? inspectionLimits.bodyBytes;
  const handleOversize = (oversize: Oversize, look: (body: string) => Inspected): Extract => {
    return (request) => {
      // A log does not record bodies; the methods that read are taken to have none.
      if (request.knownHeaders !== undefined && !/^(GET|HEAD|OPTIONS)$/.test(request.method)) return unknown;
      if (request.body.length <= bodyLimit) return look(request.body);
      if (oversize === 'MATCH') return forced(1);
      if (oversize === 'NO_MATCH') return forced(0);
      return look(request.body.slice(0, bodyLimit));
    };
  };
  if (component.Body) return handleOversize(component.Body.OversizeHandling, one);
  if (component.JsonBody) {
    const { MatchPattern, MatchScope, InvalidFallbackBehavior, OversizeHandling } = component.JsonBody;
    return handleOversize(OversizeHandling, (body) => {
      const { elements, complete } = readJsonBody(body);
      if (!complete && InvalidFallbackBehavior === 'MATCH') return forced(1);
      if (!complete && InvalidFallbackBehavior === 'NO_MATCH') return forced(0);
      if (!complete && InvalidFallbackBehavior === 'EVALUATE_AS_STRING') return one(body);
      const paths = MatchPattern?.IncludedPaths;
      return many(
        elements
          .filter((element) => MatchScope === 'ALL' || element.kind === (MatchScope === 'KEY' ? 'key' : 'value'))
          .filter((element) => !paths || atPointer(element, paths))
          .map((element) => element.text),
      );
    });
  }
  if (component.UriFragment) {
    // Browsers never send a fragment, so the fallback always decides.
    return () => forced(component.UriFragment?.FallbackBehavior === 'MATCH' ? 1 : 0);
  }
  for (const [kind, setting] of [
    ['ja3', component.JA3Fingerprint],
    ['ja4', component.JA4Fingerprint],
  ] as const) {
    if (!setting) continue;
    return (request) => {
      const value = request[kind];
      if (value !== undefined) return one(value);
      return request.knownHeaders !== undefined ? unknown : forced(setting.FallbackBehavior === 'MATCH' ? 1 : 0);
    };
  }
  throw new WafRulesError(
    'unsupported_statement',
    `No component is called ${Object.keys(component).join(', ') || 'nothing'}.`,
  );
}

const ordered = <T extends { Priority?: number | undefined }>(list: readonly T[] | undefined): T[] =>
  [...(list ?? [])].sort((a, b) => (a.Priority ?? 0) - (b.Priority ?? 0));

interface Matching {
  FieldToMatch?: FieldToMatch | undefined;
  TextTransformations?: TextTransformation[] | undefined;
  PreParseTextTransformations?: PreParseTextTransformation[] | undefined;
}

/**
 * Compiles a web ACL into a function from requests to decisions.
 *
 * @throws WafRulesError `unsupported_statement`, `unresolved_reference`
 * @example createSimulator({ name: 'portcullis', rules }, { ipSet: (arn) => tables.get(arn) }).decide(request)
 */
export function createSimulator(acl: SimulatedAcl, environment: SimulationEnvironment = {}): Simulator {
  const remarks = new Set<string>();
  const slotOf = new Map<string, { index: number; extract: Extract; change: (value: string) => string }>();
  const account = environment.account ?? '000000000000';

  /** One slot per component and chain of transformations: computed once per request, however many rules look. */
  function inspection(match: Matching): (context: Context) => Inspected {
    const key = JSON.stringify([match.FieldToMatch, match.TextTransformations, match.PreParseTextTransformations]);
    let slot = slotOf.get(key);
    if (!slot) {
      const steps = ordered(match.TextTransformations);
      for (const step of steps) {
        if (undocumentedTransformations.has(step.Type ?? '')) {
          remarks.add(`${step.Type}: its effect is not documented; simulated by the usual meaning of the name.`);
        }
      }
      const changes = steps.filter((step) => step.Type !== 'NONE').map((step) => transformationOf(step.Type));
      const before = ordered(match.PreParseTextTransformations).map((step) => preParseTransformationOf(step.Type));
      slot = {
        index: slotOf.size,
        extract: extractorOf(match.FieldToMatch ?? {}, environment, (query) =>
          before.reduce((text, step) => step(text), query),
        ),
        change: changes.length === 0 ? (value) => value : (value) => changes.reduce((text, step) => step(text), value),
      };
      slotOf.set(key, slot);
    }
    const { index, extract, change } = slot;
    return (context) => {
      const known = context.slots[index];
      if (known) return known;
      const raw = extract(context.request);
      const found = raw.values.length === 0 ? raw : { ...raw, values: raw.values.map(change) };
      context.slots[index] = found;
      return found;
    };
  }

  function matching(match: Matching, test: (value: string) => boolean): Check {
    const inspect = inspection(match);
    return (context) => {
      const found = inspect(context);
      if (found.forced !== undefined) return found.forced;
      for (const value of found.values) if (test(value)) return 1;
      return found.unknown ? 2 : 0;
    };
  }

  /** The address a statement looks at: the viewer's, or one from a header. Fallback only for invalid values. */
  function forwarded(config: ForwardedIPConfig | undefined): (context: Context) => string | Truth {
    if (!config) return (context) => context.request.address;
    const name = (config.HeaderName ?? '').toLowerCase();
    return (context) => {
      const [value] = headerValues(context.request, name);
      if (value === undefined) return missingOf(context.request, name).unknown ? 2 : 0;
      const address = (value.split(',')[0] ?? '').trim();
      if (parseAddress(address)) return address;
      return config.FallbackBehavior === 'MATCH' ? 1 : 0;
    };
  }

  /** A fact of an address: told with the request, or looked up. */
  function factOf<Name extends keyof AddressFacts>(
    context: Context,
    address: string,
    name: Name,
  ): AddressFacts[Name] | undefined {
    const own = address === context.request.address ? (context.request[name] as AddressFacts[Name]) : undefined;
    return own ?? environment.locate?.(address)?.[name];
  }

  function compile(statement: Statement, prefix: string): Check {
    if (statement.ByteMatchStatement) {
      const search = Buffer.from(statement.ByteMatchStatement.SearchString ?? new Uint8Array()).toString('latin1');
      const test = byteTest(statement.ByteMatchStatement.PositionalConstraint, search);
      return matching(statement.ByteMatchStatement, test);
    }
    if (statement.RegexMatchStatement) {
      const form = compileRegex(statement.RegexMatchStatement.RegexString ?? '');
      return matching(statement.RegexMatchStatement, (value) => form.test(value));
    }
    if (statement.RegexPatternSetReferenceStatement) {
      const arn = statement.RegexPatternSetReferenceStatement.ARN ?? '';
      const patterns = environment.regexSet?.(arn);
      if (!patterns) throw unresolved('regex pattern set', arn);
      const forms = patterns.map(compileRegex);
      return matching(statement.RegexPatternSetReferenceStatement, (value) => forms.some((form) => form.test(value)));
    }
    if (statement.SizeConstraintStatement) {
      const { ComparisonOperator, Size = 0 } = statement.SizeConstraintStatement;
      return matching(statement.SizeConstraintStatement, sizeTest(ComparisonOperator, Size));
    }
    if (statement.SqliMatchStatement) {
      remarks.add('SQL injection: AWS uses a detector of its own; figures of these rules are approximate.');
      const high = statement.SqliMatchStatement.SensitivityLevel === 'HIGH';
      return matching(statement.SqliMatchStatement, looksLikeSqlInjection(high ? 'HIGH' : 'LOW'));
    }
    if (statement.XssMatchStatement) {
      remarks.add('Cross-site scripting: AWS uses a detector of its own; figures of these rules are approximate.');
      return matching(statement.XssMatchStatement, looksLikeScript);
    }
    if (statement.GeoMatchStatement) {
      const codes = new Set<string>(statement.GeoMatchStatement.CountryCodes ?? []);
      const addressOf = forwarded(statement.GeoMatchStatement.ForwardedIPConfig);
      return (context) => {
        const address = addressOf(context);
        if (typeof address === 'number') return address;
        const country = factOf(context, address, 'country');
        if (country === undefined && context.request.knownHeaders) return 2;
        return codes.has(country ?? 'XX') ? 1 : 0;
      };
    }
    if (statement.AsnMatchStatement) {
      const numbers = new Set(statement.AsnMatchStatement.AsnList ?? []);
      const addressOf = forwarded(statement.AsnMatchStatement.ForwardedIPConfig);
      return (context) => {
        const address = addressOf(context);
        if (typeof address === 'number') return address;
        const asn = factOf(context, address, 'asn');
        if (asn === undefined && context.request.knownHeaders) return 2;
        return numbers.has(asn ?? 0) ? 1 : 0;
      };
    }
    if (statement.IPSetReferenceStatement) return ipSetCheck(statement.IPSetReferenceStatement);
    if (statement.LabelMatchStatement) {
      const { Scope, Key = '' } = statement.LabelMatchStatement;
      const test = Scope === 'NAMESPACE' ? namespaceTest(Key, prefix) : labelTest(Key, prefix);
      return (context) => {
        for (const name of context.labels) if (test(name)) return 1;
        return 0;
      };
    }
    if (statement.AndStatement) {
      const checks = (statement.AndStatement.Statements ?? []).map((part) => compile(part, prefix));
      return (context) => {
        let result: Truth = 1;
        for (const check of checks) {
          const truth = check(context);
          if (truth === 0) return 0;
          if (truth === 2) result = 2;
        }
        return result;
      };
    }
    if (statement.OrStatement) {
      const checks = (statement.OrStatement.Statements ?? []).map((part) => compile(part, prefix));
      return (context) => {
        let result: Truth = 0;
        for (const check of checks) {
          const truth = check(context);
          if (truth === 1) return 1;
          if (truth === 2) result = 2;
        }
        return result;
      };
    }
    if (statement.NotStatement) {
      const check = compile(statement.NotStatement.Statement ?? {}, prefix);
      return (context) => {
        const truth = check(context);
        return truth === 2 ? 2 : truth === 1 ? 0 : 1;
      };
    }
    if (statement.RateBasedStatement) return rateCheck(statement.RateBasedStatement, prefix);
    throw new WafRulesError(
      'unsupported_statement',
      `A statement of kind ${Object.keys(statement).join(', ') || 'none'} cannot stand here.`,
    );
  }

  function ipSetCheck(reference: NonNullable<Statement['IPSetReferenceStatement']>): Check {
    const arn = reference.ARN ?? '';
    const table = environment.ipSet?.(arn);
    if (!table) throw unresolved('IP set', arn);
    const config = reference.IPSetForwardedIPConfig;
    if (!config) return (context) => (context.parsed && table.has(context.parsed) ? 1 : 0);
    const name = (config.HeaderName ?? '').toLowerCase();
    return (context) => {
      const [value] = headerValues(context.request, name);
      if (value === undefined) return missingOf(context.request, name).unknown ? 2 : 0;
      const listed = value.split(',').map((each) => each.trim());
      const chosen =
        config.Position === 'FIRST'
          ? listed.slice(0, 1)
          : config.Position === 'LAST'
            ? listed.slice(-1)
            : listed.slice(-10);
      let valid = false;
      for (const text of chosen) {
        const address = parseAddress(text);
        if (!address) continue;
        valid = true;
        if (table.has(address)) return 1;
      }
      return valid ? 0 : config.FallbackBehavior === 'MATCH' ? 1 : 0;
    };
  }

  function rateCheck(rate: RateBasedStatement, prefix: string): Check {
    const window = createRateWindow(rate.Limit ?? 0, rate.EvaluationWindowSec ?? 300, environment.promptRates ?? false);
    const only = rate.ScopeDownStatement ? compile(rate.ScopeDownStatement, prefix) : () => 1 as Truth;
    const keyOf = rateKey(rate, prefix);
    return (context) => {
      const counted = only(context);
      if (counted !== 1) return counted;
      const key = keyOf(context);
      if (typeof key === 'number') return key;
      return window.hit(key, context.request.time) ? 1 : 0;
    };
  }

  /** The aggregation key of a request; a truth instead where it has none. */
  function rateKey(rate: RateBasedStatement, prefix: string): (context: Context) => string | Truth {
    if (rate.AggregateKeyType === 'CONSTANT') return () => '';
    if (rate.AggregateKeyType === 'IP') return (context) => context.request.address;
    if (rate.AggregateKeyType === 'FORWARDED_IP') return forwarded(rate.ForwardedIPConfig);
    const component = (
      field: FieldToMatch,
      steps: TextTransformation[] | undefined,
    ): ((context: Context) => string | Truth) => {
      const inspect = inspection({ FieldToMatch: field, TextTransformations: steps });
      return (context) => {
        const found = inspect(context);
        if (found.forced !== undefined) return found.forced;
        return found.values[0] ?? (found.unknown ? 2 : 0);
      };
    };
    const parts = (rate.CustomKeys ?? []).map((key): ((context: Context) => string | Truth) => {
      if (key.IP) return (context) => context.request.address;
      if (key.ForwardedIP) return forwarded(rate.ForwardedIPConfig);
      if (key.HTTPMethod) return (context) => context.request.method;
      if (key.UriPath) return component({ UriPath: {} }, key.UriPath.TextTransformations);
      if (key.QueryString) return component({ QueryString: {} }, key.QueryString.TextTransformations);
      if (key.Header) return component({ SingleHeader: { Name: key.Header.Name } }, key.Header.TextTransformations);
      if (key.QueryArgument) {
        return component(
          { SingleQueryArgument: { Name: key.QueryArgument.Name } },
          key.QueryArgument.TextTransformations,
        );
      }
      if (key.Cookie) {
        const pattern = { IncludedCookies: [key.Cookie.Name ?? ''] };
        return component(
          { Cookies: { MatchPattern: pattern, MatchScope: 'VALUE', OversizeHandling: 'CONTINUE' } },
          key.Cookie.TextTransformations,
        );
      }
      if (key.JA3Fingerprint) return component({ JA3Fingerprint: key.JA3Fingerprint }, undefined);
      if (key.JA4Fingerprint) return component({ JA4Fingerprint: key.JA4Fingerprint }, undefined);
      if (key.ASN) {
        return (context) => {
          const asn = factOf(context, context.request.address, 'asn');
          return asn === undefined && context.request.knownHeaders ? 2 : String(asn ?? 0);
        };
      }
      if (key.LabelNamespace) {
        const test = namespaceTest(key.LabelNamespace.Namespace ?? '', prefix);
        return (context) => {
          const names = context.labels.filter(test);
          return names.length > 0 ? names.sort().join(' ') : 0;
        };
      }
      throw new WafRulesError('unsupported_statement', `No rate key is called ${Object.keys(key).join(', ')}.`);
    });
    return (context) => {
      let joined = '';
      for (const part of parts) {
        const value = part(context);
        if (typeof value === 'number') return value;
        joined += `${value}\u0000`;
      }
      return joined;
    };
  }

  const rules = compileRules(acl.rules, `awswaf:${account}:webacl:${acl.name}:`, undefined);

  function compileRules(
    list: readonly Rule[],
    prefix: string,
    group: string | undefined,
    overrides: ReadonlyMap<string, RuleAction> = new Map(),
  ): CompiledRule[] {
    return ordered(list).map((rule) => {
      const statement = rule.Statement ?? {};
      const base = {
        name: rule.Name ?? '',
        group,
        labels: (rule.RuleLabels ?? []).map((each) => prefix + (each.Name ?? '')),
        countResult: rule.OverrideAction?.Count !== undefined,
        geoLabels: geoLabels(statement),
      };
      const { RuleGroupReferenceStatement: ours, ManagedRuleGroupStatement: managed } = statement;
      if (ours) {
        const found = environment.ruleGroup?.(ours.ARN ?? '');
        if (!found) throw unresolved('rule group', ours.ARN ?? '');
        const known = new Set(found.rules.map((each) => each.Name));
        for (const override of ours.RuleActionOverrides ?? []) {
          if (!known.has(override.Name)) {
            throw new WafRulesError('unresolved_reference', `${found.name} has no rule ${override.Name} to override.`);
          }
        }
        const inside = compileRules(
          found.rules,
          `awswaf:${account}:rulegroup:${found.name}:`,
          found.name,
          new Map((ours.RuleActionOverrides ?? []).map((each) => [each.Name ?? '', each.ActionToUse ?? {}])),
        );
        return { ...base, check: () => 1, action: 'COUNT', status: undefined, headers: [], inside };
      }
      if (managed) {
        return {
          ...base,
          check: managed.ScopeDownStatement ? compile(managed.ScopeDownStatement, prefix) : () => 1,
          action: 'COUNT',
          status: undefined,
          headers: [],
          inside: managedRules(managed),
        };
      }
      const action = overrides.get(rule.Name ?? '') ?? rule.Action ?? {};
      return {
        ...base,
        check: compile(statement, prefix),
        inside: undefined,
        ...actionParts(action),
      };
    });
  }

  function managedRules(managed: NonNullable<Statement['ManagedRuleGroupStatement']>): CompiledRule[] {
    const { VendorName = '', Name = '' } = managed;
    const listed = environment.managedRules?.(VendorName, Name) ?? findManagedGroup(VendorName, Name)?.rules;
    if (!listed) {
      remarks.add(`Managed group ${Name}: its rules are not known here and were left out.`);
      return [];
    }
    const overrides = new Map(
      (managed.RuleActionOverrides ?? []).map((each) => [each.Name ?? '', each.ActionToUse ?? {}]),
    );
    return listed.map((rule): CompiledRule => {
      const table = environment.managedList?.(VendorName, Name, rule.name);
      if (!table) remarks.add(`Managed group ${Name}, rule ${rule.name}: no list given, left undecided.`);
      return {
        name: rule.name,
        group: Name,
        check: (context) => (table ? (context.parsed && table.has(context.parsed) ? 1 : 0) : 2),
        labels: [rule.label],
        countResult: false,
        geoLabels: undefined,
        inside: undefined,
        ...actionParts(overrides.get(rule.name) ?? { [rule.action]: {} }),
      };
    });
  }

  /** A geographic match labels every request it inspects, matched or not; readable from the next rule on. */
  function geoLabels(statement: Statement): ((context: Context) => void) | undefined {
    const found: ((context: Context) => void)[] = [];
    const visit = (inner: Statement | undefined): void => {
      if (!inner) return;
      if (inner.GeoMatchStatement) {
        const config = inner.GeoMatchStatement.ForwardedIPConfig;
        const addressOf = forwarded(config);
        const kind = config ? 'forwardedip' : 'clientip';
        found.push((context) => {
          const address = addressOf(context);
          if (typeof address === 'number') return;
          const country = factOf(context, address, 'country') ?? 'XX';
          const region = factOf(context, address, 'region') ?? 'XX';
          context.pending.push(`awswaf:${kind}:geo:country:${country}`);
          context.pending.push(`awswaf:${kind}:geo:region:${country}-${region}`);
        });
      }
      inner.AndStatement?.Statements?.forEach(visit);
      inner.OrStatement?.Statements?.forEach(visit);
      visit(inner.NotStatement?.Statement);
      visit(inner.RateBasedStatement?.ScopeDownStatement);
      visit(inner.ManagedRuleGroupStatement?.ScopeDownStatement);
    };
    visit(statement);
    return found.length === 0 ? undefined : (context) => found.forEach((add) => add(context));
  }

  const addLabel = (name: string): void => {
    if (!context.labels.includes(name)) context.labels.push(name);
  };

  /** Runs rules in order; the one that ends the request, if any. */
  function run(list: readonly CompiledRule[], found: Findings): CompiledRule | undefined {
    for (const rule of list) {
      const truth = rule.check(context);
      if (rule.geoLabels) {
        rule.geoLabels(context);
        context.pending.forEach(addLabel);
        context.pending = [];
      }
      if (truth === 2) {
        found.undecided.push(rule.name);
        continue;
      }
      if (truth === 0) continue;
      if (rule.inside) {
        const ended = run(rule.inside, found);
        if (!ended) continue;
        if (!rule.countResult) return ended;
        found.matches.push({ rule: rule.name, group: rule.group, action: 'COUNT' });
        continue;
      }
      rule.labels.forEach(addLabel);
      const asks = rule.action === 'CAPTCHA' || rule.action === 'CHALLENGE';
      const passes = rule.action === 'COUNT' || (asks && context.request.challengePassed);
      found.matches.push({ rule: rule.name, group: rule.group, action: passes ? 'COUNT' : rule.action });
      if (passes || rule.action === 'ALLOW') {
        for (const [name, value] of rule.headers) found.insertedHeaders[name] = value;
      }
      if (!passes) return rule;
    }
    return undefined;
  }

  const context: Context = {
    request: undefined as unknown as SimulatedRequest,
    parsed: undefined,
    labels: [],
    pending: [],
    slots: new Array<Inspected | undefined>(slotOf.size).fill(undefined),
  };

  return {
    get remarks() {
      return [...remarks];
    },
    decide(request) {
      context.request = request;
      context.parsed = parseAddress(request.address);
      context.labels = [];
      context.pending = [];
      context.slots.fill(undefined);
      const found: Findings = { matches: [], undecided: [], insertedHeaders: {} };
      const ended = run(rules, found);
      const action = ended ? (ended.action as Decision['action']) : (acl.defaultAction ?? 'ALLOW');
      return {
        action,
        rule: ended?.name,
        group: ended?.group,
        status: action === 'ALLOW' ? undefined : (ended?.status ?? 403),
        ...found,
        labels: context.labels,
      };
    },
  };
}

function actionParts(action: RuleAction): {
  action: Match['action'];
  status: number | undefined;
  headers: readonly (readonly [string, string])[];
} {
  const inserted = (
    handling: { InsertHeaders?: { Name?: string | undefined; Value?: string | undefined }[] | undefined } | undefined,
  ) =>
    (handling?.InsertHeaders ?? []).map(
      (each) => [`x-amzn-waf-${each.Name ?? ''}`.toLowerCase(), each.Value ?? ''] as const,
    );
  if (action.Block) {
    return { action: 'BLOCK', status: action.Block.CustomResponse?.ResponseCode ?? 403, headers: [] };
  }
  if (action.Allow)
    return { action: 'ALLOW', status: undefined, headers: inserted(action.Allow.CustomRequestHandling) };
  if (action.Captcha)
    return { action: 'CAPTCHA', status: 405, headers: inserted(action.Captcha.CustomRequestHandling) };
  if (action.Challenge) {
    return { action: 'CHALLENGE', status: 202, headers: inserted(action.Challenge.CustomRequestHandling) };
  }
  if (action.Monetize) return { action: 'BLOCK', status: 402, headers: [] };
  return { action: 'COUNT', status: undefined, headers: inserted(action.Count?.CustomRequestHandling) };
}

const wordCharacter = /[A-Za-z0-9_]/;

/** Byte comparison, case-sensitive (API:ByteMatchStatement). */
function byteTest(position: string | undefined, search: string): (value: string) => boolean {
  switch (position) {
    case 'EXACTLY':
      return (value) => value === search;
    case 'STARTS_WITH':
      return (value) => value.startsWith(search);
    case 'ENDS_WITH':
      return (value) => value.endsWith(search);
    case 'CONTAINS':
      return (value) => value.includes(search);
    case 'CONTAINS_WORD':
      return (value) => {
        for (let at = value.indexOf(search); at >= 0; at = value.indexOf(search, at + 1)) {
          const before = value[at - 1] ?? ' ';
          const after = value[at + search.length] ?? ' ';
          if (!wordCharacter.test(before) && !wordCharacter.test(after)) return true;
        }
        return false;
      };
    default:
      throw new WafRulesError('unsupported_statement', `No byte match position is called "${position}".`);
  }
}

function sizeTest(operator: string | undefined, size: number): (value: string) => boolean {
  switch (operator) {
    case 'EQ':
      return (value) => value.length === size;
    case 'NE':
      return (value) => value.length !== size;
    case 'LE':
      return (value) => value.length <= size;
    case 'LT':
      return (value) => value.length < size;
    case 'GE':
      return (value) => value.length >= size;
    case 'GT':
      return (value) => value.length > size;
    default:
      throw new WafRulesError('unsupported_statement', `No comparison is called "${operator}".`);
  }
}

/** A PCRE of WAF's dialect as JavaScript's: leading inline flags become flags. */
function compileRegex(pattern: string): RegExp {
  const inline = /^\(\?([ims]+)\)/.exec(pattern);
  try {
    return inline ? new RegExp(pattern.slice(inline[0].length), inline[1]) : new RegExp(pattern);
  } catch (error) {
    throw new WafRulesError('invalid_regex', `"${pattern}" cannot be simulated: ${(error as Error).message}`, {
      pattern,
    });
  }
}

/** A key without prefix finds labels of its own container only, by their end, whole components. */
function labelTest(key: string, prefix: string): (name: string) => boolean {
  if (key.startsWith('awswaf:')) return (name) => name === key;
  return (name) => name.startsWith(prefix) && (name === prefix + key || name.endsWith(`:${key}`));
}

function namespaceTest(key: string, prefix: string): (name: string) => boolean {
  const namespace = key.endsWith(':') ? key : `${key}:`;
  if (key.startsWith('awswaf:')) return (name) => name.startsWith(namespace);
  return (name) => name.startsWith(prefix) && `:${name.slice(prefix.length)}`.includes(`:${namespace}`);
}

const unresolved = (kind: string, arn: string): WafRulesError =>
  new WafRulesError('unresolved_reference', `The ${kind} ${arn} is not known to the simulation.`, { arn });
