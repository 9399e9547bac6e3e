import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Placement } from '@portcullis/tokens';
import type { SimulatedViewer } from '../local-edge/viewer.js';
import { CliError } from './output.js';

/** The addresses that a running `portcullis start` leaves in `.portcullis/local.json`. */
export interface LocalEndpoints {
  /** The demo page. */
  readonly page: string;
  /** The local edge: the base URL that stands for the distribution. */
  readonly edge: string;
  readonly kvs: { readonly endpoint: string; readonly arn: string };
  readonly dynamodb: { readonly endpoint: string; readonly tablePrefix: string };
  /** The WAF API, where one is running. */
  readonly waf?: { readonly endpoint: string };
  /** The token-vending service. */
  readonly vend: string;
  /** The local edge's own access log, JSON lines file. */
  readonly accessLog: string;
  /** Folder of the signing keys' secrets. */
  readonly secrets?: string;
  /** Where the functions look for tokens. */
  readonly placements?: readonly Placement[];
  /** Who every request comes from, unless it says otherwise. */
  readonly viewer?: SimulatedViewer;
  readonly pid: number;
}

export const localStateFile = '.portcullis/local.json';

/** Reads the addresses of the running local edge; `--local` stands on it. */
export function localEndpoints(file: string = process.env['PORTCULLIS_LOCAL'] ?? localStateFile): LocalEndpoints {
  try {
    return JSON.parse(readFileSync(resolve(file), 'utf8')) as LocalEndpoints;
  } catch {
    throw new CliError('local_edge_not_running', `No running local edge found: ${file} is missing or unreadable.`, {
      hint: 'Start one with: npm start (or name its file in PORTCULLIS_LOCAL)',
    });
  }
}
