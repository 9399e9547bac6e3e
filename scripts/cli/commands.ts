import type { Command } from 'commander';
import type { Cli } from './output.js';

export interface CommandGroup {
  /** The words that may follow `portcullis`. */
  readonly words: readonly string[];
  /** Heading in the help. */
  readonly heading: string;
  readonly load: () => Promise<{ register(program: Command, cli: Cli): void }>;
}

const begin = 'Begin:';
const tokens = 'Tokens and keys:';
const cutOff = 'Cut off:';
const deploying = 'Deploy and watch:';

/** Every command in the order that the help shows them. A group's code is read only when it is called. */
export const commandGroups: readonly CommandGroup[] = [
  { words: ['start'], heading: begin, load: () => import('../commands/start.js') },
  { words: ['build'], heading: begin, load: () => import('../commands/build.js') },
  { words: ['token'], heading: tokens, load: () => import('../commands/token.js') },
  { words: ['keys'], heading: tokens, load: () => import('../commands/keys.js') },
  { words: ['origin-secret'], heading: tokens, load: () => import('../commands/origin-secret.js') },
  { words: ['revoke', 'unrevoke'], heading: cutOff, load: () => import('../commands/revoke.js') },
  { words: ['revocations'], heading: cutOff, load: () => import('../commands/revocations.js') },
  { words: ['blackout'], heading: cutOff, load: () => import('../commands/blackout.js') },
  { words: ['detect'], heading: cutOff, load: () => import('../commands/detect.js') },
  { words: ['init'], heading: deploying, load: () => import('../commands/init.js') },
  { words: ['deploy'], heading: deploying, load: () => import('../commands/deploy.js') },
  { words: ['mode'], heading: deploying, load: () => import('../commands/mode.js') },
  { words: ['waf'], heading: deploying, load: () => import('../commands/waf.js') },
  { words: ['doctor'], heading: deploying, load: () => import('../commands/doctor.js') },
];
