import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

// AWS WAF's API on loopback, as the WAFV2 API Reference and the quotas page document it: JSON 1.1 over POST with
// `x-amz-target`, LockToken, quotas, errors, and sets that cannot be referred to right after they were made. It stands
// by itself: it shares no code with `waf-rules`, so that neither can hide a mistake of the other.

type Json = Record<string, unknown>;

/** Quotas (limits page) and API rates. Rates are off unless asked for, since they are per account and slow tests. */
export interface WafApiLimits {
  readonly webAcls: number;
  readonly ruleGroups: number;
  readonly ipSets: number;
  readonly regexPatternSets: number;
  readonly addresses: number;
  readonly capacity: number;
  readonly references: number;
  readonly ratePerAcl: number;
  readonly ratePerGroup: number;
  readonly bodies: number;
  readonly bodyBytes: number;
}

export const documentedWafLimits: WafApiLimits = {
  webAcls: 100,
  ruleGroups: 100,
  ipSets: 100,
  regexPatternSets: 10,
  addresses: 10_000,
  capacity: 5000,
  references: 50,
  ratePerAcl: 10,
  ratePerGroup: 4,
  bodies: 50,
  bodyBytes: 4096,
};

/** A failure to put in the way of a call. */
export interface WafFault {
  /** An error's name, or `reset` to cut the connection. */
  readonly error: string;
  readonly message?: string;
  /** Do what was asked first, then fail: the answer that got lost. */
  readonly after?: boolean;
}

export interface WafApiOptions {
  readonly port?: number;
  readonly account?: string;
  readonly limits?: Partial<WafApiLimits>;
  /** How long a fresh set or group cannot be referred to. Milliseconds, default 0. */
  readonly propagation?: number;
  /** Create, Put and Update calls a second before ThrottlingException; default no limit. */
  readonly writesPerSecond?: number;
  /** Get and List calls a second before ThrottlingException; default no limit. */
  readonly readsPerSecond?: number;
  readonly faults?: (call: { operation: string; input: Json; count: number }) => WafFault | undefined;
  /** Keeps everything in this file from one start to the next. */
  readonly file?: string;
  readonly now?: () => number;
}

export interface WafApi {
  readonly endpoint: string;
  /** Operations called so far, in order. */
  readonly calls: readonly { readonly operation: string; readonly input: Json; readonly error?: string }[];
  /** The entity of a kind and name, as the API would return it. */
  find(kind: EntityKind, name: string): Json | undefined;
  /** Every entity of a kind, by name. */
  all(kind: EntityKind): readonly Json[];
  /** Grows with every change. */
  version(): number;
  close(): Promise<void>;
}

export type EntityKind = 'webacl' | 'rulegroup' | 'ipset' | 'regexpatternset';

interface Entity {
  readonly kind: EntityKind;
  readonly id: string;
  readonly name: string;
  readonly arn: string;
  readonly createdAt: number;
  lock: string;
  data: Json;
}

class ApiError extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly extra: Json = {},
    readonly status = 400,
  ) {
    super(message);
  }
}

const invalid = (fieldName: string, parameter: string, reason: string): ApiError =>
  new ApiError(
    'WAFInvalidParameterException',
    `Error reason: ${reason}, field: ${fieldName}, parameter: ${parameter}`,
    { Field: fieldName, Parameter: parameter, Reason: reason },
  );

const kinds: Record<EntityKind, { member: string; list: string; quota: keyof WafApiLimits }> = {
  webacl: { member: 'WebACL', list: 'WebACLs', quota: 'webAcls' },
  rulegroup: { member: 'RuleGroup', list: 'RuleGroups', quota: 'ruleGroups' },
  ipset: { member: 'IPSet', list: 'IPSets', quota: 'ipSets' },
  regexpatternset: { member: 'RegexPatternSet', list: 'RegexPatternSets', quota: 'regexPatternSets' },
};

const managedCapacity: Record<string, number> = {
  AWSManagedRulesAnonymousIpList: 50,
  AWSManagedRulesAmazonIpReputationList: 25,
  AWSManagedRulesCommonRuleSet: 700,
  AWSManagedRulesKnownBadInputsRuleSet: 200,
  AWSManagedRulesBotControlRuleSet: 50,
};

/** Starts the API. @example const api = await createWafApi({ propagation: 200 }) */
export async function createWafApi(options: WafApiOptions = {}): Promise<WafApi> {
  const limits = { ...documentedWafLimits, ...options.limits };
  const account = options.account ?? '123456789012';
  const now = options.now ?? Date.now;
  const entities = new Map<string, Entity>();
  const logging = new Map<string, Json>();
  const calls: { operation: string; input: Json; error?: string }[] = [];
  const counts = new Map<string, number>();
  const recent = { reads: [] as number[], writes: [] as number[] };
  let version = 0;
  const { file } = options;
  if (file !== undefined && existsSync(file)) {
    for (const entity of JSON.parse(readFileSync(file, 'utf8')) as Entity[]) entities.set(entity.id, entity);
  }

  function changed(): void {
    version++;
    if (file === undefined) return;
    writeFileSync(`${file}.new`, JSON.stringify([...entities.values()]));
    renameSync(`${file}.new`, file);
  }

  const all = (kind: EntityKind): Entity[] =>
    [...entities.values()].filter((each) => each.kind === kind).sort((a, b) => (a.name < b.name ? -1 : 1));

  function throttle(operation: string): void {
    const write = /^(Create|Put|Update)/.test(operation);
    const rate = write ? options.writesPerSecond : /^(Get|List)/.test(operation) ? options.readsPerSecond : undefined;
    if (rate === undefined) return;
    const window = write ? recent.writes : recent.reads;
    const time = now();
    while (window.length > 0 && (window[0] as number) <= time - 1000) window.shift();
    if (window.length >= rate) throw new ApiError('ThrottlingException', 'Rate exceeded');
    window.push(time);
  }

  function byId(kind: EntityKind, input: Json): Entity {
    const found = entities.get(String(input['Id']));
    if (!found || found.kind !== kind || found.name !== input['Name']) {
      throw new ApiError(
        'WAFNonexistentItemException',
        'AWS WAF couldn’t perform the operation because your resource doesn’t exist.',
      );
    }
    return found;
  }

  function checkLock(entity: Entity, input: Json): void {
    if (entity.lock !== input['LockToken']) {
      throw new ApiError(
        'WAFOptimisticLockException',
        'AWS WAF couldn’t save your changes because someone changed the resource after you started to edit it.',
      );
    }
  }

  function checkAddresses(input: Json, version: unknown): void {
    const addresses = input['Addresses'] as string[];
    if (!Array.isArray(addresses)) throw invalid('IP_SET', 'Addresses', 'A list is required');
    if (addresses.length > limits.addresses) {
      throw new ApiError(
        'WAFLimitsExceededException',
        'AWS WAF couldn’t perform the operation because you exceeded your resource limit.',
        {
          SourceType: 'IP_SET',
        },
      );
    }
    for (const address of addresses) {
      const [host = '', prefix = ''] = address.split('/');
      const four = /^\d+\.\d+\.\d+\.\d+$/.test(host) && host.split('.').every((part) => Number(part) <= 255);
      const six = !four && host.includes(':') && /^[0-9a-fA-F:.]+$/.test(host);
      const width = four ? 32 : 128;
      if (
        (version === 'IPV4' ? !four : !six) ||
        !/^\d+$/.test(prefix) ||
        Number(prefix) < 1 ||
        Number(prefix) > width
      ) {
        throw invalid('IP_ADDRESS', address, 'The parameter contains formatting that is not valid.');
      }
    }
  }

  /** The capacity of one statement, from the tables of the developer guide. */
  function cost(statement: Json): number {
    const [kind] = Object.keys(statement);
    const body = (statement[kind as string] ?? {}) as Json;
    const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
    const target = (body['FieldToMatch'] ?? {}) as Json;
    const extra =
      list(body['TextTransformations']).filter((each) => each['Type'] !== 'NONE').length * 10 +
      list(body['PreParseTextTransformations']).filter((each) => each['Type'] !== 'NONE').length * 10 +
      ('AllQueryArguments' in target ? 10 : 0);
    const json = 'JsonBody' in target ? 2 : 1;
    const inner = (value: unknown): number => (value ? cost(value as Json) : 0);
    switch (kind) {
      case 'ByteMatchStatement':
        return (String(body['PositionalConstraint']).startsWith('CONTAINS') ? 10 : 2) * json + extra;
      case 'RegexMatchStatement':
        return 3 * json + extra;
      case 'RegexPatternSetReferenceStatement':
        return 25 * json + extra;
      case 'SizeConstraintStatement':
        return json + extra;
      case 'XssMatchStatement':
        return 40 * json + extra;
      case 'SqliMatchStatement':
        return (body['SensitivityLevel'] === 'HIGH' ? 30 : 20) * json + extra;
      case 'IPSetReferenceStatement':
        return ((body['IPSetForwardedIPConfig'] ?? {}) as Json)['Position'] === 'ANY' ? 5 : 1;
      case 'AndStatement':
      case 'OrStatement':
        return list(body['Statements']).reduce((sum, each) => sum + cost(each), 0);
      case 'NotStatement':
        return inner(body['Statement']);
      case 'RateBasedStatement':
        return (
          2 +
          list(body['CustomKeys']).reduce((sum, key) => {
            const settings = (Object.values(key)[0] ?? {}) as Json;
            return (
              sum + 30 + list(settings['TextTransformations']).filter((each) => each['Type'] !== 'NONE').length * 10
            );
          }, 0) +
          inner(body['ScopeDownStatement'])
        );
      case 'ManagedRuleGroupStatement':
        return (managedCapacity[String(body['Name'])] ?? 0) + inner(body['ScopeDownStatement']);
      case 'RuleGroupReferenceStatement':
        return Number(entityByArn(String(body['ARN']))?.data['Capacity'] ?? 0);
      default:
        return 1;
    }
  }

  const entityByArn = (arn: string): Entity | undefined => [...entities.values()].find((each) => each.arn === arn);

  function referenced(arn: string, kind: EntityKind): void {
    const found = entityByArn(arn);
    if (!found || found.kind !== kind) {
      throw new ApiError(
        'WAFNonexistentItemException',
        `AWS WAF couldn’t perform the operation because your resource doesn’t exist: ${arn}`,
      );
    }
    if (now() - found.createdAt < (options.propagation ?? 0)) {
      throw new ApiError(
        'WAFUnavailableEntityException',
        'AWS WAF couldn’t retrieve the resource that you requested. Retry your request.',
      );
    }
  }

  function checkRules(input: Json, container: 'webacl' | 'rulegroup'): number {
    const rules = (input['Rules'] ?? []) as Json[];
    const names = new Set<unknown>();
    const priorities = new Set<unknown>();
    const bodies = (input['CustomResponseBodies'] ?? {}) as Json;
    let references = 0;
    let rates = 0;
    let labels = 0;
    const visit = (statement: Json, depth: number, rule: Json): void => {
      const present = Object.entries(statement).filter(([, value]) => value !== undefined && value !== null);
      if (present.length !== 1)
        throw invalid('STATEMENT', String(rule['Name']), 'You must specify exactly one statement');
      const [kind, value] = present[0] as [string, Json];
      if (['RateBasedStatement', 'ManagedRuleGroupStatement', 'RuleGroupReferenceStatement'].includes(kind)) {
        if (depth > 0) throw invalid('STATEMENT', kind, 'This statement cannot be nested');
        if (kind === 'RateBasedStatement') rates++;
        else if (container === 'rulegroup') throw invalid('RULE_GROUP', kind, 'A rule group cannot hold a group');
      }
      if (kind === 'IPSetReferenceStatement') referenced(String(value['ARN']), 'ipset');
      if (kind === 'RegexPatternSetReferenceStatement') referenced(String(value['ARN']), 'regexpatternset');
      if (kind === 'RuleGroupReferenceStatement') {
        const arn = String(value['ARN']);
        referenced(arn, 'rulegroup');
        const known = ((entityByArn(arn)?.data['Rules'] ?? []) as Json[]).map((each) => each['Name']);
        for (const override of (value['RuleActionOverrides'] ?? []) as Json[]) {
          if (!known.includes(override['Name'])) {
            throw invalid(
              'RULE_GROUP_REFERENCE_STATEMENT',
              String(override['Name']),
              'The rule does not exist in the group',
            );
          }
        }
      }
      if (/Reference|ManagedRuleGroup/.test(kind)) references++;
      if (kind === 'AndStatement' || kind === 'OrStatement') {
        const parts = (value['Statements'] ?? []) as Json[];
        if (parts.length < 2)
          throw invalid(kind === 'AndStatement' ? 'AND_STATEMENT' : 'OR_STATEMENT', 'Statements', 'At least two');
        parts.forEach((part) => visit(part, depth + 1, rule));
      }
      if (kind === 'NotStatement') visit(value['Statement'] as Json, depth + 1, rule);
      if (value['ScopeDownStatement']) visit(value['ScopeDownStatement'] as Json, depth + 1, rule);
      if (kind === 'ByteMatchStatement') {
        const length = Buffer.from(String(value['SearchString']), 'base64').length;
        if (length < 1 || length > 200)
          throw invalid('BYTE_MATCH_STATEMENT', 'SearchString', 'Length must be 1 to 200');
      }
      if (kind === 'RegexMatchStatement' && String(value['RegexString']).length > 512) {
        throw invalid('RULE', 'RegexString', 'Too long');
      }
      if (kind === 'AsnMatchStatement') {
        const asns = (value['AsnList'] ?? []) as number[];
        if (asns.length < 1 || asns.length > 100) throw invalid('RULE', 'AsnList', 'Length must be 1 to 100');
      }
      if (kind === 'RateBasedStatement' && (Number(value['Limit']) < 10 || Number(value['Limit']) > 2_000_000_000)) {
        throw invalid('RATE_BASED_STATEMENT', 'Limit', 'Must be 10 to 2,000,000,000');
      }
    };
    for (const rule of rules) {
      const name = rule['Name'];
      if (typeof name !== 'string' || !/^[\w-]{1,128}$/.test(name)) throw invalid('RULE', String(name), 'Invalid name');
      if (names.has(name)) throw invalid('RULE', name, 'Duplicate rule name');
      if (priorities.has(rule['Priority'])) throw invalid('RULE', String(rule['Priority']), 'Duplicate priority');
      names.add(name);
      priorities.add(rule['Priority']);
      const statement = rule['Statement'] as Json;
      const isGroup = 'ManagedRuleGroupStatement' in statement || 'RuleGroupReferenceStatement' in statement;
      if (isGroup ? !rule['OverrideAction'] || rule['Action'] : !rule['Action'] || rule['OverrideAction']) {
        throw invalid('RULE_ACTION', name, 'A reference takes OverrideAction, a rule Action');
      }
      if (!rule['VisibilityConfig']) throw invalid('RULE', name, 'VisibilityConfig is required');
      const response = (((rule['Action'] ?? {}) as Json)['Block'] as Json | undefined)?.['CustomResponse'] as
        Json | undefined;
      const key = response?.['CustomResponseBodyKey'];
      if (typeof key === 'string' && !(key in bodies))
        throw invalid('CUSTOM_RESPONSE_BODY', key, 'The body is not defined');
      labels += ((rule['RuleLabels'] ?? []) as Json[]).length;
      visit(statement, 0, rule);
    }
    const exceeded = (SourceType: string): ApiError =>
      new ApiError(
        'WAFLimitsExceededException',
        'AWS WAF couldn’t perform the operation because you exceeded your resource limit.',
        {
          SourceType,
        },
      );
    if (references > limits.references) throw exceeded('REFERENCES');
    if (rates > (container === 'webacl' ? limits.ratePerAcl : limits.ratePerGroup)) throw exceeded('RATE_BASED_RULES');
    if (Object.keys(bodies).length > limits.bodies) throw exceeded('CUSTOM_RESPONSE_BODIES');
    for (const [key, body] of Object.entries(bodies)) {
      if (Buffer.byteLength(String((body as Json)['Content'])) > limits.bodyBytes)
        throw invalid('CUSTOM_RESPONSE_BODY', key, 'Too long');
    }
    const capacity = rules.reduce((sum, rule) => sum + cost(rule['Statement'] as Json), Math.ceil(labels / 5));
    if (capacity > limits.capacity) throw exceeded('WCU');
    return capacity;
  }

  function create(kind: EntityKind, input: Json, data: Json): Json {
    const name = String(input['Name']);
    if (!/^[\w-]{1,128}$/.test(name)) throw invalid(kind.toUpperCase(), name, 'Invalid name');
    if (all(kind).some((each) => each.name === name)) {
      throw new ApiError('WAFDuplicateItemException', 'The resource already exists.');
    }
    if (all(kind).length >= limits[kinds[kind].quota]) {
      throw new ApiError('WAFLimitsExceededException', 'You exceeded your resource limit.', {
        SourceType: kind.toUpperCase(),
      });
    }
    const id = randomUUID();
    const arn = `arn:aws:wafv2:us-east-1:${account}:global/${kind}/${name}/${id}`;
    const entity: Entity = {
      kind,
      id,
      name,
      arn,
      createdAt: now(),
      lock: randomUUID(),
      data: { ...data, Name: name, Id: id, ARN: arn },
    };
    entities.set(id, entity);
    return { Summary: summary(entity) };
  }

  const summary = (entity: Entity): Json => ({
    Name: entity.name,
    Id: entity.id,
    ARN: entity.arn,
    LockToken: entity.lock,
    Description: entity.data['Description'] ?? '',
  });

  function update(entity: Entity, data: Json): Json {
    entity.data = { ...data, Name: entity.name, Id: entity.id, ARN: entity.arn };
    entity.lock = randomUUID();
    return { NextLockToken: entity.lock };
  }

  function inUse(arn: string): boolean {
    return [...entities.values()].some((each) =>
      JSON.stringify(each.data['Rules'] ?? []).includes(JSON.stringify(arn)),
    );
  }

  const pick = (input: Json, ...names: string[]): Json =>
    Object.fromEntries(names.filter((name) => input[name] !== undefined).map((name) => [name, input[name]]));
  const aclMembers = [
    'DefaultAction',
    'Description',
    'Rules',
    'VisibilityConfig',
    'DataProtectionConfig',
    'CustomResponseBodies',
    'CaptchaConfig',
    'ChallengeConfig',
    'TokenDomains',
    'AssociationConfig',
    'OnSourceDDoSProtectionConfig',
    'ApplicationConfig',
    'MonetizationConfig',
  ];

  function handle(operation: string, input: Json): Json {
    const match = /^(Create|Get|Update|Delete|List)(WebACL|RuleGroup|IPSet|RegexPatternSet)(s?)$/.exec(operation);
    if (match && input['Scope'] !== 'CLOUDFRONT' && input['Scope'] !== 'REGIONAL') {
      throw invalid('SCOPE_VALUE', String(input['Scope']), 'Invalid scope');
    }
    if (match) {
      const verb = match[1] as string;
      const kind = (match[2] as string).toLowerCase() as EntityKind;
      if (verb === 'List') {
        const limit = Math.min(Number(input['Limit'] ?? 100), 100);
        const listed = all(kind);
        const start = input['NextMarker'] ? listed.findIndex((each) => each.name === input['NextMarker']) + 1 : 0;
        const page = listed.slice(start, start + limit);
        const last = page[page.length - 1];
        return {
          [kinds[kind].list]: page.map(summary),
          ...(last && start + limit < listed.length ? { NextMarker: last.name } : {}),
        };
      }
      if (verb === 'Create') {
        if (kind === 'ipset') {
          if (input['IPAddressVersion'] !== 'IPV4' && input['IPAddressVersion'] !== 'IPV6') {
            throw invalid('IP_ADDRESS_VERSION', String(input['IPAddressVersion']), 'IPV4 or IPV6');
          }
          checkAddresses(input, input['IPAddressVersion']);
          return create(kind, input, pick(input, 'Description', 'IPAddressVersion', 'Addresses'));
        }
        if (kind === 'regexpatternset') return create(kind, input, pick(input, 'Description', 'RegularExpressionList'));
        const capacity = checkRules(input, kind);
        if (kind === 'rulegroup') {
          if (capacity > Number(input['Capacity'])) {
            throw new ApiError('WAFInvalidParameterException', 'The rules need more capacity than the group has.', {
              Field: 'RULE_GROUP',
            });
          }
          return create(kind, input, {
            ...pick(input, 'Description', 'Rules', 'VisibilityConfig', 'CustomResponseBodies', 'Capacity'),
            LabelNamespace: `awswaf:${account}:rulegroup:${String(input['Name'])}:`,
          });
        }
        if (!input['DefaultAction'] || !input['VisibilityConfig'])
          throw invalid('DEFAULT_ACTION', 'WebACL', 'Required');
        return create(kind, input, {
          ...pick(input, ...aclMembers),
          Capacity: capacity,
          LabelNamespace: `awswaf:${account}:webacl:${String(input['Name'])}:`,
          ManagedByFirewallManager: false,
        });
      }
      const entity = byId(kind, input);
      if (verb === 'Get') return { [kinds[kind].member]: structuredClone(entity.data), LockToken: entity.lock };
      checkLock(entity, input);
      if (verb === 'Delete') {
        if (inUse(entity.arn)) throw new ApiError('WAFAssociatedItemException', 'The resource is in use.');
        entities.delete(entity.id);
        return {};
      }
      if (kind === 'ipset') {
        checkAddresses(input, entity.data['IPAddressVersion']);
        return update(entity, {
          ...pick(input, 'Description', 'Addresses'),
          IPAddressVersion: entity.data['IPAddressVersion'],
        });
      }
      if (kind === 'regexpatternset') return update(entity, pick(input, 'Description', 'RegularExpressionList'));
      const capacity = checkRules(input, kind);
      if (kind === 'rulegroup') {
        const fixed = Number(entity.data['Capacity']);
        if (capacity > fixed) {
          throw new ApiError(
            'WAFInvalidParameterException',
            `The rules need ${capacity} units, the group has ${fixed}.`,
            { Field: 'RULE_GROUP' },
          );
        }
        return update(entity, {
          ...pick(input, 'Description', 'Rules', 'VisibilityConfig', 'CustomResponseBodies'),
          Capacity: fixed,
          LabelNamespace: entity.data['LabelNamespace'],
        });
      }
      return update(entity, {
        ...pick(input, ...aclMembers),
        Capacity: capacity,
        LabelNamespace: entity.data['LabelNamespace'],
        ManagedByFirewallManager: false,
      });
    }
    switch (operation) {
      case 'CheckCapacity':
        return { Capacity: checkRules(input, 'webacl') };
      case 'PutLoggingConfiguration': {
        const configuration = input['LoggingConfiguration'] as Json;
        const arn = String(configuration['ResourceArn']);
        referenced(arn, 'webacl');
        const [destination] = (configuration['LogDestinationConfigs'] ?? []) as string[];
        if (!destination?.includes('aws-waf-logs-'))
          throw invalid('LOG_DESTINATION', String(destination), 'The name must start with aws-waf-logs-');
        for (const field of (configuration['RedactedFields'] ?? []) as Json[]) {
          const [kind] = Object.keys(field);
          if (!['UriPath', 'QueryString', 'SingleHeader', 'Method'].includes(kind ?? ''))
            throw invalid('FIELD_TO_MATCH', String(kind), 'Cannot be redacted');
        }
        logging.set(arn, configuration);
        return { LoggingConfiguration: configuration };
      }
      case 'GetLoggingConfiguration': {
        const found = logging.get(String(input['ResourceArn']));
        if (!found) throw new ApiError('WAFNonexistentItemException', 'There is no logging configuration.');
        return { LoggingConfiguration: found };
      }
      case 'DeleteLoggingConfiguration':
        logging.delete(String(input['ResourceArn']));
        return {};
      case 'DescribeManagedRuleGroup': {
        const capacity = managedCapacity[String(input['Name'])];
        if (capacity === undefined) throw new ApiError('WAFNonexistentItemException', 'No such managed group.');
        return { Capacity: capacity, LabelNamespace: 'awswaf:managed:aws:', Rules: [] };
      }
      default:
        throw new ApiError('WAFInvalidOperationException', `The operation ${operation} isn’t valid here.`);
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const target = String(request.headers['x-amz-target'] ?? '');
    const operation = target.replace(/^AWSWAF_20190729\./, '');
    const send = (status: number, body: Json, type?: string): void => {
      response.writeHead(status, {
        'content-type': 'application/x-amz-json-1.1',
        'x-amzn-requestid': randomUUID(),
        ...(type ? { 'x-amzn-errortype': type } : {}),
      });
      response.end(JSON.stringify(body));
    };
    const input = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString('utf8')) : {}) as Json;
    const count = (counts.get(operation) ?? 0) + 1;
    counts.set(operation, count);
    const call: { operation: string; input: Json; error?: string } = { operation, input };
    calls.push(call);
    try {
      if (request.method !== 'POST' || !target.startsWith('AWSWAF_20190729.')) {
        throw new ApiError('UnknownOperationException', 'Unknown operation');
      }
      const authorization = String(request.headers['authorization'] ?? '');
      if (!/^AWS4-HMAC-SHA256 Credential=.*\/wafv2\/aws4_request/.test(authorization)) {
        throw new ApiError('MissingAuthenticationTokenException', 'Missing Authentication Token');
      }
      // CLOUDFRONT lives in us-east-1 alone.
      if (input['Scope'] === 'CLOUDFRONT' && !authorization.includes('/us-east-1/')) {
        throw invalid('SCOPE_VALUE', 'CLOUDFRONT', 'The scope is not valid for this Region');
      }
      throttle(operation);
      const fault = options.faults?.({ operation, input, count });
      if (fault && !fault.after) throw faultError(fault);
      const answer = handle(operation, input);
      if (/^(Create|Update|Delete)/.test(operation)) changed();
      if (fault) throw faultError(fault);
      send(200, answer);
    } catch (error) {
      if (error instanceof ApiError && error.type === 'reset') {
        call.error = 'reset';
        request.socket.destroy();
        return;
      }
      const known =
        error instanceof ApiError
          ? error
          : new ApiError('WAFInternalErrorException', (error as Error).message, {}, 500);
      call.error = known.type;
      send(
        known.status,
        { __type: `com.amazonaws.wafv2#${known.type}`, Message: known.message, ...known.extra },
        known.type,
      );
    }
  }

  const faultError = (fault: WafFault): ApiError =>
    new ApiError(
      fault.error,
      fault.message ?? 'A fault put in the way.',
      {},
      fault.error === 'WAFInternalErrorException' ? 500 : 400,
    );

  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    calls,
    find: (kind, name) => {
      const entity = all(kind).find((each) => each.name === name);
      return entity ? structuredClone(entity.data) : undefined;
    },
    all: (kind) => all(kind).map((each) => structuredClone(each.data)),
    version: () => version,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
