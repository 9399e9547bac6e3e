import type { Track } from './fragments.js';

/** Segments that a live playlist shows: 12 s, of which a player starts 6 s behind the end. */
export const liveWindow = 6;
/** Nominal length of every segment, in seconds. */
export const segmentSeconds = 2;

/** HLS multivariant playlist (RFC 8216 4.3.4); every URI is relative, so a token in the path is inherited. */
export function multivariantPlaylist(tracks: readonly Track[]): string {
  const audio = tracks.find((track) => track.kind === 'audio');
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
  if (audio) {
    lines.push(
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="${audio.name}/index.m3u8"`,
    );
  }
  for (const video of tracks.filter((track) => track.kind === 'video')) {
    const codecs = [video.codecs, ...(audio ? [audio.codecs] : [])].join(',');
    lines.push(
      `#EXT-X-STREAM-INF:BANDWIDTH=${video.peakBandwidth + (audio?.peakBandwidth ?? 0)},AVERAGE-BANDWIDTH=${
        video.averageBandwidth + (audio?.averageBandwidth ?? 0)
      },RESOLUTION=${video.width}x${video.height},FRAME-RATE=25.000,CODECS="${codecs}"${audio ? ',AUDIO="sound"' : ''}`,
      `${video.name}/index.m3u8`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function mediaLines(track: Track, first: number, count: number): string[] {
  const lines: string[] = [];
  for (let number = first; number < first + count; number += 1) {
    const segment = track.segments[number % track.segments.length];
    if (segment) lines.push(`#EXTINF:${(segment.duration / track.timescale).toFixed(5)},`, `${number}.m4s`);
  }
  return lines;
}

export function vodPlaylist(track: Track): string {
  return [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${segmentSeconds}`,
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    '#EXT-X-MAP:URI="init.mp4"',
    ...mediaLines(track, 0, track.segments.length),
    '#EXT-X-ENDLIST',
    '',
  ].join('\n');
}

/** Number of the newest segment that is complete at a moment; the loop began at `epoch` (both in milliseconds). */
export function newestSegment(epoch: number, now: number): number {
  return Math.floor((now - epoch) / (segmentSeconds * 1000)) - 1;
}

export function livePlaylist(track: Track, epoch: number, now: number): string {
  const newest = newestSegment(epoch, now);
  const first = Math.max(0, newest - liveWindow + 1);
  return [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${segmentSeconds}`,
    `#EXT-X-MEDIA-SEQUENCE:${first}`,
    '#EXT-X-INDEPENDENT-SEGMENTS',
    '#EXT-X-MAP:URI="init.mp4"',
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(epoch + first * segmentSeconds * 1000).toISOString()}`,
    ...mediaLines(track, first, newest - first + 1),
    '',
  ].join('\n');
}

function representations(tracks: readonly Track[], kind: Track['kind']): string {
  const size = (track: Track): string =>
    track.kind === 'video'
      ? ` width="${track.width}" height="${track.height}" frameRate="25"`
      : ' audioSamplingRate="48000"';
  return tracks
    .filter((track) => track.kind === kind)
    .map(
      (track) =>
        `<Representation id="${track.name}" codecs="${track.codecs}" bandwidth="${track.peakBandwidth}"${size(track)}/>`,
    )
    .join('');
}

/** DASH manifest of the same segments (ISO/IEC 23009-1): `$Number$` with the nominal duration. */
export function dashManifest(tracks: readonly Track[], live: { readonly epoch: number } | undefined): string {
  const seconds = (tracks[0]?.duration ?? 0) / (tracks[0]?.timescale ?? 1);
  const root = live
    ? `type="dynamic" availabilityStartTime="${new Date(live.epoch).toISOString()}" publishTime="${new Date(
        live.epoch,
      ).toISOString()}" timeShiftBufferDepth="PT${liveWindow * segmentSeconds}S" suggestedPresentationDelay="PT6S" minimumUpdatePeriod="PT10S" profiles="urn:mpeg:dash:profile:isoff-live:2011"`
    : `type="static" mediaPresentationDuration="PT${seconds}S" profiles="urn:mpeg:dash:profile:isoff-live:2011"`;
  const template = `<SegmentTemplate timescale="1" duration="${segmentSeconds}" startNumber="0" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/$Number$.m4s"/>`;
  const sets = (['video', 'audio'] as const)
    .map(
      (kind, id) =>
        `<AdaptationSet id="${id}" contentType="${kind}" mimeType="${kind}/mp4" segmentAlignment="true" startWithSAP="1">${template}${representations(
          tracks,
          kind,
        )}</AdaptationSet>`,
    )
    .join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" minBufferTime="PT2S" ${root}><Period id="0" start="PT0S">${sets}</Period></MPD>
`;
}
