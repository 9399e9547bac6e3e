import type { LambdaEventConfig, LambdaHeaders, LambdaRequest } from '../../edge/event.js';
import type { ValidatorConfig } from '../../edge/validator.js';
import type { AnswerSettings } from '../../edge/answer.js';

export const settings: AnswerSettings = {
  status: { ambiguous_path: 400, revoked: 403, blackout: 451, store_error: 503, internal_error: 503 },
  reasonHeader: true,
  cors: true,
  exposed: '*',
  corsOrigins: undefined,
  corsCredentials: false,
  preflight: { 'access-control-allow-methods': { value: '*' } },
  retryAfter: '1',
};

/** A validator's configuration that looks for tokens everywhere. */
export function validatorConfig(changes: Partial<ValidatorConfig> = {}): ValidatorConfig {
  return {
    eventType: 'origin-request',
    policy: {
      mode: 'enforce',
      path: [{ before: '', keep: '' }],
      pathParameter: 'CAT',
      query: 'CAT',
      cookie: 'CAT',
      header: true,
      authorization: true,
    },
    settings,
    keys: [],
    hosts: ['cdn.example'],
    ...changes,
  };
}

export interface LambdaRequestOptions {
  readonly method?: string;
  readonly uri?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly ip?: string;
}

/** A request as Lambda@Edge hands it over. */
export function lambdaRequest({ method, uri, query, headers, ip }: LambdaRequestOptions = {}): LambdaRequest {
  const lines: LambdaHeaders = { host: [{ key: 'Host', value: 'origin.example' }] };
  for (const [name, value] of Object.entries(headers ?? {}))
    lines[name.toLowerCase()] = (typeof value === 'string' ? [value] : [...value]).map((one) => ({
      key: name,
      value: one,
    }));
  return {
    clientIp: ip ?? '203.0.113.9',
    method: method ?? 'GET',
    uri: uri ?? '/live/ch1/main.m3u8',
    querystring: query ?? '',
    headers: lines,
  };
}

export const context: LambdaEventConfig = {
  distributionDomainName: 'd111111abcdef8.cloudfront.net',
  distributionId: 'EDFDVBD6EXAMPLE',
  eventType: 'origin-request',
  requestId: 'request-1',
};
