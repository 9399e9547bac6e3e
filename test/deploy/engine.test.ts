import { describe, expect, it } from 'vitest';
import { nodeVmHost, viewerRequestEvent } from '../../scripts/engine/index.js';
import { functionRunner } from '../doubles/cloudfront-engine.js';

const event = JSON.parse(JSON.stringify(viewerRequestEvent({ uri: '/vod/a.m4s?x=1' }))) as unknown;

describe('running an uploaded function for TestFunction', () => {
  it('gives output, log and a measured utilisation', async () => {
    const run = functionRunner(nodeVmHost(), { measuredRuns: 50 });
    const code = 'function handler(event) { console.log("seen"); return event.request; }';
    const result = await run({ code, event, pairs: new Map() });
    expect(result.output).toMatchObject({ request: { uri: '/vod/a.m4s' } });
    expect(result.logs).toEqual(['seen']);
    expect(result.utilization).toBeGreaterThanOrEqual(0);
    expect(result.utilization).toBeLessThanOrEqual(100);
  });

  it.each([
    ['throws', 'function handler() { throw new Error("no"); }', /no/],
    ['does not load', 'function handler( {', /./],
  ])('reports code that %s as an error', async (_, code, message) => {
    const result = await functionRunner(nodeVmHost())({ code, event, pairs: new Map() });
    expect(result.output).toBeUndefined();
    expect(result.error).toMatch(message);
  });
});
