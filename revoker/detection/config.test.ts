import { describe, expect, it } from 'vitest';
import { parseDetectionConfig } from './config.js';

describe('a setting that there is not', () => {
  it.each([
    [{ treshold: 60 }, 'detection.treshold: no such setting; is threshold meant?'],
    [{ actions: { wacth: 10 } }, 'detection.actions.wacth: no such setting; is watch meant?'],
    [
      { ceilings: { revokeSessions: 1 } },
      'detection.ceilings.revokeSessions: no such setting; is revokeSession meant?',
    ],
    [{ weights: { pace: { form: 1 } } }, 'detection.weights.pace.form: no such setting; is from meant?'],
    [{ weights: { speed: {} } }, 'detection.weights.speed: no such setting'],
    [{ evidence: { Media: 1 } }, 'detection.evidence.Media: no such setting; is media meant?'],
    [
      { hardRules: { x: 1 }, allow: { networks: [], y: 1 } },
      'detection.hardRules.x: no such setting\ndetection.allow.y',
    ],
    [{ resources: { disk: 1 } }, 'detection.resources.disk: no such setting'],
    [{ placements: [{ kind: 'query', nam: 'CAT' }] }, 'detection.placements.0.nam: no such setting'],
    [{ approvalBellow: 0.5 }, 'is approvalBelow meant?'],
  ])('%j is named, with where it stands', (input, message) => {
    expect(() => parseDetectionConfig(input)).toThrow(message);
  });

  it.each([[null], [[]], ['text'], [7]])('%j is no section', (input) => {
    expect(() => parseDetectionConfig(input)).toThrow(/^detection: .*expected object/);
  });

  it('takes placements as the tokens have them', () => {
    const placements = [
      { kind: 'path', mode: 'marker', marker: '/~t' },
      { kind: 'cookie', name: 'CAT', domain: 'example.com', path: '/', sameSite: 'None', partitioned: true },
    ];
    expect(parseDetectionConfig({ placements }).placements).toEqual(placements);
  });
});
