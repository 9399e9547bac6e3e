// The limits of AWS WAF v2, scope CLOUDFRONT, each with the page that states it. `limits` is the quotas page of the
// AWS WAF Developer Guide, `API:X` a page of the WAFV2 API Reference.

/** Capacity ceilings (limits; aws-waf-capacity-units). */
export const capacityLimits = {
  /** Fixed, per web ACL. */
  webAcl: 5000,
  /** Fixed, per rule group. */
  ruleGroup: 5000,
  /** Above this the web ACL leaves the basic price. */
  basicPrice: 1500,
} as const;

/** Quotas of one account in one region (limits). */
export const accountLimits = { webAcls: 100, ruleGroups: 100, ipSets: 100, regexPatternSets: 10 } as const;

/** Rules and references (limits). */
export const ruleLimits = {
  /** IP set, regex set and rule group references per ACL and per group; managed groups count too (third party). */
  referenceStatements: 50,
  rateBasedPerAcl: 10,
  rateBasedPerRuleGroup: 4,
  ruleActionOverrides: 100,
  labelsPerWcu: 5,
} as const;

/** Statement contents (limits; API:ByteMatchStatement, API:AsnMatchStatement, API:TextTransformation). */
export const statementLimits = {
  searchStringBytes: 200,
  /** The quota; the API's shape would take 512. */
  regexCharacters: 200,
  regexPerSet: 10,
  textTransformations: 10,
  preParseTextTransformations: 10,
  countryCodes: 50,
  asns: 100,
  asnMaximum: 4294967295,
  headerNameCharacters: 64,
  /** The documented length; the API's shape would take 64. */
  queryArgumentNameCharacters: 30,
  matchPatternKeys: 199,
  rateLimitMinimum: 10,
  rateLimitMaximum: 2_000_000_000,
  rateWindowsSeconds: [60, 120, 300, 600],
  rateCustomKeys: 5,
} as const;

/** IP sets (limits, API:IPSet): one IP version each, no `/0`, may be empty. */
export const ipSetLimits = { addresses: 10_000 } as const;

/** Custom responses and request headers (limits, API:CustomHTTPHeader, customizing-the-response-status-codes). */
export const customResponseLimits = {
  bodyBytes: 4096,
  bodies: 50,
  bodiesBytes: 51_200,
  headersPerDefinition: 10,
  responseHeaders: 100,
  requestHeaders: 100,
  headerValueCharacters: 255,
  interpolationsPerValue: 10,
  statusCodes: [
    200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414,
    415, 416, 421, 429, 500, 501, 502, 503, 504, 505,
  ],
} as const;

/** Labels (waf-rule-label-requirements, API:Label). */
export const labelLimits = {
  characters: 1024,
  componentCharacters: 128,
  namespaces: 5,
  reserved: ['awswaf', 'aws', 'waf', 'rulegroup', 'webacl', 'regexpatternset', 'ipset', 'managed'],
} as const;

/** What WAF inspects of a request to CloudFront (waf-oversize-request-components). */
export const inspectionLimits = {
  bodyBytes: 16_384,
  headersBytes: 8192,
  headers: 200,
  cookiesBytes: 8192,
  cookies: 200,
} as const;

/** Names and descriptions (API:UpdateWebACL). */
export const namePattern = /^[\w-]{1,128}$/;
export const descriptionPattern = /^[\w+=:#@/,.-][\w+=:#@/\-,.\s]+[\w+=:#@/,.-]$/;
