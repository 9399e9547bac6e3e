import { writeFunctions } from '../../scripts/build/functions.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { neutralConfig } from '../../scripts/build/profiles.js';
import { functionsConfigSchema, type FunctionsConfigInput } from '../../scripts/config/functions-config.js';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Compiles a configuration into a folder of its own, so that no test leans on an older build. */
export async function compiledFolder(
  config: FunctionsConfigInput,
): Promise<{ readonly folder: string; readonly file: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-verdicts-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { build, features } = functionPlan(functionsConfigSchema.parse(config));
  await writeFunctions('verdicts', build, features, folder);
  return { folder, file: join(folder, 'viewer-request.js') };
}

export { neutralConfig };
