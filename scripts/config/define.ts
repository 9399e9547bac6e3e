import type { PortcullisConfigInput } from './schema.js';

/**
 * Gives `portcullis.config.ts` its types; returns what it is given.
 *
 * @example
 * export default defineConfig({ formats: ['jwt'], placements: { query: true } });
 */
export function defineConfig(config: PortcullisConfigInput): PortcullisConfigInput {
  return config;
}
