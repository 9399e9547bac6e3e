import { expect, it } from 'vitest';
import { calibrate } from './calibrate.js';
import { parseDetectionConfig } from './config.js';
import type { AccountRow, FeatureRow } from './features.js';

const config = parseDetectionConfig();
const usual = { cmcdShare: 0, segmentSeconds: 4 };

/** Five minutes of one viewer at home. */
const home = {
  sessionKind: 'session',
  windowStart: 300,
  media: 75,
  served: 150,
  moments: 30,
  positions: 75,
  renditions: 75,
  mediaMilliseconds: 300_000,
  timedPositions: 75,
  firstAt: 300,
  lastAt: 598,
  players: 1,
  asns: 1,
  countries: 1,
  mostNetworks: 1,
  countryList: ['US'],
} as unknown as FeatureRow;
const zero = {
  expectedCmcd: 0,
  cmcdMedia: 0,
  agentOneIn: 1,
  toolMedia: 0,
  hostingMedia: 0,
  refusedToken: 0,
  refusedRevoked: 0,
  refusedBlackout: 0,
  repeatedPositions: 0,
  distantMoments: 0,
  playerMoments: 0,
  countryMoments: 0,
  sharedMoments: 0,
};
const rows = (changes: Partial<FeatureRow>): FeatureRow[] =>
  Array.from({ length: 50 }, (_, i) => ({ ...home, ...zero, session: `s${i}`, sessionText: `s:${i}`, ...changes }));
const proposed = (changes: Partial<FeatureRow>, weight: string) =>
  calibrate(rows(changes), config, usual).proposals.find((proposal) => proposal.weight === weight);

it.each([
  ['one viewer changes over', { mostNetworks: 2, sharedMoments: 4, repeatedPositions: 20 }, 'repeatedSegments'],
  ['there is little evidence', { mostNetworks: 4, sharedMoments: 20, repeatedPositions: 5 }, 'repeatedSegments'],
  ['there is little evidence', { mostNetworks: 4, sharedMoments: 20, distantMoments: 5 }, 'distantPlayheads'],
  ['there is little evidence', { playerMoments: 2, moments: 4 }, 'concurrentPlayers'],
  ['there is little evidence', { countryMoments: 2, moments: 4 }, 'countriesAtOnce'],
] as const)('measures nothing where the verdict takes it for nothing: %s', (_name, changes, weight) => {
  expect(proposed(changes, weight)).toMatchObject({ clean: 0, abused: false });
});

it('begins a ramp above what clean windows show', () => {
  expect(proposed({ mostNetworks: 3, sharedMoments: 20, repeatedPositions: 30 }, 'repeatedSegments')).toMatchObject({
    clean: 0.4,
    proposed: { from: 0.44, to: 0.67 },
    abused: false,
  });
});

it('moves no ramp to where no value comes, and says that the log looks abused', () => {
  const found = calibrate(rows({ mostNetworks: 3, sharedMoments: 20, repeatedPositions: 70 }), config, usual);
  const { proposals } = found;
  expect(proposals.filter(({ abused }) => abused).map(({ weight }) => weight)).toEqual(['repeatedSegments']);
  expect(proposals[0]).toMatchObject({ proposed: { from: 0.12, to: 0.35 } });
  expect(found.config.weights).not.toHaveProperty('repeatedSegments');
});

it('counts the sessions that accounts speak against among those flagged now', () => {
  const account: AccountRow = {
    subject: 'alice',
    windowStart: 300,
    sessions: ['s0', 's1'],
    concurrency: 8,
    places: 9,
    asns: 5,
    countries: 2,
    edges: 3,
  };
  expect(calibrate(rows({}), config, usual).flaggedNow).toBe(0);
  expect(calibrate(rows({}), config, usual, [account]).flaggedNow).toBe(2);
});
