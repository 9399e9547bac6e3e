import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../../scripts/engine/index.js';
import { simulatedLog } from './logs.js';

const run = promisify(execFile);

/** Events of different seeds, told one after another in one file: a gzip file may have many members. */
const events = 8;
const gigabyte = 1e9;

/** Detection in a process of its own, which says at its end how large it has been. */
const program = `
  import { readFileSync } from 'node:fs';
  import { parseDetectionConfig } from './revoker/detection/index.ts';
  import { detect } from './revoker/detection/run.ts';
  const config = parseDetectionConfig({ resources: { memory: '512MB' } });
  detect({ logs: [process.argv[2]], config, now: Date.UTC(2026, 6, 1) / 1000 }).then(({ reading, verdicts }) => {
    const flagged = verdicts.filter((verdict) => verdict.flagged).map((verdict) => verdict.session);
    const peak = Number(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
    console.log(JSON.stringify({ records: reading.records, skipped: reading.skipped, flagged, peak }));
  });
`;

it.skipIf(!existsSync('/proc/self/status'))(
  'a gigabyte of log in one gzip file is read in less memory than it has bytes, and its abusers are found',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-gigabyte-'));
    try {
      const file = join(folder, 'access.log.gz');
      let rows = 0;
      let bytes = 0;
      const abusers = new Set<string>();
      const honest = new Set<string>();
      for (let seed = 1; seed <= events; seed++) {
        const log = await simulatedLog({ seed: `gigabyte/${seed}`, viewers: 1500, minutes: 6 }, 'standard', true);
        for (const label of log.labels) {
          rows += label.rows;
          (label.abuser ? abusers : honest).add(label.session);
        }
        bytes += log.textBytes;
        for (const part of log.files) await pipeline(createReadStream(part), createWriteStream(file, { flags: 'a' }));
        await log.remove();
      }
      expect(bytes).toBeGreaterThan(gigabyte);

      const bundle = join(folder, 'detect.cjs');
      const { outputFiles } = await build({
        stdin: { contents: program, resolveDir: repositoryRoot() },
        bundle: true,
        write: false,
        platform: 'node',
        format: 'cjs',
        packages: 'external',
      });
      await writeFile(bundle, outputFiles[0]?.text ?? '');
      await symlink(join(repositoryRoot(), 'node_modules'), join(folder, 'node_modules'));
      const { stdout } = await run(process.execPath, ['--max-old-space-size=256', bundle, file]);
      const found = JSON.parse(stdout) as { records: number; skipped: unknown[]; flagged: string[]; peak: number };
      expect(found.skipped).toEqual([]);
      expect(found.records).toBeGreaterThanOrEqual(rows);
      expect(found.flagged.filter((session) => honest.has(session))).toEqual([]);
      expect(found.flagged.filter((session) => abusers.has(session)).length).toBeGreaterThan(0.8 * abusers.size);
      expect(found.peak).toBeLessThan(gigabyte);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
