import type { DataProtection, FieldToMatch, LoggingConfiguration } from '@aws-sdk/client-wafv2';
import { inPath } from './token-shape.js';
import { tokenHeaders, type WafSettings } from './settings.js';

/** The headers, cookies and query arguments that can hold a token under these settings. */
export function tokenCarriers(settings: Pick<WafSettings, 'placements' | 'rates'>): {
  headers: string[];
  cookies: string[];
  queryArguments: string[];
  path: boolean;
} {
  const headers = new Set<string>(['authorization', ...tokenHeaders]);
  const cookies = new Set<string>();
  const queryArguments = new Set<string>();
  for (const placement of settings.placements) {
    if (placement.kind === 'header' && placement.name !== undefined) headers.add(placement.name.toLowerCase());
    if (placement.kind === 'cookie') cookies.add(placement.name);
    if (placement.kind === 'query') queryArguments.add(placement.name);
  }
  // A renewed token comes back as a cookie, and a referer repeats the whole URL.
  if (settings.placements.some((placement) => placement.kind === 'query' || inPath(placement))) headers.add('referer');
  const session = settings.rates.sessionKey;
  if (session?.kind === 'header') headers.add(session.name.toLowerCase());
  if (session?.kind === 'cookie') cookies.add(session.name);
  if (session?.kind === 'query') queryArguments.add(session.name);
  return {
    headers: [...headers].sort(),
    cookies: [...cookies].sort(),
    queryArguments: [...queryArguments].sort(),
    path: settings.placements.some(inPath),
  };
}

/**
 * ACL-wide protection of token values in logs, samples and Security Lake (API:DataProtection). Rate-based details are
 * left in the protection on purpose: `ExcludeRateBasedDetails` would reopen the first 32 characters of each key.
 */
export function dataProtectionsOf(settings: Pick<WafSettings, 'placements' | 'rates'>): DataProtection[] {
  const carriers = tokenCarriers(settings);
  const protect = (FieldType: 'SINGLE_HEADER' | 'SINGLE_COOKIE' | 'SINGLE_QUERY_ARGUMENT', keys: string[]) =>
    keys.length === 0
      ? []
      : [
          {
            Field: { FieldType, FieldKeys: keys },
            Action: 'SUBSTITUTION' as const,
            ExcludeRuleMatchDetails: false,
            ExcludeRateBasedDetails: false,
          },
        ];
  return [
    ...protect('SINGLE_HEADER', carriers.headers),
    ...protect('SINGLE_COOKIE', carriers.cookies),
    ...protect('SINGLE_QUERY_ARGUMENT', carriers.queryArguments),
  ];
}

/** Components left out of the logs (API:LoggingConfiguration takes path, query, method and single headers only). */
export function redactedFieldsOf(settings: Pick<WafSettings, 'placements' | 'rates'>): FieldToMatch[] {
  const carriers = tokenCarriers(settings);
  return [
    ...[...carriers.headers, ...(carriers.cookies.length > 0 ? ['cookie'] : [])].map((Name) => ({
      SingleHeader: { Name },
    })),
    ...(carriers.queryArguments.length > 0 ? [{ QueryString: {} }] : []),
    ...(carriers.path ? [{ UriPath: {} }] : []),
  ];
}

/** Stands for the ACL's label namespace, which holds the account's number and is known when publishing. */
export const labelNamespacePlaceholder = 'portcullis:label-namespace:';

/**
 * The logging configuration, or none where no destination is given. `matched` keeps what was turned away and what
 * carries one of `labels`; the action Count alone would keep every request, since labelling rules count too.
 */
export function loggingOf(
  settings: WafSettings,
  labels: readonly string[],
): Omit<LoggingConfiguration, 'ResourceArn'> | undefined {
  if (!settings.logging) return undefined;
  return {
    LogDestinationConfigs: [settings.logging.destination],
    RedactedFields: redactedFieldsOf(settings),
    ...(settings.logging.keep === 'matched'
      ? {
          LoggingFilter: {
            DefaultBehavior: 'DROP' as const,
            Filters: [
              {
                Behavior: 'KEEP' as const,
                Requirement: 'MEETS_ANY' as const,
                Conditions: [
                  ...(['BLOCK', 'CAPTCHA', 'CHALLENGE', 'EXCLUDED_AS_COUNT'] as const).map((Action) => ({
                    ActionCondition: { Action },
                  })),
                  ...labels.map((name) => ({
                    LabelNameCondition: { LabelName: `${labelNamespacePlaceholder}${name}` },
                  })),
                ],
              },
            ],
          },
        }
      : {}),
  };
}
