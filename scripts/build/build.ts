import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { functionsConfigSchema, profileNames, type ProfileName } from '../config/functions-config.js';
import { featureNames, type FeatureName } from './features.js';
import { compileFunction, FUNCTION_BYTES, writeFunctions, type BuiltFunction } from './functions.js';
import { functionPlan, type PlannedConfig } from './plan.js';
import { neutralConfig } from './profiles.js';

/** The project's folder; the same from source and from the bundle in `dist/cli`. */
const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where builds go unless told otherwise. */
export const functionsFolder = join(root, 'dist/functions');

/** Name of the build from the configuration, beside the profiles. */
export const configured = 'configured';

/**
 * Profiles that are meant to be deployed as they are: the build fails where one is over the limit. `full` is there to
 * measure and to test everything at once.
 */
export const deployableProfiles: readonly ProfileName[] = ['default', 'jwt-minimal', 'cat-minimal'];

/** What one feature costs in viewer-request, in bytes: beside what the profile `default` has, or as a part of it. */
export interface FeatureCost {
  readonly feature: FeatureName;
  readonly bytes: number;
  readonly inDefault: boolean;
}

export interface BuildReport {
  /** Bytes that CloudFront accepts for one function. */
  readonly limit: number;
  readonly functions: readonly BuiltFunction[];
  /** Empty where it was not asked for. */
  readonly features: readonly FeatureCost[];
  /** Functions over the limit that are meant to be deployed. */
  readonly failures: readonly BuiltFunction[];
}

export interface BuildOptions {
  readonly config: PlannedConfig;
  /** The folder that hooks in the configuration are named from. */
  readonly folder: string;
  readonly output?: string | undefined;
  /** Profiles to build beside the configuration; default: all. */
  readonly profiles?: readonly ProfileName[] | undefined;
  /** Whether to measure what each feature costs: some twenty compilations more. */
  readonly featureCosts?: boolean | undefined;
  /** Called before each step with its name. */
  readonly onStep?: ((step: string) => void) | undefined;
}

/** How many steps a build will announce. */
export function countSteps({ profiles = profileNames, featureCosts = false }: Partial<BuildOptions>): number {
  return 1 + profiles.length + (featureCosts ? measuredFeatures().length : 0);
}

/**
 * Compiles the configuration into `<output>/`, each profile into `<output>/<profile>/`, and writes `report.json`.
 * Says in its report what is over the limit; to fail is the caller's.
 */
export async function buildFunctions(options: BuildOptions): Promise<BuildReport> {
  const { config, folder, output = functionsFolder, profiles = profileNames, onStep = () => undefined } = options;
  onStep(configured);
  const plan = functionPlan(config, folder);
  const functions = await writeFunctions(configured, plan.build, plan.features, output);
  for (const profile of profiles) {
    onStep(profile);
    const neutral = functionPlan(functionsConfigSchema.parse(neutralConfig(profile)));
    functions.push(...(await writeFunctions(profile, neutral.build, neutral.features, join(output, profile))));
  }
  const features = options.featureCosts ? await measureFeatures(onStep) : [];
  const deployable = new Set<string>([configured, ...deployableProfiles]);
  const report: BuildReport = {
    limit: FUNCTION_BYTES,
    functions: functions.map((built) => ({ ...built, file: built.file.replace(root, '') })),
    features,
    failures: functions.filter(({ profile, bytes }) => bytes > FUNCTION_BYTES && deployable.has(profile)),
  };
  await writeReport(output, report);
  return report;
}

/** Features that viewer functions can have; the rest is for Lambda@Edge and Node. */
function measuredFeatures(): FeatureName[] {
  const full = functionPlan(functionsConfigSchema.parse(neutralConfig('full'))).features;
  return featureNames.filter((name) => full[name] && !['audience', 'mint', 'contentId', 'claimKeys'].includes(name));
}

async function measureFeatures(onStep: (step: string) => void): Promise<FeatureCost[]> {
  const plan = functionPlan(functionsConfigSchema.parse({ ...neutralConfig('full'), profile: 'default' }));
  const size = async (features: typeof plan.features): Promise<number> =>
    Buffer.byteLength(await compileFunction('viewer-request', plan.build, features));
  const base = await size(plan.features);
  const costs: FeatureCost[] = [];
  for (const feature of measuredFeatures()) {
    onStep(feature);
    const inDefault = plan.features[feature];
    const changed = { ...plan.features, [feature]: !inDefault };
    // What a feature cannot do without counts as its own.
    changed.mint ||= changed.catr || changed.catif;
    changed.contentId ||= changed.blackout || changed.revokeContent || changed.revokeSubjectContent;
    costs.push({ feature, bytes: Math.abs((await size(changed)) - base), inDefault });
  }
  return costs.sort((a, b) => b.bytes - a.bytes);
}

/** Moved into place, so that a reader never finds half a report. */
async function writeReport(output: string, report: BuildReport): Promise<void> {
  await mkdir(output, { recursive: true });
  const file = join(output, 'report.json');
  await writeFile(`${file}.new`, `${JSON.stringify(report, null, 2)}\n`);
  await rename(`${file}.new`, file);
}
