import type { Cast, Party } from './cast.js';
import { captureProfiles, crowdProfiles, pickProfile, deviceProfile, type DeviceProfile } from './devices.js';
import { ladder } from './edge.js';
import type { AbuserKind } from './kinds.js';
import { attachToHosting, crowdCountries, networksOf, type Attachment } from './networks.js';
import { rip, type Script } from './playback.js';

const minute = 60_000;
const topRung = ladder.length - 1;

/** Someone in the crowd that a leech serves: at home or on a phone, somewhere. */
function crowdAttachment(cast: Cast): Attachment {
  const { random } = cast;
  const country = random.weighted(crowdCountries).country;
  if (random.chance(0.35) && networksOf('mobile', country).some((network) => network.country === country)) {
    return cast.mobile(country, { family: random.chance(0.4) ? 'ipv6' : 'ipv4', unpaired: random.chance(0.2) });
  }
  if (random.chance(0.06)) return attachToHosting(random, { shared: true });
  return cast.atHome(cast.home(country));
}

/** The moment abuse begins: for some long before the log does. */
function begins(cast: Cast, early: number): number {
  const { random, stage } = cast;
  return random.chance(early)
    ? stage.from - random.between(minute, 30 * minute)
    : stage.from + random.between(0, 0.4) * (stage.until - stage.from);
}

/** Friends, or a reseller's customers: a dozen to some dozens, in proper players or media players. */
function sharedSession(cast: Cast): Party {
  const { random, stage } = cast;
  const times = cast.times({ stays: true });
  const session = cast.session('shared-session', times, { abuser: true });
  const content = cast.content();
  const ownProfile = pickProfile(random, 'computer');
  const scripts: Script[] = [
    cast.watch(cast.device(ownProfile, cast.atHome(cast.home())), session, cast.plan(times, ownProfile, { content })),
  ];
  const from = Math.max(begins(cast, 0.5), times.joinAt + 30_000);
  const count = Math.round(Math.min(80, Math.max(10, random.logNormal(24, 0.5))));
  for (let i = 0; i < count; i++) {
    const profile = random.chance(0.5) ? random.weighted(crowdProfiles) : pickProfile(random, 'any');
    const joinAt = from + random.exponential(1.5 * minute);
    const joining = { joinAt, leaveAt: Math.max(joinAt, stage.from) + minute + random.exponential(30 * minute) };
    scripts.push(
      cast.watch(
        cast.device(profile, crowdAttachment(cast), { abuses: true }),
        session,
        cast.plan(joining, profile, { content, from: { behindLive: stage.segmentMilliseconds * 4 } }),
      ),
    );
  }
  return { sessions: [session], scripts };
}

/** A pirate page: its visitors come and go, in browsers, many at a time. */
function leechFarm(cast: Cast): Party {
  const { random, stage } = cast;
  const times = cast.times({ stays: true });
  const session = cast.session('leech-farm', times, { abuser: true });
  const content = 'ch1';
  const referer = random.chance(0.5) ? `https://live-${random.hex(5)}.example.net/` : '-';
  const from = begins(cast, 0.6);
  const crowd = Math.round(Math.min(300, Math.max(40, random.logNormal(90, 0.5))));
  const scripts: Script[] = [];
  for (let i = 0; i < crowd; i++) {
    const profile: DeviceProfile = random.chance(0.8) ? deviceProfile('web-hls') : pickProfile(random, 'mobile');
    const joinAt = from + random.between(0, Math.max(minute, stage.until - from));
    const settled = i < crowd / 2 ? from + random.exponential(minute) : joinAt;
    const joining = { joinAt: settled, leaveAt: Math.max(settled, stage.from) + random.exponential(12 * minute) };
    scripts.push(
      cast.watch(
        // The page's own player: CMCD only if its maker left it on.
        cast.device(profile, crowdAttachment(cast), { abuses: true, referer, reports: random.chance(0.25) }),
        session,
        cast.plan(joining, profile, { content, from: { behindLive: stage.segmentMilliseconds * 4 } }),
      ),
    );
  }
  return { sessions: [session], scripts };
}

/** An honest start; then the URL stands in a forum, and readers try it for minutes. */
function forumToken(cast: Cast): Party {
  const { random, stage } = cast;
  const times = cast.times({ stays: true });
  // Only a token that lives long is worth pasting.
  const session = cast.session('forum-token', times, { abuser: true, longLived: true });
  const content = cast.content();
  const ownProfile = pickProfile(random, 'computer');
  const scripts: Script[] = [
    cast.watch(cast.device(ownProfile, cast.atHome(cast.home())), session, cast.plan(times, ownProfile, { content })),
  ];
  const pastedAt = Math.max(begins(cast, 0.3), times.joinAt + 20_000);
  const crowd = Math.round(Math.min(200, Math.max(20, random.logNormal(60, 0.5))));
  for (let i = 0; i < crowd; i++) {
    // Most clicks come in the first minutes after a post.
    const joinAt = pastedAt + random.exponential(2.5 * minute);
    const profile = random.chance(0.7) ? random.weighted(crowdProfiles) : deviceProfile('web-hls');
    const stays = random.chance(0.5) ? random.exponential(2 * minute) : random.exponential(20 * minute);
    scripts.push(
      cast.watch(
        cast.device(profile, crowdAttachment(cast), { abuses: true, referer: '-', reports: false }),
        session,
        cast.plan({ joinAt, leaveAt: Math.max(joinAt, stage.from) + 30_000 + stays }, profile, {
          content,
          from: { behindLive: stage.segmentMilliseconds * 4 },
        }),
      ),
    );
  }
  return { sessions: [session], scripts };
}

/** One to three programs in rented servers, the second and third as reserve, all on the highest rendition. */
function reStreamer(cast: Cast): Party {
  const { random, stage } = cast;
  const times = cast.times({ stays: true });
  const session = cast.session('re-streamer', times, { abuser: true });
  const pullers = random.weighted([
    { count: 1, weight: 25 },
    { count: 2, weight: 45 },
    { count: 3, weight: 30 },
  ]).count;
  const from = begins(cast, 0.8);
  const scripts: Script[] = [];
  for (let i = 0; i < pullers; i++) {
    const profile = random.weighted(captureProfiles);
    scripts.push(
      cast.watch(
        cast.device(profile, attachToHosting(random), { abuses: true }),
        session,
        cast.plan({ joinAt: from + i * random.between(1000, 20_000), leaveAt: times.leaveAt }, profile, {
          content: 'ch1',
          from: { behindLive: stage.segmentMilliseconds * 3.2 },
          fixedRung: topRung,
          turns: [],
        }),
      ),
    );
  }
  return { sessions: [session], scripts };
}

/** A sold account: each buyer signs in and gets a session of their own, on their own line. */
function credentialSharing(cast: Cast): Party {
  const { random } = cast;
  const subject = cast.account();
  const buyers = Math.round(Math.min(40, Math.max(7, random.logNormal(13, 0.4))));
  const sessions = [];
  const scripts: Script[] = [];
  for (let i = 0; i < buyers; i++) {
    const times = cast.times();
    const profile = pickProfile(random);
    const country = cast.country();
    const attachment = random.chance(0.8) ? cast.atHome(cast.home(country)) : cast.mobile(country);
    const session = cast.session('credential-sharing', times, { subject, abuser: true });
    sessions.push(session);
    scripts.push(cast.watch(cast.device(profile, attachment, { abuses: true }), session, cast.plan(times, profile)));
  }
  return { sessions, scripts };
}

function ripper(cast: Cast): Party {
  const { random, stage } = cast;
  const startAt = begins(cast, 0.25);
  const session = cast.session('ripper', { joinAt: startAt, leaveAt: stage.until }, { abuser: true });
  const attachment = random.chance(0.45)
    ? attachToHosting(random)
    : random.chance(0.15)
      ? attachToHosting(random, { shared: true })
      : cast.atHome(cast.home());
  const device = cast.device(random.weighted(captureProfiles), attachment, { abuses: true });
  const available = Math.floor((stage.from - stage.beganAt) / stage.segmentMilliseconds);
  // Those who came before the log are somewhere in the middle of it.
  // The best picture that the line brings several times faster than it plays; else why rip.
  const wanted = ladder.findLastIndex((rate) => attachment.throughput / (rate * 1000) >= 4);
  const fromSegment = startAt < stage.from ? Math.floor(available * random.between(0.1, 0.5)) : 0;
  return {
    sessions: [session],
    scripts: [
      rip(cast.edge, device, session, {
        content: 'ch1',
        startAt: Math.max(startAt, stage.from),
        fromSegment,
        toSegment: Number.POSITIVE_INFINITY,
        connections: random.pick([4, 8, 8, 16]),
        rung: Math.max(0, wanted),
      }),
    ],
  };
}

/** How each kind of abuse is made. */
export const abusers: Readonly<Record<AbuserKind, (cast: Cast) => Party>> = {
  'shared-session': sharedSession,
  'leech-farm': leechFarm,
  'forum-token': forumToken,
  're-streamer': reStreamer,
  'credential-sharing': credentialSharing,
  ripper,
};
