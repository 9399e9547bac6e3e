import type { StoreDouble } from '../../scripts/engine/index.js';
import { keyRecord, revocationBucket, revocationPlace } from '../engine/token-maker.js';
import { NOW, secretOf } from '../verdicts/requests.js';
import type { Random } from './random.js';

export const kids = ['main', 'other', '', 'tenant-a', 'tenant-b', 'logged', 'off', 'es', 'spare'] as const;
export const subjects = ['alice', 'mallory', 'eve', 'bob', 'J\u00f6rg'] as const;
export const handles = [1, 2, 3, 4].map((byte) => Buffer.alloc(16, byte));
export const tokenIds = ['id-1', 'id-2', 'id-3', 'a:b'].map((text) => Buffer.from(text));
export const blocked = ['one', 'two'].map((text) => Buffer.from(text));
export const contents = ['ch1', 'ch2', 'dark', 'framed', 'a'] as const;

export interface RandomStore extends StoreDouble {
  /** Whether `verifyRequest` can be given the same: every key well-formed and enforced, and nothing fails. */
  readonly plain: boolean;
}

const issuers: Readonly<Record<string, string>> = { 'tenant-a': 'tenant-a', 'tenant-b': 'tenant-b' };

/** What a key's record says beside the key. */
export const scopeOf = (kid: string): { iss?: string[]; paths?: `/${string}`[] } =>
  issuers[kid] ? { iss: [kid], paths: [`/echo/${kid === 'tenant-a' ? 'a' : 'ch2'}`] } : {};

function revocations(random: Random): Record<string, string> {
  const buckets: Record<string, string[]> = {};
  const add = (scope: string, id: string): void => {
    const { key, fingerprint } = revocationPlace(scope, id);
    const moment = (NOW + random.pick([-100, 0, 100])).toString(36);
    (buckets[key] ??= []).push(fingerprint + random.pick(['', '', `<${moment}`, `~${moment}`]));
  };
  const sometimes = (scope: string, id: string): void => {
    if (random.chance(0.2)) add(scope, id);
  };
  for (const id of tokenIds) {
    sometimes('t', id.toString('base64url'));
    sometimes('t', id.toString());
  }
  for (const id of handles) sometimes('s', id.toString('base64url'));
  for (const id of subjects) {
    sometimes('u', id);
    for (const content of contents) if (random.chance(0.3)) sometimes('x', `${id}\n${content}`);
  }
  for (const content of contents) if (random.chance(0.3)) sometimes('c', content);
  for (const id of blocked) sometimes('p', id.toString('base64url'));
  return Object.fromEntries(
    Object.entries(buckets).flatMap(([key, ours]) => {
      const text = revocationBucket(random.below(4), ours);
      if (!random.chance(0.1)) return [[key, text]];
      // An overfull bucket goes on in another key, which repeats the last entry.
      const cut = text.lastIndexOf(',');
      const last = text.slice(0, cut).lastIndexOf(',');
      return [
        [key, `+${text.slice(0, cut)}`],
        [`${key}+`, random.chance(0.8) ? text.slice(Math.max(last, 0)) : random.pick(['', 'torn', '+'])],
      ];
    }),
  );
}

function blackoutRecord(random: Random): string {
  const places = {
    ...(random.chance(0.6) ? { country: random.some(['US', 'DE', 'MX'], 2) } : {}),
    ...(random.chance(0.3) ? { region: [random.pick(['US-CA', 'US-NY'])] } : {}),
    ...(random.chance(0.2) ? { metro: ['807'] } : {}),
    ...(random.chance(0.2) ? { postal: ['94110'] } : {}),
  };
  return JSON.stringify({
    [random.pick(['deny', 'deny', 'allow'])]: places,
    ...(random.chance(0.3) ? { from: NOW + random.pick([-10, 10]) } : {}),
    ...(random.chance(0.3) ? { until: NOW + random.pick([-5, 20]) } : {}),
    ...(random.chance(0.3) ? { onUnknown: random.pick(['allow', 'refuse']) } : {}),
    ...(random.chance(0.5) ? { slate: '/slate/index.m3u8' } : {}),
  });
}

const brokenValues = ['', '{', 'null', '5', '"text"', '[]', '{}', '{"alg":"HS256"}', '{"alg":"HS256","k":"AAAA"}'];

/** A KeyValueStore: mostly in order, sometimes not. */
export function randomStore(random: Random): RandomStore {
  const entries: Record<string, string> = {};
  let plain = true;
  for (const kid of kids) {
    if (random.chance(0.04)) continue;
    const mode =
      kid === 'logged' || kid === 'off' || random.chance(0.03)
        ? {
            mode: kid === 'off' ? 'off' : random.pick(['log', 'enforce', 'LOG']),
            until: NOW + random.pick([-1, 0, 30]),
          }
        : {};
    if ('mode' in mode && kid !== 'logged' && kid !== 'off') plain = false;
    entries[`k:${kid}`] =
      kid === 'es'
        ? JSON.stringify({ alg: 'ES256', k: Buffer.alloc(91, 1).toString('base64url') })
        : keyRecord(secretOf(kid), { ...scopeOf(kid), ...mode });
    if (random.chance(0.015)) {
      entries[`k:${kid}`] = random.pick(brokenValues);
      plain = false;
    }
  }
  Object.assign(entries, revocations(random));
  for (const content of contents)
    if (random.chance(content === 'dark' ? 0.8 : 0.1))
      entries[`b:${content}`] = random.chance(0.97) ? blackoutRecord(random) : random.pick(brokenValues);
  if (random.chance(0.1)) {
    entries['m:'] = JSON.stringify({ mode: random.pick(['log', 'off', 'enforce']), until: NOW + 5 });
    plain = false;
  }
  if (random.chance(0.5)) entries['x:cafe'] = Buffer.from('spki of a client').toString('base64url');
  const fails = (patterns: readonly string[]): readonly string[] => random.some(patterns, 1);
  if (!random.chance(0.1)) return { entries, plain };
  return {
    entries,
    plain: false,
    getFails: fails(['k:main', 'r*', 'b:*', 'x:*', 'k:*', 'm:']),
    ...(random.chance(0.5) ? { existsFails: fails(['k:*', 'r*', 'b:*', 'x:*', 'm:']) } : {}),
  };
}
