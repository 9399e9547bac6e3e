import { Float } from '../../engine/token-maker.js';
import { NOW } from '../../verdicts/requests.js';
import { forms, map, onlyCat, onlyJwt, same, table, type Forms } from '../case.js';
import { BLOCKED_ID, REVOKED_SESSION } from '../store.js';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const id = (hex: string): string => bytes(hex).toString('base64url');
const odds = (chance: unknown, hex = 'c0de', ...more: unknown[]): Forms =>
  forms({ catpor: [chance, bytes(hex), ...more] }, { catpor: [chance, id(hex), ...more] });
const strict = { build: 'strict' } as const;
const path = forms({ catu: map([3, map([1, '/'])]) }, { catu: { path: { prefix: '/' } } });
/** With the claims that the strict build demands. */
const complete = (claims: Record<string, unknown>): Forms =>
  forms({ ...path.cat, ...claims }, { ...path.jwt, ...claims });
const handle = (session: Buffer): Forms => forms({ session }, { sid: session.toString('base64url') });
const thumbprint = forms(
  { cnf: map([323, Buffer.alloc(32, 1)]) },
  { cnf: { jkt: Buffer.alloc(32, 1).toString('base64url') } },
);

export const use = [
  ...table('4.6.6', 'catreplay', [
    ['0: reuse is allowed', same({ catreplay: 0 }), 'admitted'],
    [
      '1: reuse is forbidden; admitted, and marked for whoever sees all requests',
      same({ catreplay: 1 }),
      'admitted',
      {},
      { log: { r: '', y: 1 } },
    ],
    [
      '2: reuse is to be watched; admitted and marked',
      same({ catreplay: 2 }),
      'admitted',
      {},
      { log: { r: '', y: 2 } },
    ],
    ['1, where the deployment refuses what it cannot check', complete({ catreplay: 1 }), 'replay_refused', strict],
    ['0, where the deployment refuses what it cannot check', complete({ catreplay: 0 }), 'admitted', strict],
    ['2, where the deployment refuses what it cannot check', complete({ catreplay: 2 }), 'admitted', strict],
    ['3 is none of the standard\u2019s', same({ catreplay: 3 }), 'invalid_claim'],
    ['-1', same({ catreplay: -1 }), 'invalid_claim'],
    ['a fraction', same({ catreplay: 0.5 }), 'invalid_claim'],
    ['a text', same({ catreplay: '1' }), 'invalid_claim'],
    ['true', same({ catreplay: true }), 'invalid_claim'],
  ]),
  ...table('4.6.7', 'catpor', [
    ['probability 0', odds(0), 'admitted', { random: 0 }],
    ['the dice are above the probability', odds(0.25), 'admitted', { random: 0.25 }],
    ['the dice are below the probability', odds(0.25), 'probabilistic_refusal', { random: 0.2499 }],
    ['probability 1', odds(1), 'probabilistic_refusal', { random: 0.9999 }],
    [
      'what was refused is told in the log, for the block list',
      odds(1, 'c0de', NOW + 600),
      'probabilistic_refusal',
      { random: 0.5 },
      { log: { r: 'probabilistic_refusal' } },
    ],
    ['with an end of the refusals', odds(0, 'c0de', NOW + 600), 'admitted'],
    ['an id on the block list, whatever the dice say', odds(0, BLOCKED_ID), 'probabilistic_refusal', { random: 0.9 }],
    [
      'an id by the claim that has it',
      forms({ catpor: [0, 7], cti: bytes(BLOCKED_ID) }, { catpor: [0, 'jti'], jti: id(BLOCKED_ID) }),
      'probabilistic_refusal',
      { random: 0.9 },
    ],
    [
      'an id by the claim that has it, not on the list',
      forms({ catpor: [0, 7], cti: bytes('00') }, { catpor: [0, 'jti'], jti: 'x' }),
      'admitted',
      { random: 0.9 },
    ],
    ['a probability above 1', odds(1.5), 'invalid_claim'],
    ['a probability below 0', odds(-0.5), 'invalid_claim'],
    ['a probability that is a text', odds('0'), 'invalid_claim'],
    ['a probability of NaN (4.5)', onlyCat({ catpor: [new Float(NaN, 2), bytes('00')] }), 'malformed_token'],
    ['1 as a float (4.5)', onlyCat({ catpor: [new Float(1, 2), bytes('00')] }), 'malformed_token'],
    ['no id', same({ catpor: [0] }), 'invalid_claim'],
    [
      'an id that is a text in a CAT, null in a JWT',
      forms({ catpor: [0, 'id'] }, { catpor: [0, null] }),
      'invalid_claim',
    ],
    ['an id by a claim that is not there', forms({ catpor: [0, 7] }, { catpor: [0, 'jti'] }), 'invalid_claim'],
    ['an id by a claim that is no byte string', onlyCat({ catpor: [0, 4] }), 'invalid_claim'],
    ['an end that is a text', odds(0, 'c0de', 'tomorrow'), 'invalid_claim'],
    ['four entries', odds(0, 'c0de', NOW, 1), 'invalid_claim'],
    ['no list', forms({ catpor: map([0, 0]) }, { catpor: { 0: 0, 1: 'AA' } }), 'invalid_claim'],
  ]),
  ...table('4.8.1', 'cnf', [
    ['a proof of possession, which only Lambda@Edge checks', thumbprint, 'proof_required'],
    [
      'a confirmation of a kind that nobody here knows',
      forms({ cnf: map([3, bytes('01')]) }, { cnf: { kid: 'x' } }),
      'proof_required',
    ],
    ['no map', same({ cnf: 'key' }), 'invalid_claim'],
    ['null', same({ cnf: null }), 'invalid_claim'],
    ['a list', same({ cnf: [1] }), 'invalid_claim'],
    ['left out of the build', onlyCat(thumbprint.cat!), 'unsupported_claim', { build: 'leftOut' }],
    ['left out of the build and ignored', thumbprint, 'admitted', { build: 'ignoring' }],
  ]),
  ...table('4.8.2', 'catdpop', [
    [
      'settings without anything to prove',
      forms({ catdpop: map([0, 300], [1, 1]) }, { catdpop: { window: 300, jti: 1 } }),
      'admitted',
    ],
    [
      'critical settings that are known',
      forms({ catdpop: map([-1, [0, 1]], [0, 60]) }, { catdpop: { crit: [0, 1], window: 60 } }),
      'admitted',
    ],
    [
      'a critical setting that is not known (4.8.2.1)',
      forms({ catdpop: map([-1, [0, 9]]) }, { catdpop: { crit: [0, 9] } }),
      'proof_required',
    ],
    [
      'settings and something to prove',
      forms({ ...thumbprint.cat, catdpop: map([0, 300]) }, { ...thumbprint.jwt, catdpop: { window: 300 } }),
      'proof_required',
    ],
    ['left out of the build', onlyCat({ catdpop: map([0, 300]) }), 'unsupported_claim', { build: 'leftOut' }],
    ['critical settings that are no list', forms({ catdpop: map([-1, 5]) }, { catdpop: { crit: 5 } }), 'invalid_claim'],
    ['no map', same({ catdpop: 300 }), 'invalid_claim'],
    ['a list', same({ catdpop: [300] }), 'invalid_claim'],
  ]),
  ...table('4.7.3', 'catifdata', [
    ['a text, as catif made it', same({ catifdata: 'aHR0cHM6Ly8' }), 'admitted'],
    ['a list, as catif made it', same({ catifdata: ['aHR0cHM6Ly8', 'gQQ'] }), 'admitted'],
    ['left out of the build', onlyCat({ catifdata: 'x' }), 'unsupported_claim', { build: 'leftOut' }],
    ['a number', same({ catifdata: 5 }), 'invalid_claim'],
    ['null', same({ catifdata: null }), 'invalid_claim'],
    ['a map', forms({ catifdata: map([0, 'x']) }, { catifdata: { x: 'y' } }), 'invalid_claim'],
  ]),
  ...table('Portcullis claim -65537', 'session', [
    ['a handle', handle(Buffer.alloc(16, 8)), 'admitted'],
    ['a handle that is revoked', handle(REVOKED_SESSION), 'revoked'],
    [
      'revoked, whatever the token\u2019s id',
      forms(
        { session: REVOKED_SESSION, cti: bytes('0102') },
        { sid: REVOKED_SESSION.toString('base64url'), jti: 'new' },
      ),
      'revoked',
    ],
    ['a text in a CAT, a number in a JWT', forms({ session: 'BwcHBwcHBwcHBwcHBwcHBw' }, { sid: 7 }), 'invalid_claim'],
    ['null', forms({ session: null }, { sid: null }), 'invalid_claim'],
    ['the label as text is another claim', onlyJwt({ '-65537': REVOKED_SESSION.toString('base64url') }), 'admitted'],
  ]),
  ...table('Portcullis claim -65538', 'session end', [
    ['a second before', same({ sxp: NOW + 1 }), 'admitted'],
    ['the very second', same({ sxp: NOW }), 'session_ended'],
    ['a fraction', same({ sxp: NOW + 0.5 }), 'session_ended', { later: 0.5 }],
    [
      'expired and ended: exp gives the reason, and then the session',
      same({ sxp: NOW, exp: NOW + 1 }),
      'session_ended',
    ],
    ['a text', same({ sxp: 'never' }), 'invalid_claim'],
    ['null', same({ sxp: null }), 'invalid_claim'],
  ]),
];
