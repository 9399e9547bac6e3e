import type { Cast, Party } from './cast.js';
import { pickProfile } from './devices.js';
import type { LookAlikeKind } from './kinds.js';
import {
  attachToHome,
  attachToHosting,
  attachToMobile,
  attachToProxy,
  attachToRelay,
  bond,
  networksOf,
  type Attachment,
} from './networks.js';
import type { Turn } from './playback.js';

const minute = 60_000;

/** The plain case: one device on one line, at home, on a mobile network or on a campus. */
export function ordinaryViewer(cast: Cast): Party {
  const { random } = cast;
  const country = cast.country();
  const profile = pickProfile(random);
  const where = random.unit();
  let attachment: Attachment;
  if (profile.mobile && where < 0.45) {
    attachment = cast.mobile(country, { family: random.chance(0.6) ? 'ipv6' : 'ipv4' });
  } else if (where > 0.97) {
    attachment = cast.atHome(cast.home(country, random.chance(0.7) ? 'campus' : 'enterprise'));
  } else {
    attachment = cast.atHome(cast.home(country));
  }
  const times = cast.times();
  const session = cast.session('viewer', times);
  return {
    sessions: [session],
    scripts: [cast.watch(cast.device(profile, attachment), session, cast.plan(times, profile))],
  };
}

/** Moves between networks at random, `mean` milliseconds apart, at most `limit` times. */
function moves(cast: Cast, from: number, until: number, mean: number, limit: number, to: () => Attachment): Turn[] {
  const turns: Turn[] = [];
  let at = Math.max(from, cast.stage.from) + cast.random.exponential(mean);
  while (at < Math.min(until, cast.stage.until) && turns.length < limit) {
    turns.push({ at, what: 'move', to: to() });
    at += 5000 + cast.random.exponential(mean);
  }
  return turns;
}

const byTime = (turns: readonly Turn[]): Turn[] => [...turns].sort((one, other) => one.at - other.at);

function handOver(cast: Cast): Party {
  const { random } = cast;
  const country = cast.country();
  const home = cast.home(country);
  const wifi = cast.atHome(home);
  const mobile = cast.mobile(country, { family: random.chance(0.5) ? 'ipv6' : 'ipv4' });
  const startsAtHome = random.chance(0.5);
  const times = cast.times({ stays: true });
  const profile = pickProfile(random, 'mobile');
  const session = cast.session('hand-over', times);
  let atHome = startsAtHome;
  const turns = moves(cast, times.joinAt, times.leaveAt, 4 * minute, random.integer(1, 2), () => {
    atHome = !atHome;
    return atHome ? wifi : mobile;
  });
  const device = cast.device(profile, startsAtHome ? wifi : mobile);
  return { sessions: [session], scripts: [cast.watch(device, session, cast.plan(times, profile, { turns }))] };
}

function commuter(cast: Cast): Party {
  const { random } = cast;
  const country = cast.country();
  // On-board Wi-Fi bonds modems behind a carrier NAT; tunnels throw phones back to their own network.
  const train = attachToMobile(random.pick(networksOf('mobile', country)), random, { unpaired: true });
  const own = cast.mobile(country);
  const times = cast.times({ stays: true });
  const profile = pickProfile(random, 'mobile');
  const session = cast.session('commuter', times);
  let onTrain = true;
  const turns = byTime([
    ...moves(cast, times.joinAt, times.leaveAt, 1.5 * minute, 8, () => {
      onTrain = !onTrain;
      return onTrain ? train : own;
    }),
    ...cast.pauses(times, 4 * minute),
  ]);
  return {
    sessions: [session],
    scripts: [cast.watch(cast.device(profile, train), session, cast.plan(times, profile, { turns }))],
  };
}

function household(cast: Cast): Party {
  const { random } = cast;
  const home = cast.home();
  const subject = cast.account();
  const sessions = [];
  const scripts = [];
  const count = random.weighted([
    { count: 2, weight: 6 },
    { count: 3, weight: 3 },
    { count: 4, weight: 1 },
  ]).count;
  for (let i = 0; i < count; i++) {
    const times = cast.times();
    const profile = pickProfile(random, i === 0 ? 'television' : 'any');
    const session = cast.session('household', times, { subject });
    sessions.push(session);
    scripts.push(cast.watch(cast.device(profile, cast.atHome(home)), session, cast.plan(times, profile)));
  }
  return { sessions, scripts };
}

function family(cast: Cast): Party {
  const { random } = cast;
  const country = cast.country();
  const subject = cast.account();
  const places = random.weighted([
    { count: 2, weight: 7 },
    { count: 3, weight: 3 },
  ]).count;
  const sessions = [];
  const scripts = [];
  for (let i = 0; i < places; i++) {
    const times = cast.times();
    const profile = pickProfile(random);
    const attachment =
      i > 0 && random.chance(0.4)
        ? cast.mobile(country)
        : cast.atHome(
            cast.home(
              random.chance(0.92) ? country : cast.country(),
              i > 0 && random.chance(0.3) ? 'campus' : 'broadband',
            ),
          );
    const session = cast.session('family', times, { subject });
    sessions.push(session);
    scripts.push(cast.watch(cast.device(profile, attachment), session, cast.plan(times, profile)));
  }
  return { sessions, scripts };
}

function bondedLink(cast: Cast): Party {
  const { random } = cast;
  const country = cast.country();
  const links: Attachment[] = [cast.atHome(cast.home(country)), cast.mobile(country)];
  if (random.chance(0.5))
    links.push(attachToMobile(random.pick(networksOf('mobile', country)), random, { family: 'ipv6' }));
  if (random.chance(0.2)) links.push(cast.atHome(cast.home(country, 'carrier-nat')));
  return cast.single('bonded-link', bond(links, random));
}

function casting(cast: Cast): Party {
  const { random, stage } = cast;
  const country = cast.country();
  const home = cast.home(country);
  const times = cast.times({ stays: true });
  const session = cast.session('casting', times);
  const handsOverAt =
    Math.max(times.joinAt, stage.from) + random.between(0.1, 0.7) * (stage.until - Math.max(times.joinAt, stage.from));
  const overlap = random.between(3000, 25_000);
  const phone = pickProfile(random, 'mobile');
  const television = pickProfile(random, 'television');
  const onPhone = random.chance(0.9) ? cast.atHome(home) : cast.mobile(country);
  const content = cast.content();
  const live = { from: { behindLive: stage.segmentMilliseconds * 3.5 }, turns: [], content };
  return {
    sessions: [session],
    scripts: [
      cast.watch(
        cast.device(phone, onPhone),
        session,
        cast.plan({ ...times, leaveAt: handsOverAt + overlap }, phone, live),
      ),
      cast.watch(
        cast.device(television, cast.atHome(home)),
        session,
        cast.plan({ joinAt: handsOverAt, leaveAt: times.leaveAt }, television, live),
      ),
    ],
  };
}

function twoTabs(cast: Cast): Party {
  const { random } = cast;
  const times = cast.times();
  const session = cast.session('two-tabs', times);
  const profile = pickProfile(random, 'computer');
  const attachment = cast.atHome(cast.home());
  const second = {
    joinAt: Math.max(times.joinAt, cast.stage.from) + random.between(0, 4 * minute),
    leaveAt: times.leaveAt,
  };
  const content = cast.content();
  return {
    sessions: [session],
    scripts: [times, second].map((when) =>
      cast.watch(cast.device(profile, attachment), session, cast.plan(when, profile, { content })),
    ),
  };
}

function seeker(cast: Cast): Party {
  const { random, stage } = cast;
  const times = cast.times({ stays: true });
  const profile = pickProfile(random);
  const session = cast.session('seeker', times);
  const turns: Turn[] = [];
  const span = stage.from - stage.beganAt;
  // Watches a goal again and again, looks for another: jumps of seconds and of many minutes.
  let at = Math.max(times.joinAt, stage.from) + random.exponential(45_000);
  let place = random.between(0, span);
  while (at < stage.until) {
    place = random.chance(0.6) ? Math.max(0, place - random.between(10_000, 60_000)) : random.between(0, span);
    turns.push({ at, what: 'seek', to: place });
    at += 2000 + random.exponential(35_000);
  }
  return {
    sessions: [session],
    scripts: [
      cast.watch(cast.device(profile, cast.atHome(cast.home())), session, cast.plan(times, profile, {
        from: { position: place },
        turns,
        playbackRate: random.pick([1, 1, 1, 1.25, 1.5, 2]),
      })),
    ],
  }; // prettier-ignore
}

function multiView(cast: Cast): Party {
  const times = cast.times();
  const session = cast.session('multi-view', times);
  const profile = pickProfile(cast.random, 'computer');
  const attachment = cast.atHome(cast.home());
  return {
    sessions: [session],
    scripts: ['ch1', 'ch2', 'ch3', 'ch4'].map((content) =>
      cast.watch(cast.device(profile, attachment), session, cast.plan(times, profile, { content, topRung: 3 })),
    ),
  };
}

/** How each look-alike is made. */
export const lookAlikes: Readonly<Record<LookAlikeKind, (cast: Cast) => Party>> = {
  'carrier-nat': (cast) => {
    const { random } = cast;
    return cast.single(
      'carrier-nat',
      cast.mobile(cast.country(), { unpaired: true, family: random.chance(0.3) ? 'dual' : 'ipv4' }),
      'mobile',
    );
  },
  'shared-address': (cast) =>
    cast.single('shared-address', attachToHome(cast.home(cast.country(), 'carrier-nat'), cast.random)),
  'ipv6-privacy': (cast) =>
    cast.single('ipv6-privacy', attachToHome(cast.home(), cast.random, 'ipv6', { rotateIdentifier: true })),
  'dual-stack': (cast) => cast.single('dual-stack', attachToHome(cast.home(), cast.random, 'dual')),
  'hand-over': handOver,
  commuter,
  household,
  family,
  'corporate-proxy': (cast) => cast.single('corporate-proxy', attachToProxy(cast.country(), cast.random), 'computer'),
  relay: (cast) => cast.single('relay', attachToRelay(cast.country(), cast.random)),
  vpn: (cast) => cast.single('vpn', attachToHosting(cast.random, { shared: true })),
  'bonded-link': bondedLink,
  casting,
  'two-tabs': twoTabs,
  seeker,
  'multi-view': multiView,
};

/** How often each look-alike is met among the look-alikes: phones and dual stack daily, bonded links rarely. */
export const lookAlikeWeights: readonly { readonly kind: LookAlikeKind; readonly weight: number }[] = [
  { kind: 'carrier-nat', weight: 14 },
  { kind: 'shared-address', weight: 10 },
  { kind: 'ipv6-privacy', weight: 6 },
  { kind: 'dual-stack', weight: 8 },
  { kind: 'hand-over', weight: 10 },
  { kind: 'commuter', weight: 5 },
  { kind: 'household', weight: 10 },
  { kind: 'family', weight: 6 },
  { kind: 'corporate-proxy', weight: 4 },
  { kind: 'relay', weight: 6 },
  { kind: 'vpn', weight: 5 },
  { kind: 'bonded-link', weight: 2 },
  { kind: 'casting', weight: 4 },
  { kind: 'two-tabs', weight: 4 },
  { kind: 'seeker', weight: 5 },
  { kind: 'multi-view', weight: 1 },
];
