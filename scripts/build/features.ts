/** Everything that a build profile may leave out of the viewer functions, one name each. */
export const featureNames = [
  'cat',
  'jwt',
  'audience',
  'catu',
  'catuRegex',
  'catuHash',
  'catuParts',
  'catm',
  'catnip',
  'catgeoiso3166',
  'geohash',
  'cath',
  'catalpn',
  'cattpk',
  'catreplay',
  'catpor',
  'catif',
  'catr',
  'path',
  'pathParameter',
  'query',
  'cookie',
  'header',
  'authorization',
  'revokeToken',
  'revokeSession',
  'revokeSubject',
  'revokeSubjectContent',
  'revokeContent',
  'blackout',
  'cors',
  'preflight',
  'publicPaths',
  'keyScope',
  'modes',
  'modeRecord',
  'contentId',
  'allowClients',
  'embedOrigins',
  'tlsKeyLookup',
  'onUnknown',
  'encrypted',
  'mint',
  'rare',
  'countryCodes',
  'overflow',
  'cutOffs',
  'manyPaths',
  'manyTokens',
  'anyJson',
  'fractions',
  'claimKeys',
  'fast',
  'usualCat',
  'usualJwt',
  'escapes',
  'anyEngine',
  'proof',
  'publicKey',
  'startPath',
] as const;

export type FeatureName = (typeof featureNames)[number];
export type Features = Record<FeatureName, boolean>;

/** esbuild and vitest `define` entries that make `FEATURES.<name>` a constant. */
export function featureDefines(features: Features): Record<string, string> {
  const defines: Record<string, string> = {};
  for (const name of featureNames) defines[`FEATURES.${name}`] = String(features[name]);
  return defines;
}

/** Every feature on: how Node runs the evaluator. */
export function allFeatures(): Record<string, string> {
  return featureDefines(Object.fromEntries(featureNames.map((name) => [name, true])) as Features);
}
