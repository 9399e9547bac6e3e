import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseDetectionConfig, workflowJudge } from '../../revoker/detection/index.js';
import { addressToHex, rangeOfNetwork } from '../../revoker/detection/addresses.js';
import { athenaQuery } from '../../revoker/detection/athena.js';
import { simulate, writeSimulation } from '../../revoker/simulate/index.js';
import { openLake, trinoForDuckdb } from '../detection/trino-on-duckdb.js';
import { closeDatabase, workflowFixture } from './workflow-fixture.js';

const folder = await mkdtemp(join(tmpdir(), 'portcullis-detection-workflow-'));
afterAll(async () => {
  await closeDatabase();
  await rm(folder, { recursive: true, force: true });
});

const config = parseDetectionConfig({ segmentSeconds: 6 });
/** Whether a row lists an address of a network among those that took its media. */
function isWithin(row: Readonly<Record<string, string | null>>, network: string): boolean {
  const range = rangeOfNetwork(network);
  return (row['place_list'] ?? '').split(',').some((item) => {
    const hex = addressToHex(item.split(' ')[0] ?? '') ?? '';
    return range !== undefined && hex >= range.first && hex <= range.last;
  });
}

const table = { database: 'logs', table: 'cloudfront' };

describe('the detection workflow with detection itself', () => {
  it('goes from a lake to refused sessions, accounts and addresses, and touches no honest one', async () => {
    const simulation = simulate({ viewers: 250, minutes: 6, abuserShare: 0.05, seed: 'workflow', jwtShare: 0.5 });
    const logs = join(folder, 'logs');
    await writeSimulation(simulation, { format: 'parquet', folder: logs });
    const lake = await openLake(logs);
    const stretch = { from: simulation.options.from / 1000, to: simulation.options.from / 1000 + 360 };
    const answer = await lake.ask(athenaQuery(config, table, stretch, { dialect: trinoForDuckdb }));
    lake.close();
    const fixture = await workflowFixture({
      judge: workflowJudge(config, table),
      answer,
      pageRows: 40,
      approvalSeconds: 1,
    });
    const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
    const run = await fixture.run('detect', { from: iso(stretch.from), to: iso(stretch.to) });
    expect(run).toMatchObject({ outcome: 'succeeded' });
    const labels = simulation.labels();
    const abused = new Set(labels.filter((label) => label.abuser).map((label) => label.session));
    const entries = await fixture.entries();
    const sessions = entries.filter(({ scope }) => scope === 'session' || scope === 'token');
    expect(sessions.length).toBeGreaterThan(0);
    for (const entry of sessions) expect(abused).toContain(entry.id);
    expect(sessions[0]).toMatchObject({ by: 'detect run-1', evidence: expect.anything() as unknown });
    const sharers = labels.filter(({ kind }) => kind === 'credential-sharing').map(({ subject }) => subject);
    const accounts = entries.filter(({ scope }) => scope === 'subject');
    expect(accounts.length).toBeGreaterThan(0);
    for (const entry of accounts) expect(sharers).toContain(entry.id);
    const networks = entries.filter(({ scope }) => scope === 'network').map(({ id }) => id);
    expect(networks.length).toBeGreaterThan(0);
    for (const network of networks)
      expect(
        answer.some((row) => isWithin(row, network)),
        network,
      ).toBe(true);
    // The simulation's addresses are nobody's: the keeper of WAF's sets leaves ranges alone that are set apart.
    expect(fixture.blocked()).toEqual([]);
    // Tokens are live credentials: none leaves the log.
    const traces = JSON.stringify([entries, fixture.notices, fixture.logs, [...fixture.pairs]]);
    expect(traces).not.toMatch(/0YRDoQEF|eyJhbGci/);
    await fixture.close();
  });
});
