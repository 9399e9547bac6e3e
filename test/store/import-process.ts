// A process of its own that runs one command: for tests that kill it, or weigh it.
import { once } from 'node:events';
import { runCommand } from './command-runner.js';

// Loaded by now, it waits for its standard input to end, so that a test can start it ahead of time.
process.stdin.resume();
await once(process.stdin, 'end');
const result = await runCommand(process.argv.slice(2));
process.stdout.write(result.output);
process.stderr.write(result.notes);
if (result.error) process.stderr.write(`${result.error.stack ?? result.error.message}\n`);
// The child reports what it took, in kilobytes.
process.stderr.write(`peak memory ${process.resourceUsage().maxRSS} kB\n`);
process.exit(result.exitCode);
