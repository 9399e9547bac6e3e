import { mergeRanges, parseRange, toCidrs } from '../../waf-rules/addresses.js';
import { presetNames } from '../../waf-rules/config.js';
import { buildRuleSet, ruleSetCapacity } from '../../waf-rules/presets.js';
import { simulatorOf } from '../../waf-rules/simulate-rule-set.js';
import { parseRequest, type SimulatedRequest } from '../../waf-rules/simulated-request.js';
import type { BenchFigure } from './figure.js';

const placements = [
  { kind: 'path', mode: 'prefix', prefix: '/live' },
  { kind: 'query', name: 'CAT' },
  { kind: 'header' },
  { kind: 'cookie', name: 'CAT' },
] as const;

/** Requests of a live event: players with tokens in query, header, cookie and path, and a tenth that is up to no good. */
function eventTraffic(count: number): SimulatedRequest[] {
  const requests: SimulatedRequest[] = [];
  for (let i = 0; i < count; i++) {
    const viewer = i % 5000;
    const token = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(`viewer-${viewer}-of-the-event`).toString('base64url')}.${'s'.repeat(43)}`;
    const bad = i % 10 === 9;
    const place = i % 4;
    const segment = `/live/ch1/segment-${Math.floor(i / 5000)}.m4s`;
    requests.push(
      parseRequest({
        time: i * 2,
        path: !bad && place === 3 ? `/live/${token}/ch1/segment-${Math.floor(i / 5000)}.m4s` : segment,
        query: !bad && place === 0 ? `CAT=${token}` : '',
        headers: {
          host: 'stream.example',
          'user-agent':
            'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36',
          accept: '*/*',
          origin: 'https://player.example',
          referer: 'https://player.example/watch',
          'accept-language': 'en',
          ...(!bad && place === 1 ? { 'cta-common-access-token': token } : {}),
          ...(!bad && place === 2 ? { cookie: `theme=dark; CAT=${token}` } : {}),
        },
        address: `11.${(viewer >> 8) & 255}.${viewer & 255}.7`,
        country: 'US',
        region: 'CA',
        asn: 64500,
      }),
    );
  }
  return requests;
}

/** Measures the simulator, the address arithmetic and the presets' capacity. */
export async function bench(): Promise<BenchFigure[]> {
  const figures: BenchFigure[] = [];
  const requests = eventTraffic(100_000);
  const ranges = Array.from({ length: 20_000 }, (_, i) => parseRange(`12.${i >> 8}.${i & 255}.0/24`));
  const set = buildRuleSet({ preset: 'live-event', mint: { path: '/token' }, placements: [...placements] });
  const run = (): number => {
    const lists = { anonymous: ranges, hosting: ranges, reputation: ranges, reconnaissance: ranges, blocked: ranges };
    const simulator = simulatorOf(set, { lists });
    const start = process.cpuUsage();
    for (const request of requests) simulator.decide(request);
    const { user, system } = process.cpuUsage(start);
    return requests.length / ((user + system) / 1e6);
  };
  run();
  const rates = [run(), run(), run()].sort((a, b) => a - b);
  figures.push({
    name: 'waf.simulate.requests',
    value: Math.round(rates[1] as number),
    unit: 'requests/s',
    budget: 50_000,
    higherIsBetter: true,
    note: 'live-event preset, all rules enforced, tokens in query, header, cookie and path; per second of processor time, garbage collection included; median of 3',
  });
  const addresses = Array.from({ length: 25_000 }, (_, i) => parseRange(`13.${i >> 8}.${i & 255}.${(i * 7) & 255}`));
  const start = process.hrtime.bigint();
  mergeRanges(addresses).flatMap(toCidrs);
  figures.push({
    name: 'waf.addresses.merge25000',
    value: Math.round(Number(process.hrtime.bigint() - start) / 1e4) / 100,
    unit: 'ms',
  });
  for (const preset of presetNames) {
    const built = buildRuleSet({ preset, mint: { path: '/token' }, placements: [...placements] });
    figures.push({
      name: `waf.capacity.${preset}`,
      value: ruleSetCapacity(built).wcu,
      unit: 'wcu',
      budget: 1500,
      note: 'four placements and a token endpoint; a plain sum, so an upper bound',
    });
  }
  return figures;
}
