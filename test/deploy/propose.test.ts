import { describe, expect, it } from 'vitest';
import { propose } from '../../scripts/deploy/propose.js';
import { adsDistribution, liveDistribution, vodDistribution } from './distributions.js';

describe('the proposal from a distribution', () => {
  it('guards the films and not the web page', () => {
    const { answers } = propose('E1', 'd1.cloudfront.net', vodDistribution());
    expect(answers).toEqual({
      distribution: 'E1',
      placement: { kind: 'path', mode: 'prefix', prefix: '/vod' },
      guarded: ['/vod/*'],
      open: [],
      cors: true,
      smoke: { url: 'https://d1.cloudfront.net', path: '/vod/ch1/segment-42.m4s' },
    });
  });

  it('sees MediaPackage behind an origin group', () => {
    expect(propose('E1', 'd1.cloudfront.net', liveDistribution()).answers.guarded).toEqual(['/live/*']);
  });

  it('guards whatever MediaTailor and MediaPackage serve, in a query since the paths share no beginning', () => {
    const { answers } = propose('E1', 'd1.cloudfront.net', adsDistribution());
    expect(answers.guarded).toEqual(['/tm/*', '/v1/*', 'default']);
    expect(answers.placement).toEqual({ kind: 'query' });
  });

  it('guards everything where nothing looks like media, by its own name where it has one', () => {
    const config = vodDistribution();
    config.CacheBehaviors = { Quantity: 0 };
    config.Aliases = { Quantity: 1, Items: ['cdn.example'] };
    const { answers } = propose('E1', 'd1.cloudfront.net', config);
    expect(answers.guarded).toEqual(['default']);
    expect(answers.placement).toEqual({ kind: 'path', mode: 'first' });
    expect(answers.smoke?.url).toBe('https://cdn.example');
  });
});
