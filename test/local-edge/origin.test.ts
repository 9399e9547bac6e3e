import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readTrack, shiftSegment, type Track } from '../../scripts/local-edge/fragments.js';
import { readRange, readTracks, resourceFor } from '../../scripts/local-edge/origin.js';
import { projectFolder } from '../../scripts/local-edge/project.js';

const streamFolder = join(projectFolder(), 'scripts/local-edge/stream');
const epoch = 1_800_000_000_000;
let tracks: readonly Track[];
beforeAll(async () => {
  tracks = await readTracks(streamFolder);
});

const text = (path: string, now: number): string => resourceFor(tracks, path, epoch, now)?.bytes.toString('utf8') ?? '';

describe('the demo stream', () => {
  test('has two bitrates and sound, and is at most 3 MB', () => {
    expect(tracks.map(({ name, kind, codecs }) => [name, kind, codecs.split('.')[0]])).toEqual([
      ['audio', 'audio', 'mp4a'],
      ['video-360', 'video', 'avc1'],
      ['video-720', 'video', 'avc1'],
    ]);
    const bytes = tracks.flatMap((track) => track.segments).reduce((sum, segment) => sum + segment.bytes.length, 0);
    expect(bytes).toBeLessThan(3_000_000);
  });

  test('comes round after exactly 24 s on every track, without a gap between segments', () => {
    for (const track of tracks) {
      expect(track.duration / track.timescale).toBe(24);
      expect(track.segments).toHaveLength(12);
      let at = 0;
      for (const segment of track.segments) {
        expect(segment.start).toBe(at);
        at += segment.duration;
      }
    }
  });
});

describe('live playlists', () => {
  test('slide along with the clock, and hold only segments that can be had', () => {
    const now = epoch + 100_000;
    const playlist = text('/live/ch1/video-720/index.m3u8', now);
    expect(playlist).toContain('#EXT-X-MEDIA-SEQUENCE:44\n');
    expect(playlist).not.toContain('#EXT-X-ENDLIST');
    const numbers = [...playlist.matchAll(/^(\d+)\.m4s$/gm)].map((match) => Number(match[1]));
    expect(numbers).toEqual([44, 45, 46, 47, 48, 49]);
    for (const number of numbers) {
      expect(resourceFor(tracks, `/live/ch1/video-720/${number}.m4s`, epoch, now)).toBeDefined();
    }
    expect(resourceFor(tracks, '/live/ch1/video-720/50.m4s', epoch, now)).toBeUndefined();
    expect(resourceFor(tracks, '/live/ch1/video-720/3.m4s', epoch, now)).toBeUndefined();
    expect(text('/live/ch1/video-720/index.m3u8', now + 2000)).toContain('#EXT-X-MEDIA-SEQUENCE:45\n');
  });

  test('continue on one timeline when the loop comes round', () => {
    const now = epoch + 100_000;
    for (const name of ['audio', 'video-360']) {
      const track = tracks.find((candidate) => candidate.name === name) as Track;
      const segments = [46, 47, 48, 49].map(
        (number) => resourceFor(tracks, `/live/ch1/${name}/${number}.m4s`, epoch, now)?.bytes as Buffer,
      );
      const read = readTrack(name, track.init, segments).segments;
      for (const [i, segment] of read.entries()) {
        const previous = read[i - 1];
        if (previous) expect(segment.start).toBe(previous.start + previous.duration);
      }
      // 48 is the first segment of the fifth turn.
      expect(read[2]?.start).toBe(4 * track.duration);
    }
  });

  test('leave the segment as made untouched when moving it', () => {
    const segment = tracks[0]?.segments[1];
    if (!segment) throw new Error('no segment');
    const before = Buffer.from(segment.bytes);
    const moved = shiftSegment(segment.bytes, 1000, 7);
    expect(segment.bytes.equals(before)).toBe(true);
    expect(moved.length).toBe(before.length);
    expect(moved.equals(before)).toBe(false);
  });
});

describe('on-demand playlists', () => {
  test('hold one turn and end', () => {
    const playlist = text('/vod/film/audio/index.m3u8', epoch);
    expect(playlist.match(/#EXTINF/g)).toHaveLength(12);
    expect(playlist).toContain('#EXT-X-ENDLIST');
    expect(resourceFor(tracks, '/vod/film/audio/12.m4s', epoch, epoch)).toBeUndefined();
  });

  test('name only relative addresses, so that a token in the path is inherited', () => {
    for (const path of ['/live/ch1/master.m3u8', '/live/ch1/audio/index.m3u8', '/live/ch1/manifest.mpd']) {
      const playlist = text(path, epoch + 60_000);
      expect(playlist).not.toBe('');
      expect(playlist.replace('urn:mpeg:dash:schema:mpd:2011', '')).not.toMatch(/https?:|^\//m);
    }
  });
});

describe('what is not there', () => {
  test.each([
    '/',
    '/live',
    '/live/ch1',
    '/live//master.m3u8',
    '/live/ch1/../ch1/master.m3u8',
    '/live/ch1/video-720/01.m4s',
    '/live/ch1/video-720/-1.m4s',
    '/live/ch1/none/1.m4s',
    '/secret/master.m3u8',
    '/live/token/ch1/master.m3u8',
  ])('%s', (path) => {
    expect(resourceFor(tracks, path, epoch, epoch + 60_000)).toBeUndefined();
  });
});

test('ranges are read as RFC 9110 14.1.2 has them', () => {
  expect(readRange(undefined, 10)).toBeUndefined();
  expect(readRange('bytes=0-3', 10)).toEqual({ start: 0, end: 3 });
  expect(readRange('bytes=8-', 10)).toEqual({ start: 8, end: 9 });
  expect(readRange('bytes=8-99', 10)).toEqual({ start: 8, end: 9 });
  expect(readRange('bytes=-3', 10)).toEqual({ start: 7, end: 9 });
  expect(readRange('bytes=10-', 10)).toBeNull();
  expect(readRange('bytes=-0', 10)).toBeNull();
  expect(readRange('bytes=3-1', 10)).toBeUndefined();
  expect(readRange('bytes=0-1,3-4', 10)).toBeUndefined();
});

test('a decoder reads the stream across the loop without complaint', ({ skip }) => {
  if (spawnSync('ffmpeg', ['-version']).status !== 0) skip('ffmpeg is not installed');
  const now = epoch + 100_000;
  for (const track of tracks) {
    const bytes = [45, 46, 47, 48, 49].map(
      (number) => resourceFor(tracks, `/live/ch1/${track.name}/${number}.m4s`, epoch, now)?.bytes as Buffer,
    );
    const decoded = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', 'pipe:0', '-f', 'null', '-'], {
      input: Buffer.concat([track.init, ...bytes]),
    });
    expect(decoded.stderr.toString('utf8')).toBe('');
    expect(decoded.status).toBe(0);
  }
});
