import { expect, test } from 'vitest';
import { patternMatches } from '../../scripts/local-edge/behaviors.js';
import { wrapFunction } from '../../scripts/local-edge/worker.js';

test.each([
  ['*', '/anything/at/all', true],
  ['/live/*', '/live/', true],
  ['/live/*', '/live', false],
  ['live/*', '/live/ch1', true],
  ['/live/*', '/LIVE/ch1', false],
  ['/live/*', '/x/../live/ch1', false],
  ['/live/*', '/%6cive/ch1', false],
  ['/*.m3u8', '/live/ch1/master.m3u8', true],
  ['/*.m3u8', '/live/ch1/master.m3u8;CAT=x', false],
  ['/a?c', '/abc', true],
  ['/a?c', '/ac', false],
  ['/*/ch1/*', '/token/ch1/ch1/x', true],
  ['/a*b*c', '/aXbYbZc', true],
  ['/a*b*c', '/aXbYbZ', false],
])('the pattern %s on the path %s: %s', (pattern, path, matches) => {
  expect(patternMatches(pattern, path)).toBe(matches);
});

test('a compiled function is wrapped whether it is minified or not', () => {
  for (const source of [
    "import cf from 'cloudfront';\nfunction handler() {}",
    'import e from"cloudfront";function handler(){}',
    'function a(){}import e from"cloudfront";function handler(){}',
    '"use strict";import $e from"cloudfront";function handler(){}',
    "\n\n  import cf from 'cloudfront'\nfunction handler() {}",
  ]) {
    expect(wrapFunction(source, 'viewer-request')).toMatch(/const (cf|e|\$e) = __cloudfront;/);
  }
});

test('a file that CloudFront would not start is refused with the reason', () => {
  expect(() => wrapFunction('function handler() {}\nexport { handler };', 'viewer-request')).toThrow(/export is left/);
  expect(() => wrapFunction('function handler(){}export{handler};', 'viewer-request')).toThrow(/export is left/);
  expect(() => wrapFunction("import fs from 'fs';\nfunction handler() {}", 'viewer-request')).toThrow(
    /only 'cloudfront'/,
  );
  expect(() => wrapFunction("import {kvs} from 'cloudfront';\nfunction handler() {}", 'f')).toThrow(
    /only 'cloudfront'/,
  );
});
