// From a configuration file to what a deployment needs of it.
import { functionPlan } from '../build/plan.js';
import { compileFunction } from '../build/functions.js';
import { profiles } from '../build/profiles.js';
import { loadConfig, type LoadedConfig, type PortcullisConfig } from '../config/index.js';
import { CliError } from '../cli/output.js';
import type { DeployConfiguration } from './configuration.js';
import type { AttachedStage } from './state.js';
import { neededHeaders } from './viewer-headers.js';

/**
 * Reads a configuration for a deployment.
 *
 * @throws ConfigError where it is wrong; CliError `no_deployment` where it has no such section.
 */
export async function loadDeployConfiguration(file: string): Promise<DeployConfiguration> {
  return deployConfiguration(await loadConfig(file));
}

/** What a loaded configuration says to a deployment. */
export function deployConfiguration(loaded: LoadedConfig): DeployConfiguration {
  const { config, folder } = loaded;
  const { deployment } = config;
  if (deployment === undefined) {
    throw new CliError('no_deployment', `${loaded.file ?? 'The configuration'} has no section "deployment".`, {
      exitCode: 2,
      hint: 'Write one with: npx portcullis init --from <distribution id>',
    });
  }
  const plan = functionPlan(config, folder);
  const formats = config.formats ?? profiles[config.profile].formats;
  const [placement] = plan.placements;
  if (placement === undefined) {
    throw new CliError('no_placement', 'placements: expected at least one place for tokens.', { exitCode: 2 });
  }
  const features = Object.entries(plan.features).flatMap(([name, on]) => (on ? [name] : []));
  const origin = config.embedOrigins?.[0]?.origins[0];
  return {
    deployment,
    facts: {
      placements: plan.placements,
      headers: neededHeaders(features),
      cors: plan.features.cors,
      renewal: plan.features.catr,
      keyRecords: [],
    },
    tokens: {
      format: formats.includes('cat') ? 'cat' : 'jwt',
      issuer: config.issuer ?? null,
      audience: config.audiences?.[0],
      placement,
      ...(origin === undefined ? {} : { headers: { origin } }),
    },
    async compile(stage) {
      const { build } = functionPlan(staged(config, stage), folder);
      return {
        viewerRequest: await compileFunction('viewer-request', build, plan.features),
        viewerResponse: await compileFunction('viewer-response', build, plan.features),
      };
    },
  };
}

/** In stage `log` nobody is refused, whatever the configuration's own modes; `enforce` leaves blackouts as configured. */
function staged(config: PortcullisConfig, stage: AttachedStage): PortcullisConfig {
  return stage === 'log' ? { ...config, mode: 'log', blackoutMode: 'log' } : { ...config, mode: 'enforce' };
}
