// The configuration's door: `defineConfig` for the one who writes it, `loadConfig` for the one who reads it. Each part
// brings the schema of its own section; here they become one.
export { defineConfig } from './define.js';
export { ConfigError, type ConfigProblem } from './errors.js';
export {
  functionsConfigSchema,
  optionalClaims,
  profileNames,
  type FunctionsConfig,
  type FunctionsConfigInput,
  type OptionalClaim,
  type ProfileName,
} from './functions-config.js';
export { defaultConfigFile, loadConfig, parseConfig, type LoadedConfig } from './load.js';
export { configSchema, type PortcullisConfig, type PortcullisConfigInput } from './schema.js';
export { detectionSection, revokerSection, wafSection } from './sections.js';
