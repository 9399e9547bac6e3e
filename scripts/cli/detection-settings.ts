import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { DetectionConfig, DetectionConfigInput } from '../../revoker/detection/config.js';
import { localEndpoints } from './connection.js';
import { CliError, type Cli } from './output.js';

/** Options of every command that reads logs. */
export interface ReadOptions {
  readonly fields?: string;
  readonly addressDatabase?: string;
  readonly window?: string;
  readonly threshold?: string;
  readonly settings?: string;
  readonly local?: boolean;
}

export function addReadOptions(command: Command): Command {
  return command
    .option('--fields <list>', 'columns of logs without a header line: names by comma, or a file with one a line')
    .option('--address-database <file>', 'CSV or MMDB that tells autonomous system and country where the log does not')
    .option('--window <seconds>', 'length of a window')
    .option('--threshold <points>', 'score from which a session is flagged')
    .option('--settings <file>', "JSON with the configuration's detection section");
}

/** The detector's section: `--settings`, else the configuration file's, else defaults; flags on top. */
export async function detectionSettings(cli: Cli, options: ReadOptions): Promise<DetectionConfig> {
  const { parseDetectionConfig, DetectionConfigError } = await import('../../revoker/detection/config.js');
  const window = numberOf('window', options.window);
  const threshold = numberOf('threshold', options.threshold);
  try {
    const config = parseDetectionConfig({
      ...(await section(cli, options)),
      ...(window === undefined ? {} : { windowSeconds: window }),
      ...(threshold === undefined ? {} : { threshold }),
    });
    if (!options.local) return config;
    // Where the running functions look for tokens comes first, whatever the configuration at hand says.
    const { loggedPlacements } = await import('../config/sections.js');
    return { ...config, placements: [...loggedPlacements(localEndpoints().placements ?? []), ...config.placements] };
  } catch (error) {
    if (error instanceof DetectionConfigError) throw new CliError('invalid_config', error.message, { exitCode: 2 });
    throw error;
  }
}

function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value))
    throw new CliError('usage', `--${flag}: a number was expected, not ${text}.`, { exitCode: 2 });
  return value;
}

async function section(cli: Cli, options: ReadOptions): Promise<DetectionConfigInput> {
  if (options.settings === undefined) {
    const { loadConfig, detectionSection } = await import('../config/index.js');
    return detectionSection(await loadConfig(cli.configPath));
  }
  const { settings } = options;
  const wrong = (message: string): CliError =>
    new CliError('invalid_config', `--settings ${settings}: ${message}`, { exitCode: 2 });
  const text = await readFile(settings, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw wrong(unreadable(error));
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw wrong('it holds no JSON.');
  }
  if (!isSection(parsed)) throw wrong('an object with settings was expected.');
  // A section by itself, one in a configuration, or what calibration proposes.
  const inner = 'detection' in parsed ? parsed['detection'] : 'proposals' in parsed ? parsed['config'] : parsed;
  if (!isSection(inner)) throw wrong('an object with settings was expected as its detection section.');
  return inner;
}

const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Why a file that was named cannot be read, in words. */
function unreadable({ code }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such file.';
  if (code === 'EISDIR') return 'it is a folder, a file was expected.';
  return `it cannot be read (${code ?? 'unknown'}).`;
}

/** `--fields`: names by comma, or a file with one a line. */
export async function logFields(text: string | undefined): Promise<readonly string[] | undefined> {
  if (text === undefined) return undefined;
  const { missingFields } = await import('../../revoker/detection/fields.js');
  const file = existsSync(text);
  const list = file
    ? await readFile(text, 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw new CliError('usage', `--fields ${text}: ${unreadable(error)}`, { exitCode: 2 });
      })
    : text;
  const fields = list.split(/[\s,]+/).filter((field) => field !== '');
  if (!file && fields.length === 1) {
    throw new CliError('usage', `--fields ${text}: there is no such file.`, {
      exitCode: 2,
      hint: 'Name a file with one field a line, or the fields with commas between.',
    });
  }
  const missing = missingFields(fields);
  if (missing.length > 0) {
    throw new CliError('usage', `--fields: ${missing.join(', ')} missing.`, {
      exitCode: 2,
      hint: 'A log is read by its address (c-ip), status (sc-status), path (cs-uri-stem) and time at least.',
    });
  }
  return fields;
}
