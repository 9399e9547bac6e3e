import type { Cast } from './cast.js';
import type { DeviceProfile } from './devices.js';
import { attachToHosting } from './networks.js';
import type { Script } from './playback.js';

const botProfile: DeviceProfile = {
  name: 'bot',
  weight: 1,
  mobile: false,
  userAgents: [
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
    'Mozilla/5.0 zgrab/0.x',
    'python-requests/2.31.0',
    'Go-http-client/1.1',
    'curl/7.88.1',
  ],
  cmcd: 'none',
  cmcdShare: 0,
  streamingFormat: 'h',
  protocol: 'HTTP/1.1',
  browser: false,
  buffer: 0,
  accept: '*/*',
};

const probes: readonly { readonly path: string; readonly status: number }[] = [
  { path: '/robots.txt', status: 200 },
  { path: '/favicon.ico', status: 404 },
  { path: '/.env', status: 401 },
  { path: '/wp-login.php', status: 401 },
  { path: '/live/ch1/master.m3u8', status: 401 },
  { path: '/crossdomain.xml', status: 404 },
  { path: '/live/ch1/../../etc/passwd', status: 400 },
];

/** A crawler or scanner: no session, now and then a made-up token. */
export function bot(cast: Cast): Script {
  return botScript(cast);
}

function* botScript(cast: Cast): Script {
  const { random, stage, edge } = cast;
  const device = cast.device(botProfile, attachToHosting(random), { referer: '-' });
  let now = stage.from + random.between(0, stage.until - stage.from);
  const requests = random.integer(1, 30);
  for (let i = 0; i < requests && now < stage.until; i++) {
    yield now;
    if (random.chance(0.2)) {
      const garbage = Buffer.from(random.bytes(random.integer(3, 150))).toString('base64url');
      edge.stray(device, now, { path: `/live/${garbage}/ch1/master.m3u8`, status: 401 });
    } else {
      edge.stray(device, now, random.pick(probes));
    }
    now += random.exponential(random.chance(0.5) ? 300 : 8000);
  }
}
