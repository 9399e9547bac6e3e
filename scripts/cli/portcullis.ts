#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '../local-edge/project.js';
import { runProgram } from './program.js';

const { version } = JSON.parse(readFileSync(join(projectFolder(), 'package.json'), 'utf8')) as { version: string };

// The SDK tells every command which Node it will want one day; package.json says which one holds now.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// A reader that went away (`| head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
const exitCode = await runProgram(process.argv.slice(2), { version });
// A command that did its work and found a refusal has said so itself.
if (exitCode !== 0) process.exitCode = exitCode;
