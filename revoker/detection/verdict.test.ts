import { describe, expect, it } from 'vitest';
import { decide } from './actions.js';
import { calibrate } from './calibrate.js';
import { DetectionConfigError, parseDetectionConfig } from './config.js';
import type { SessionPlace } from './duckdb.js';
import type { AccountRow, FeatureRow } from './features.js';
import { judge, onRamp } from './verdict.js';

const config = parseDetectionConfig();
const usual = { cmcdShare: 0.5, segmentSeconds: 4 };

/** Five minutes of one honest viewer at home. */
function row(changes: Partial<FeatureRow> = {}): FeatureRow {
  return {
    session: 'A'.repeat(22),
    sessionKind: 'session',
    sessionText: 's:00',
    windowStart: 300,
    requests: 150,
    served: 150,
    bytes: 1e8,
    media: 75,
    cmcdMedia: 75,
    expectedCmcd: 70,
    agentOneIn: 5,
    toolMedia: 0,
    hostingMedia: 0,
    refusedToken: 0,
    refusedRevoked: 0,
    refusedBlackout: 0,
    failed: 0,
    contested: 0,
    firstAt: 300,
    lastAt: 598,
    addresses: 1,
    networks: 1,
    asns: 1,
    countries: 1,
    agents: 1,
    players: 1,
    edges: 1,
    countryList: ['US'],
    asnList: [7922],
    positions: 75,
    repeatedPositions: 0,
    copies: 75,
    refetched: 0,
    renditions: 75,
    mediaMilliseconds: 300_000,
    timedPositions: 75,
    contents: 1,
    moments: 30,
    sharedMoments: 0,
    mostNetworks: 1,
    distantMoments: 0,
    playerMoments: 0,
    countryMoments: 0,
    ...changes,
  };
}

const scoreOf = (changes: Partial<FeatureRow>): number => judge([row(changes)], [], config, usual)[0]?.score ?? -1;
const shared: Partial<FeatureRow> = {
  media: 600,
  networks: 8,
  asns: 6,
  countries: 3,
  players: 8,
  repeatedPositions: 70,
  copies: 560,
  mostNetworks: 8,
  sharedMoments: 30,
  playerMoments: 28,
};

describe('honest viewers stay below the threshold', () => {
  it.each<[string, Partial<FeatureRow>]>([
    ['at home', {}],
    [
      "behind a carrier's NAT: many addresses, every segment once",
      { addresses: 12, networks: 3, sharedMoments: 15, mostNetworks: 3 },
    ],
    [
      'on a bonded link: three carriers at once, every segment once',
      { networks: 3, asns: 3, sharedMoments: 28, mostNetworks: 3 },
    ],
    [
      'through a relay in other countries',
      { networks: 3, asns: 3, countries: 3, sharedMoments: 6, countryMoments: 5, mostNetworks: 2 },
    ],
    [
      'changing networks on the way, some segments again',
      { networks: 3, asns: 2, sharedMoments: 8, repeatedPositions: 6, mostNetworks: 2 },
    ],
    ['on IPv4 and IPv6', { networks: 2, sharedMoments: 12, mostNetworks: 2 }],
    ['with a VPN at a hosting company', { hostingMedia: 75 }],
    ['with a VPN, and a player without CMCD', { hostingMedia: 75, cmcdMedia: 0 }],
    [
      'seeking back and forth',
      { media: 180, positions: 130, timedPositions: 130, mediaMilliseconds: 520_000, refetched: 50 },
    ],
    [
      'skipping through recordings at five times real time, with nothing else to be said against it',
      { media: 430, positions: 400, timedPositions: 400, mediaMilliseconds: 1_740_000, refetched: 30 },
    ],
    [
      'watching four angles at home',
      {
        media: 300,
        positions: 300,
        timedPositions: 300,
        mediaMilliseconds: 1_200_000,
        players: 4,
        contents: 4,
        agents: 1,
      },
    ],
    [
      'casting from the phone to the television',
      {
        agents: 2,
        players: 2,
        networks: 2,
        asns: 2,
        repeatedPositions: 7,
        sharedMoments: 3,
        playerMoments: 3,
        mostNetworks: 2,
      },
    ],
    [
      'casting from the phone to the television near the end of a window, where a few segments are nearly all there are',
      {
        media: 33,
        networks: 2,
        positions: 22,
        timedPositions: 22,
        renditions: 22,
        mediaMilliseconds: 130_000,
        repeatedPositions: 11,
        copies: 33,
        moments: 12,
        sharedMoments: 4,
        mostNetworks: 2,
      },
    ],
    ['with too little in the log to tell', { ...shared, media: 10 }],
  ])('%s', (_who, changes) => {
    expect(scoreOf(changes)).toBeLessThan(config.threshold);
  });
});

describe('abuse is flagged', () => {
  it.each<[string, Partial<FeatureRow>]>([
    ['one session in eight networks', shared],
    [
      'two people on one session, for two minutes of the window',
      { networks: 2, repeatedPositions: 30, copies: 105, sharedMoments: 12, mostNetworks: 2 },
    ],
    [
      'three networks at once, however short',
      { networks: 3, repeatedPositions: 30, copies: 135, sharedMoments: 5, mostNetworks: 3 },
    ],
    ['friends who watch a recording at different places', { ...shared, repeatedPositions: 0, distantMoments: 25 }],
    [
      'a ripper at five times real time, with a user agent that hardly anybody has',
      { media: 380, positions: 380, timedPositions: 380, mediaMilliseconds: 1_620_000, agentOneIn: 900 },
    ],
    [
      'a ripper at nine times real time, whatever else',
      { media: 700, positions: 700, timedPositions: 700, mediaMilliseconds: 2_820_000 },
    ],
    [
      'a proxy pool: every segment once, through fifteen countries',
      { networks: 60, asns: 30, countries: 15, sharedMoments: 25, countryMoments: 25, mostNetworks: 4 },
    ],
    ['a tool at a hosting company', { hostingMedia: 75, toolMedia: 75, cmcdMedia: 0 }],
    ['a script with a copied user agent at a hosting company', { hostingMedia: 75, cmcdMedia: 0, agentOneIn: 3000 }],
    ['all renditions of everything', { media: 300, renditions: 150 }],
  ])('%s', (_who, changes) => {
    expect(scoreOf(changes)).toBeGreaterThanOrEqual(config.threshold);
  });
});

describe('a verdict', () => {
  it('is the worst window, decided at the end of the first that reached the threshold', () => {
    const [verdict] = judge(
      [row({ windowStart: 900, ...shared }), row({ windowStart: 600, ...shared }), row()],
      [],
      config,
      usual,
    );
    expect(verdict).toMatchObject({ flagged: true, decidedAt: 900 });
    expect(verdict?.windows.map((window) => window.windowStart)).toEqual([300, 600, 900]);
  });

  it("holds an account's many places against each of its sessions", () => {
    const account: AccountRow = {
      subject: 'alice',
      windowStart: 300,
      sessions: [row().session],
      places: 9,
      asns: 9,
      countries: 4,
      edges: 5,
      concurrency: 8.5,
    };
    expect(judge([row()], [account], config, usual)[0]).toMatchObject({ flagged: true, subject: 'alice' });
    expect(judge([row()], [{ ...account, places: 3, concurrency: 3 }], config, usual)[0]).toMatchObject({
      flagged: false,
    });
  });

  it('lies between nothing and all on a ramp', () => {
    const ramp = { points: 10, from: 2, to: 4 };
    expect([1, 2, 3, 4, 9].map((value) => onRamp(value, ramp))).toEqual([0, 0, 0.5, 1, 1]);
  });
});

describe('the ladder', () => {
  const places = new Map([
    [
      row().session,
      [
        {
          address: '203.0.113.9',
          place: '00000000000000000000FFFFCB0071',
          asn: 16509,
          country: 'US',
          hosting: true,
          media: 500,
          served: 500,
          bytes: 1,
          firstAt: 1,
          lastAt: 2,
        },
        {
          address: '198.51.100.1',
          place: '00000000000000000000FFFFC63364',
          asn: 7922,
          country: 'US',
          hosting: false,
          media: 100,
          served: 100,
          bytes: 1,
          firstAt: 1,
          lastAt: 2,
        },
      ],
    ],
  ]);
  const facts = { now: 1000, sessions: 1000, places };
  const verdicts = judge([row(shared), row({ ...shared, windowStart: 600 })], [], config, usual);

  it('revokes a session that is certain, and blocks its hosting address but not the shared one', () => {
    const plan = decide(verdicts, config, facts);
    expect(plan.ready.map(({ action, request }) => [action, request.scope, request.id])).toEqual([
      ['revokeSession', 'session', row().session],
      ['blockAddress', 'network', '203.0.113.9/32'],
    ]);
    expect(plan.ready.every((entry) => (entry.request.until as number) > facts.now)).toBe(true);
  });

  it('asks for a new token where the score is lower: the CMS decides who comes back', () => {
    const cautious = parseDetectionConfig({
      actions: { revokeSession: 100, blockAddresses: 100 },
      hardRules: { concurrentNetworks: 0 },
      weights: {
        concurrentPlayers: { points: 0 },
        concurrentNetworks: { points: 0 },
        autonomousSystems: { points: 0 },
        countries: { points: 0 },
      },
    });
    const plan = decide(
      judge([row(shared), row({ ...shared, windowStart: 600 })], [], cautious, usual),
      cautious,
      facts,
    );
    expect(plan.ready.map(({ request }) => request)).toMatchObject([{ scope: 'session', remint: true, cutoff: 1000 }]);
  });

  it('waits for a person over a ceiling, over a share of the audience, and below a confidence', () => {
    const hold = (settings: object, about: object = facts): string[] =>
      decide(verdicts, parseDetectionConfig(settings), { ...facts, ...about }).held.map((entry) => entry.why);
    expect(hold({ ceilings: { revokeSession: 0 } })[0]).toMatch(/the ceiling is 0/);
    expect(hold({ ceilings: { floorOfSessions: 0, shareOfSessions: 0.0001 } })[0]).toMatch(/1 of 1000 sessions/);
    expect(hold({ approvalBelow: 1 }).length + decide(verdicts, config, facts).ready.length).toBeGreaterThan(0);
  });

  it('waits for a person where the requests carried tokens of other sessions, too', () => {
    const beside = judge([row({ ...shared, served: 600, contested: 1 })], [], config, usual);
    expect(beside[0]).toMatchObject({ contested: true, flagged: true });
    const plan = decide(beside, config, facts);
    expect([plan.ready, new Set(plan.held.map(({ why }) => why)).size]).toEqual([[], 1]);
    expect(judge([row({ ...shared, served: 600 })], [], config, usual)[0]?.contested).toBe(false);
  });

  it('blocks no relay, no address of other viewers, and none for a handful of segments', () => {
    const [hosting, shared_] = places.get(row().session) as [SessionPlace, SessionPlace];
    const blocked = (...given: SessionPlace[]): string[] =>
      decide(verdicts, config, { ...facts, places: new Map([[row().session, given]]) })
        .ready.filter(({ action }) => action === 'blockAddress')
        .map(({ request }) => request.id);
    expect(blocked(hosting, shared_)).toEqual(['203.0.113.9/32']);
    expect(blocked({ ...hosting, place: 'AS36183' }, shared_)).toEqual([]);
    expect(blocked({ ...hosting, others: 1 }, shared_)).toEqual([]);
    expect(blocked({ ...hosting, others: 0 }, shared_)).toEqual(['203.0.113.9/32']);
    expect(blocked({ ...hosting, media: 19 }, shared_)).toEqual([]);
  });

  it('cuts off a shared account also where one of its sessions is revoked for itself', () => {
    const account: AccountRow = {
      subject: 'alice',
      windowStart: 300,
      sessions: ['B'.repeat(22), 'C'.repeat(22)],
      places: 9,
      asns: 9,
      countries: 4,
      edges: 5,
      concurrency: 8.5,
    };
    const given = judge(
      [
        row(shared),
        row({ ...shared, windowStart: 600 }),
        ...account.sessions.map((session) => row({ session, sessionText: session })),
      ],
      [account],
      config,
      usual,
    );
    const subjects = new Map([row().session, ...account.sessions].map((session) => [session, 'alice']));
    const plan = decide(given, { ...config, approvalBelow: 0 }, { ...facts, places: new Map(), subjects });
    expect(plan.ready.map(({ request }) => [request.scope, request.id])).toEqual([
      ['session', row().session],
      ['subject', 'alice'],
    ]);
  });

  it('leaves the allow list alone', () => {
    for (const allow of [{ sessions: [row().session] }, { networks: ['203.0.113.0/24', '198.51.100.0/24'] }]) {
      const plan = decide(verdicts, parseDetectionConfig({ allow }), facts);
      expect([plan.ready, plan.held, plan.allowed]).toEqual([[], [], [row().session]]);
    }
  });

  it('leaves it alone also where somebody asked from elsewhere with a made-up token, and was refused', () => {
    const known = places.get(row().session) as SessionPlace[];
    const foreign = { ...(known[0] as SessionPlace), address: '192.0.2.66', media: 0, served: 0 };
    const allow = { networks: ['203.0.113.0/24', '198.51.100.0/24'] };
    const plan = decide(verdicts, parseDetectionConfig({ allow }), {
      ...facts,
      places: new Map([[row().session, [...known, foreign]]]),
    });
    expect([plan.ready, plan.allowed]).toEqual([[], [row().session]]);
  });

  it('asks the whole account for new tokens where the account was passed on', () => {
    const account: AccountRow = {
      subject: 'alice',
      windowStart: 300,
      sessions: [row().session],
      places: 9,
      asns: 9,
      countries: 4,
      edges: 5,
      concurrency: 8.5,
    };
    const plan = decide(judge([row()], [account], config, usual), { ...config, approvalBelow: 0 }, facts);
    expect(plan.ready.map(({ request }) => request)).toMatchObject([
      { scope: 'subject', id: 'alice', remint: true, cutoff: 1000 },
    ]);
  });

  it('decides the same from the same verdicts', () => {
    expect(decide(verdicts, config, facts)).toEqual(decide(verdicts, config, facts));
  });
});

describe('the pace', () => {
  const fast = { mediaMilliseconds: 300_000 * 12, positions: 900, timedPositions: 900, renditions: 900, media: 900 };
  it('is not divided by the names that one player gives itself', () => {
    expect(scoreOf({ ...fast, players: 4 })).toBe(scoreOf({ ...fast, players: 1 }));
    expect(scoreOf({ ...fast, players: 1 })).toBeGreaterThanOrEqual(config.threshold);
  });
  it('is shared among players of different contents, up to the limit of all together', () => {
    expect(scoreOf({ ...fast, mediaMilliseconds: 300_000 * 5, players: 4, contents: 4 })).toBe(0);
    expect(scoreOf({ ...fast, players: 4, contents: 4 })).toBeGreaterThanOrEqual(config.threshold);
  });
});

describe('the settings', () => {
  it('name the path of what is wrong', () => {
    expect(() => parseDetectionConfig({ weights: { pace: { from: 5, to: 5 } } })).toThrow(DetectionConfigError);
    expect(() => parseDetectionConfig({ windowSeconds: 1 })).toThrow(/detection\.windowSeconds/);
    expect(() => parseDetectionConfig({ actions: { watch: 90 } })).toThrow(/the ladder must rise/);
  });

  it('are proposed from a clean log, upwards only', () => {
    const clean = Array.from({ length: 50 }, (_, i) =>
      row({ session: String(i).padStart(22, 'A'), asns: 5, networks: 5 }),
    );
    const found = calibrate(clean, config, usual);
    expect(found.config.weights).toEqual({ autonomousSystems: { from: 5, to: 10 } });
    expect(found.flaggedNow).toBe(0);
  });
});
