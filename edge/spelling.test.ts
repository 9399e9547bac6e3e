import { expect, it } from 'vitest';
import { toEventRequest } from './event.js';
import { misspelling } from './spelling.js';

it.each([
  ['AAAA', undefined],
  ['AAAA==', undefined],
  ['AAA%3D', undefined],
  ['AA%3d%3d', undefined],
  ['AB', 'malformed_token'],
  ['AB%3d', 'malformed_token'],
  ['AAAAA', 'malformed_token'],
  ['AAAA.AAAA.AA', undefined],
  ['AAAA.AAAA.AA%3d', undefined],
  ['AAAA.AAAA.AB', 'bad_signature'],
  ['AAAA.AB.AA', 'malformed_token'],
])('%s is spelled as its bytes are, or not: %s', (token, wrong) => {
  expect(misspelling(token)).toBe(wrong);
});

it('what a viewer names after members of every object is his, and nothing is inherited', () => {
  const names = ['__proto__', 'constructor', 'toString'];
  const request = {
    clientIp: '203.0.113.9',
    method: 'GET',
    uri: '/',
    querystring: names.map((name) => `${name}=1`).join('&'),
    headers: { cookie: [{ value: names.map((name) => `${name}=1`).join('; ') }] },
  };
  const asked = toEventRequest(request, { eventType: 'origin-request' });
  for (const values of [asked.querystring, asked.cookies])
    expect(Object.keys(values).sort()).toEqual([...names].sort());
  expect(names.map((name) => asked.headers[name])).toEqual([undefined, undefined, undefined]);
});
