import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  simulate,
  writeSimulation,
  type LogFormat,
  type SessionLabel,
  type SimulationOptions,
} from '../../revoker/simulate/index.js';

/** A simulated log on disk, with what is true of its sessions. */
export interface SimulatedLog {
  readonly folder: string;
  readonly root: string;
  readonly labels: readonly SessionLabel[];
  readonly addresses: string;
  readonly fields: readonly string[];
  readonly files: readonly string[];
  /** Bytes of the log, before compression. */
  readonly textBytes: number;
  remove(): Promise<void>;
}

export async function simulatedLog(
  options: Partial<SimulationOptions>,
  format: LogFormat = 'standard',
  gzip = false,
): Promise<SimulatedLog> {
  const root = await mkdtemp(join(tmpdir(), 'portcullis-logs-'));
  const folder = join(root, 'logs');
  const simulation = simulate(options);
  const written = await writeSimulation(simulation, { format, folder, gzip });
  return {
    folder,
    root,
    labels: simulation.labels(),
    addresses: written.addresses,
    fields: (await readFile(written.fields, 'utf8')).trim().split('\n'),
    files: written.files,
    textBytes: written.textBytes,
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
