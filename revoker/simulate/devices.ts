import type { Random } from './random.js';

/** How a player reports Common Media Client Data (CTA-5004), if it does. */
export type CmcdMode = 'none' | 'query' | 'query-v2' | 'headers';

export interface DeviceProfile {
  readonly name: string;
  readonly weight: number;
  readonly mobile: boolean;
  readonly userAgents: readonly string[];
  readonly cmcd: CmcdMode;
  /** Share of installations that report: old app versions and content blockers take some away. */
  readonly cmcdShare: number;
  readonly streamingFormat: 'h' | 'd';
  readonly protocol: 'HTTP/1.1' | 'HTTP/2.0' | 'HTTP/3.0';
  /** Browsers send a Referer and, with CMCD in headers, preflights. */
  readonly browser: boolean;
  /** Seconds of media the player keeps ahead where the stream lets it. */
  readonly buffer: number;
  readonly accept: string;
}

const chrome = (platform: string, version: number): string =>
  `Mozilla/5.0 (${platform}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version}.0.0.0 Safari/537.36`;

/*
 * The mix of a sports broadcast in Europe and the Americas: televisions lead in hours watched, phones in sessions
 * (yearly reports of video analytics firms agree within a few points). Player behaviour from the players' own sources:
 * hls.js keeps 30 s ahead by default, dash.js 20 s and more on stable links, televisions more; AVPlayer reports no
 * CMCD unless asked to.
 */
export const deviceProfiles: readonly DeviceProfile[] = [
  {
    name: 'web-hls',
    weight: 18,
    mobile: false,
    userAgents: [
      chrome('Windows NT 10.0; Win64; x64', 148),
      chrome('Windows NT 10.0; Win64; x64', 147),
      chrome('Macintosh; Intel Mac OS X 10_15_7', 148),
      chrome('X11; Linux x86_64', 148),
      `${chrome('Windows NT 10.0; Win64; x64', 148)} Edg/148.0.0.0`,
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0',
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0',
    ],
    cmcd: 'query',
    cmcdShare: 0.985,
    streamingFormat: 'h',
    protocol: 'HTTP/2.0',
    browser: true,
    buffer: 30,
    accept: '*/*',
  },
  {
    name: 'web-dash',
    weight: 7,
    mobile: false,
    userAgents: [
      chrome('Windows NT 10.0; Win64; x64', 148),
      chrome('Macintosh; Intel Mac OS X 10_15_7', 148),
      chrome('X11; CrOS x86_64 14541.0.0', 147),
    ],
    cmcd: 'query-v2',
    cmcdShare: 0.985,
    streamingFormat: 'd',
    protocol: 'HTTP/3.0',
    browser: true,
    buffer: 20,
    accept: '*/*',
  },
  {
    name: 'android',
    weight: 22,
    mobile: true,
    userAgents: [
      'MatchdayApp/9.4.1 (Linux;Android 15) AndroidXMedia3/1.7.1',
      'MatchdayApp/9.4.1 (Linux;Android 14) AndroidXMedia3/1.7.1',
      'MatchdayApp/9.3.0 (Linux;Android 14) AndroidXMedia3/1.6.0',
      'MatchdayApp/9.4.1 (Linux;Android 13) AndroidXMedia3/1.7.1',
    ],
    cmcd: 'headers',
    cmcdShare: 0.96,
    streamingFormat: 'd',
    protocol: 'HTTP/2.0',
    browser: false,
    buffer: 30,
    accept: '*/*',
  },
  {
    name: 'ios',
    weight: 19,
    mobile: true,
    userAgents: [
      'AppleCoreMedia/1.0.0.23A341 (iPhone; U; CPU OS 26_0 like Mac OS X; en_us)',
      'AppleCoreMedia/1.0.0.22H124 (iPhone; U; CPU OS 18_6 like Mac OS X; en_gb)',
      'AppleCoreMedia/1.0.0.23A341 (iPad; U; CPU OS 26_0 like Mac OS X; de_de)',
    ],
    cmcd: 'none',
    cmcdShare: 0,
    streamingFormat: 'h',
    protocol: 'HTTP/2.0',
    browser: false,
    buffer: 40,
    accept: '*/*',
  },
  {
    name: 'tizen',
    weight: 10,
    mobile: false,
    userAgents: [
      'Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) 94.0.4606.31/7.0 TV Safari/537.36',
      'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36',
    ],
    cmcd: 'query',
    cmcdShare: 0.9,
    streamingFormat: 'd',
    protocol: 'HTTP/1.1',
    browser: true,
    buffer: 60,
    accept: '*/*',
  },
  {
    name: 'webos',
    weight: 6,
    mobile: false,
    userAgents: [
      'Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.211 Safari/537.36 WebAppManager',
      'Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager',
    ],
    cmcd: 'none',
    cmcdShare: 0,
    streamingFormat: 'd',
    protocol: 'HTTP/1.1',
    browser: true,
    buffer: 60,
    accept: '*/*',
  },
  {
    name: 'fire-tv',
    weight: 8,
    mobile: false,
    userAgents: [
      'MatchdayTV/5.2.0 (Linux;Android 11) AndroidXMedia3/1.7.1',
      'MatchdayTV/5.1.3 (Linux;Android 9) AndroidXMedia3/1.5.1',
    ],
    cmcd: 'headers',
    cmcdShare: 0.96,
    streamingFormat: 'd',
    protocol: 'HTTP/2.0',
    browser: false,
    buffer: 50,
    accept: '*/*',
  },
  {
    name: 'apple-tv',
    weight: 4,
    mobile: false,
    userAgents: ['AppleCoreMedia/1.0.0.23J352 (Apple TV; U; CPU OS 26_0 like Mac OS X; en_us)'],
    cmcd: 'none',
    cmcdShare: 0,
    streamingFormat: 'h',
    protocol: 'HTTP/2.0',
    browser: false,
    buffer: 60,
    accept: '*/*',
  },
  {
    name: 'roku',
    weight: 6,
    mobile: false,
    userAgents: ['Roku/DVP-14.5 (14.5.4.5934-46)', 'Roku/DVP-15.0 (15.0.4.2217-88)'],
    cmcd: 'none',
    cmcdShare: 0,
    streamingFormat: 'h',
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 45,
    accept: '*/*',
  },
];

const byName = new Map(deviceProfiles.map((profile) => [profile.name, profile]));

export function deviceProfile(name: string): DeviceProfile {
  const profile = byName.get(name);
  if (!profile) throw new RangeError(`no device profile is called ${name}`);
  return profile;
}

/** Any device, or only those of one sort. */
export function pickProfile(random: Random, sort: 'any' | 'mobile' | 'television' | 'computer' = 'any'): DeviceProfile {
  if (sort === 'any') return random.weighted(deviceProfiles);
  return random.weighted(
    deviceProfiles.filter((profile) =>
      sort === 'mobile'
        ? profile.mobile
        : sort === 'computer'
          ? profile.name.startsWith('web-')
          : !profile.mobile && !profile.name.startsWith('web-'),
    ),
  );
}

const otherPlayer = {
  weight: 1,
  mobile: false,
  cmcd: 'none',
  cmcdShare: 0,
  streamingFormat: 'h',
  accept: '*/*',
} as const;

/** What leeches' viewers run: media players and re-hosted web pages. */
export const crowdProfiles: readonly DeviceProfile[] = [
  {
    ...otherPlayer,
    name: 'vlc',
    weight: 4,
    userAgents: ['VLC/3.0.21 LibVLC/3.0.21', 'VLC/3.0.20 LibVLC/3.0.20'],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 10,
  },
  {
    ...otherPlayer,
    name: 'iptv-app',
    weight: 4,
    userAgents: ['TiviMate/5.1.6 (Android 12)', 'IPTVSmartersPlayer', 'okhttp/4.12.0'],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 20,
  },
  {
    ...otherPlayer,
    name: 'kodi',
    weight: 2,
    userAgents: ['Kodi/21.2 (Linux; Android 11) Android/11 Version/21.2'],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 20,
  },
];

/** Programs that save or forward a stream. */
export const captureProfiles: readonly DeviceProfile[] = [
  {
    ...otherPlayer,
    name: 'ffmpeg',
    weight: 5,
    userAgents: ['Lavf/60.16.100', 'Lavf/61.7.100', 'Lavf/58.76.100'],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 18,
  },
  {
    ...otherPlayer,
    name: 'streamlink',
    weight: 2,
    userAgents: [chrome('Windows NT 10.0; Win64; x64', 138)],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 18,
  },
  {
    ...otherPlayer,
    name: 'yt-dlp',
    weight: 3,
    userAgents: [chrome('Windows NT 10.0; Win64; x64', 131), chrome('Windows NT 10.0; Win64; x64', 129)],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 18,
  },
  {
    ...otherPlayer,
    name: 'n-m3u8dl',
    weight: 2,
    userAgents: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.0.0 Safari/537.36',
    ],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 18,
  },
  {
    ...otherPlayer,
    name: 'python',
    weight: 2,
    userAgents: ['python-requests/2.32.3', 'aiohttp/3.10.10', 'curl/8.10.1'],
    protocol: 'HTTP/1.1',
    browser: false,
    buffer: 18,
  },
];
