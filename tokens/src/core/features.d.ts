/**
 * What a build compiles in. Each member is replaced by `true` or `false` before minification, so that a policy pays
 * only for what it uses; Node builds have all of them on. The names are listed in `scripts/build/features.ts`.
 */
declare const FEATURES: {
  readonly [name in import('../../../scripts/build/features.js').FeatureName]: boolean;
};
