import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseDetectionConfig, workflowJudge } from '../../revoker/detection/index.js';
import { readAddressDatabase } from '../../revoker/detection/addresses.js';
import { readLogs } from '../../revoker/detection/duckdb.js';
import { columnName, featureNames, type FeatureRow } from '../../revoker/detection/features.js';
import { findLogs } from '../../revoker/detection/sources.js';
import { simulate, writeSimulation } from '../../revoker/simulate/index.js';
import { closeDatabase, workflowFixture } from './workflow-fixture.js';

const folder = await mkdtemp(join(tmpdir(), 'portcullis-detection-workflow-'));
afterAll(async () => {
  await closeDatabase();
  await rm(folder, { recursive: true, force: true });
});

/** A row as Athena would answer it: text by column. */
function asAnswer(row: FeatureRow, audience: Readonly<Record<string, string>>): Record<string, string | null> {
  const values = Object.fromEntries(
    featureNames.map((name) => {
      const value = row[name];
      return [columnName(name), Array.isArray(value) ? value.join(',') : String(value)];
    }),
  );
  return { session: row.sessionText, window_start: String(row.windowStart), ...values, ...audience };
}

describe('the detection workflow with detection itself', () => {
  it('goes from a log to refused sessions, and touches no honest one', async () => {
    const config = parseDetectionConfig({ segmentSeconds: 6 });
    const simulation = simulate({
      viewers: 500,
      minutes: 5,
      abuserShare: 0.02,
      seed: 'workflow',
      abuserKinds: ['shared-session', 'leech-farm'],
    });
    const written = await writeSimulation(simulation, { format: 'standard', folder: join(folder, 'logs') });
    const database = await readLogs(await findLogs([join(folder, 'logs')]), {
      config,
      now: simulation.options.from / 1000 + 600,
      addresses: await readAddressDatabase(written.addresses),
    });
    const rows = await database.rows();
    await database.close();
    const labels = simulation.labels();
    const audience = {
      audience_sessions: String(labels.length),
      audience_cmcd: String(rows.reduce((sum, row) => sum + row.cmcdMedia, 0)),
      audience_media: String(rows.reduce((sum, row) => sum + row.media, 0)),
    };
    const fixture = await workflowFixture({
      judge: workflowJudge(config, { database: 'logs', table: 'cloudfront' }),
      answer: rows.map((row) => asAnswer(row, { ...audience, first_row: '1' })),
      pageRows: 40,
      approvalSeconds: 1,
    });
    const from = new Date(simulation.options.from).toISOString();
    const to = new Date(simulation.options.from + 300_000).toISOString();
    expect(await fixture.run('detect', { from, to })).toMatchObject({ outcome: 'succeeded' });
    const abused = new Set(labels.filter((label) => label.abuser).map((label) => label.session));
    const entries = (await fixture.entries()).filter(({ scope }) => scope === 'session' || scope === 'token');
    expect(entries.length).toBeGreaterThan(0);
    for (const entry of entries) expect(abused).toContain(entry.id);
    expect(fixture.pairs.size).toBe(entries.length);
    expect(entries[0]).toMatchObject({ by: 'detect run-1', evidence: expect.anything() as unknown });
    // Tokens are live credentials: none leaves the log.
    const traces = JSON.stringify([entries, fixture.notices, fixture.logs, [...fixture.pairs]]);
    expect(traces).not.toMatch(/0YRDoQEF|eyJhbGci/);
    await fixture.close();
  });
});
