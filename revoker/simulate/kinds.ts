/** Honest behaviour that looks odd in a log. */
export const lookAlikeKinds = {
  'carrier-nat': 'a phone whose carrier picks an egress address per flow',
  'shared-address': 'a home behind a carrier NAT, one address for a hundred homes',
  'ipv6-privacy': 'a device that changes its temporary IPv6 address',
  'dual-stack': 'connections alternate between IPv4 and IPv6',
  'hand-over': 'Wi-Fi to mobile or back, once or twice',
  commuter: 'on a train: many hand-overs, pauses, stalls',
  household: 'several devices of one account in one home',
  family: 'one account, two or three homes (a student away, a weekend house)',
  'corporate-proxy': 'staff behind a cloud proxy with several egress addresses',
  relay: 'a privacy relay that switches egress',
  vpn: 'a commercial VPN in a hosting network',
  'bonded-link': 'several links used at once, each segment fetched once',
  casting: 'a phone hands over to the television, both fetch for a moment',
  'two-tabs': 'the same page open twice',
  seeker: 'jumps about in the time-shift window, fetches segments again',
  'multi-view': 'four camera angles at once',
} as const;
export type LookAlikeKind = keyof typeof lookAlikeKinds;

/** The kinds of abuse. */
export const abuserKinds = {
  'shared-session': 'one session handed round: played from many networks at once',
  'leech-farm': "a pirate page plays the session's URL in its own visitors' browsers",
  'forum-token': 'a viewer pastes the URL in public, a crowd follows',
  're-streamer': 'pulled by a program in hosting networks to be sent on',
  'credential-sharing': "one account's password sold: many homes, each its own session",
  ripper: 'downloads the recording much faster than it plays',
} as const;
export type AbuserKind = keyof typeof abuserKinds;
