import type { Random } from './random.js';

/** What stands between a device and the internet. */
export type NetworkKind =
  'broadband' | 'carrier-nat' | 'mobile' | 'campus' | 'enterprise' | 'proxy' | 'relay' | 'hosting';

export interface Network {
  readonly asn: number;
  readonly name: string;
  readonly country: string;
  readonly kind: NetworkKind;
  /** First address of the network's IPv4 block, as a number; the block is a /12. */
  readonly firstAddress: number;
  /** The network's IPv6 /32, as the first two groups: `3fff:12`. */
  readonly prefix: string;
  /** Edge locations its resolvers are sent to. */
  readonly edges: readonly string[];
}

/** A way onto the internet: what a device's connections look like from outside. */
export interface Attachment {
  readonly network: Network;
  readonly edge: string;
  /** How often one more request finds its connection gone and opens another, from whatever address that leaves. */
  readonly reconnectChance: number;
  /** Median downlink, bits per second. */
  readonly throughput: number;
  /** Opens a connection and returns the address it is seen to come from. */
  connect(): string;
}

/** A range of addresses and what an address database would say of it. */
export interface AddressRange {
  readonly network: string;
  readonly asn: number;
  readonly country: string;
  readonly name: string;
}

/*
 * Autonomous systems are the real ones of large operators, so that lists of hosting and carrier systems mean something.
 * Addresses are not: IPv4 comes from the reserved 240.0.0.0/4 (RFC 1112 4), IPv6 from the documentation prefix
 * 3fff::/20 (RFC 9637), so that a block list made in a demonstration never holds a real subscriber.
 */
const edgesByCountry: Readonly<Record<string, readonly string[]>> = {
  US: ['IAD89-P2', 'JFK50-P9', 'ORD58-P4', 'DFW57-P1', 'LAX50-C2', 'SEA19-C1', 'ATL59-P6', 'MIA50-P3'],
  CA: ['YTO53-P2', 'YUL62-C1'],
  MX: ['QRO51-P1', 'DFW57-P1'],
  BR: ['GRU3-P5', 'GIG51-P2'],
  GB: ['LHR62-C4', 'LHR50-P8', 'MAN51-P1'],
  DE: ['FRA60-P4', 'FRA56-P9', 'MUC50-P2', 'HAM50-P3', 'DUS51-P1'],
  FR: ['CDG52-P3', 'CDG50-P1', 'MRS52-C1'],
  ES: ['MAD53-P2', 'BCN50-P1'],
  IT: ['MXP64-P1', 'FCO50-P2'],
  IN: ['BOM78-P1', 'DEL54-P4', 'MAA51-P3'],
  NL: ['AMS58-P3', 'AMS1-P2'],
  RO: ['OTP50-P1'],
  SG: ['SIN2-P1'],
  UA: ['WAW51-P3'],
  PK: ['KHI50-C1'],
  MA: ['MAD53-P2'],
};

type NetworkRow = readonly [asn: number, name: string, country: string, kind: NetworkKind];

/** Where the audience is: rough shares of a broadcast that is sold in these countries. */
export const audienceCountries = [
  { country: 'US', weight: 38 },
  { country: 'GB', weight: 13 },
  { country: 'DE', weight: 13 },
  { country: 'FR', weight: 9 },
  { country: 'BR', weight: 7 },
  { country: 'ES', weight: 6 },
  { country: 'IN', weight: 5 },
  { country: 'CA', weight: 4 },
  { country: 'IT', weight: 3 },
  { country: 'MX', weight: 2 },
] as const;

/** Where a pirate's crowd sits: mostly countries the event is not sold in, and some where it is dear. */
export const crowdCountries = [
  { country: 'UA', weight: 6 },
  { country: 'PK', weight: 6 },
  { country: 'MA', weight: 6 },
  { country: 'RO', weight: 5 },
  { country: 'BR', weight: 4 },
  { country: 'IN', weight: 4 },
  { country: 'ES', weight: 4 },
  { country: 'GB', weight: 4 },
  { country: 'IT', weight: 3 },
  { country: 'DE', weight: 3 },
  { country: 'FR', weight: 3 },
  { country: 'NL', weight: 2 },
  { country: 'US', weight: 2 },
] as const;

const networkRows: readonly NetworkRow[] = [
  [7922, 'Comcast', 'US', 'broadband'],
  [20115, 'Charter', 'US', 'broadband'],
  [701, 'Verizon Fios', 'US', 'broadband'],
  [7018, 'AT&T', 'US', 'broadband'],
  [22773, 'Cox', 'US', 'broadband'],
  [14593, 'Starlink', 'US', 'carrier-nat'],
  [21928, 'T-Mobile US', 'US', 'mobile'],
  [6167, 'Verizon Wireless', 'US', 'mobile'],
  [20057, 'AT&T Mobility', 'US', 'mobile'],
  [73, 'University of Washington', 'US', 'campus'],
  [26101, 'Yahoo offices', 'US', 'enterprise'],
  [2856, 'BT', 'GB', 'broadband'],
  [5089, 'Virgin Media', 'GB', 'broadband'],
  [5607, 'Sky UK', 'GB', 'broadband'],
  [56478, 'Hyperoptic', 'GB', 'carrier-nat'],
  [12576, 'EE', 'GB', 'mobile'],
  [25135, 'Vodafone UK', 'GB', 'mobile'],
  [786, 'Jisc', 'GB', 'campus'],
  [3320, 'Deutsche Telekom', 'DE', 'broadband'],
  [3209, 'Vodafone Germany', 'DE', 'broadband'],
  [8881, '1&1 Versatel', 'DE', 'broadband'],
  [60294, 'Deutsche Glasfaser', 'DE', 'carrier-nat'],
  [6805, 'Telefonica Germany', 'DE', 'mobile'],
  [3320, 'Deutsche Telekom mobile', 'DE', 'mobile'],
  [680, 'DFN', 'DE', 'campus'],
  [3215, 'Orange', 'FR', 'broadband'],
  [12322, 'Free', 'FR', 'broadband'],
  [15557, 'SFR', 'FR', 'broadband'],
  [51207, 'Free Mobile', 'FR', 'mobile'],
  [5410, 'Bouygues', 'FR', 'mobile'],
  [3352, 'Telefonica de Espana', 'ES', 'broadband'],
  [12479, 'Orange Spain', 'ES', 'broadband'],
  [57269, 'Digi Spain', 'ES', 'carrier-nat'],
  [12430, 'Vodafone Spain', 'ES', 'mobile'],
  [3269, 'Telecom Italia', 'IT', 'broadband'],
  [12874, 'Fastweb', 'IT', 'carrier-nat'],
  [24608, 'Wind Tre', 'IT', 'mobile'],
  [28573, 'Claro Brazil', 'BR', 'broadband'],
  [27699, 'Vivo', 'BR', 'broadband'],
  [53006, 'Algar', 'BR', 'carrier-nat'],
  [26615, 'TIM Brazil', 'BR', 'mobile'],
  [9829, 'BSNL', 'IN', 'broadband'],
  [24560, 'Airtel', 'IN', 'broadband'],
  [55836, 'Jio', 'IN', 'mobile'],
  [45609, 'Airtel Mobile', 'IN', 'mobile'],
  [812, 'Rogers', 'CA', 'broadband'],
  [577, 'Bell Canada', 'CA', 'broadband'],
  [36522, 'Bell Mobility', 'CA', 'mobile'],
  [8151, 'Telmex', 'MX', 'broadband'],
  [13999, 'Megacable', 'MX', 'carrier-nat'],
  [28403, 'Telcel', 'MX', 'mobile'],
  [1136, 'KPN', 'NL', 'broadband'],
  [8708, 'Digi Romania', 'RO', 'broadband'],
  [8953, 'Orange Romania', 'RO', 'mobile'],
  [15895, 'Kyivstar', 'UA', 'broadband'],
  [21497, 'Vodafone Ukraine', 'UA', 'mobile'],
  [17557, 'PTCL', 'PK', 'broadband'],
  [45669, 'Jazz', 'PK', 'mobile'],
  [36903, 'Maroc Telecom', 'MA', 'broadband'],
  [36884, 'Inwi', 'MA', 'mobile'],
  [36183, 'Akamai (relay egress)', 'US', 'relay'],
  [13335, 'Cloudflare (relay egress)', 'US', 'relay'],
  [54113, 'Fastly (relay egress)', 'US', 'relay'],
  [36183, 'Akamai (relay egress)', 'DE', 'relay'],
  [13335, 'Cloudflare (relay egress)', 'DE', 'relay'],
  [54113, 'Fastly (relay egress)', 'GB', 'relay'],
  [13335, 'Cloudflare (relay egress)', 'GB', 'relay'],
  [22616, 'Zscaler', 'US', 'proxy'],
  [22616, 'Zscaler', 'DE', 'proxy'],
  [53813, 'Zscaler', 'GB', 'proxy'],
  [24940, 'Hetzner', 'DE', 'hosting'],
  [16276, 'OVH', 'FR', 'hosting'],
  [14061, 'DigitalOcean', 'NL', 'hosting'],
  [20473, 'Vultr', 'US', 'hosting'],
  [63949, 'Akamai Connected Cloud', 'US', 'hosting'],
  [16509, 'Amazon', 'US', 'hosting'],
  [51167, 'Contabo', 'DE', 'hosting'],
  [60781, 'Leaseweb', 'NL', 'hosting'],
  [9009, 'M247', 'RO', 'hosting'],
  [60068, 'Datacamp', 'GB', 'hosting'],
  [12876, 'Scaleway', 'FR', 'hosting'],
  [45102, 'Alibaba Cloud', 'SG', 'hosting'],
];

export const networks: readonly Network[] = networkRows.map(([asn, name, country, kind], index) => ({
  asn,
  name,
  country,
  kind,
  firstAddress: (0xf0000000 + index * 2 ** 20) >>> 0,
  prefix: `3fff:${index.toString(16)}`,
  edges: edgesByCountry[country] ?? ['FRA60-P4'],
}));

/** The address database that goes with the generated logs, IPv4 and IPv6. */
export function addressRanges(): AddressRange[] {
  return networks.flatMap(({ asn, country, name, firstAddress, prefix }) => [
    { network: `${formatIpv4(firstAddress)}/12`, asn, country, name },
    { network: `${prefix}::/32`, asn, country, name },
  ]);
}

const byKindAndCountry = new Map<string, Network[]>();
for (const network of networks) {
  for (const key of [network.kind, `${network.kind}/${network.country}`]) {
    byKindAndCountry.set(key, [...(byKindAndCountry.get(key) ?? []), network]);
  }
}

/** Networks of a kind in a country, or of the kind anywhere when the country has none. */
export function networksOf(kind: NetworkKind, country?: string): readonly Network[] {
  return byKindAndCountry.get(`${kind}/${country}`) ?? byKindAndCountry.get(kind) ?? [];
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

const group = (value: number): string => (value & 0xffff).toString(16);

function anyIpv4(network: Network, random: Random): number {
  return (network.firstAddress + random.integer(256, 2 ** 20 - 257)) >>> 0;
}

/** A /56 as four groups of which the last is the first of its 256 subnets. */
function anyHomePrefix(network: Network, random: Random): string {
  return `${network.prefix}:${group(random.integer(1, 0xffff))}:${group(random.integer(0, 255) << 8)}`;
}

/** A temporary interface identifier (RFC 8981): 64 random bits. */
function interfaceIdentifier(random: Random): string {
  return [0, 0, 0, 0].map(() => group(random.integer(1, 0xffff))).join(':');
}

/** A customer line: one home, or one office, with its own router. */
export interface Home {
  readonly network: Network;
  readonly ipv4: string;
  /** First four groups of the home's IPv6 network. */
  readonly ipv6: string;
  readonly edge: string;
  readonly throughput: number;
}

/** Moves a home behind a new line in the network. A carrier NAT puts some 64 to 128 homes behind one address. */
export function makeHome(network: Network, random: Random): Home {
  const ipv4 =
    network.kind === 'carrier-nat'
      ? (network.firstAddress + 4096 + random.integer(0, 63)) >>> 0
      : anyIpv4(network, random);
  return {
    network,
    ipv4: formatIpv4(ipv4),
    ipv6: anyHomePrefix(network, random),
    edge: random.pick(network.edges),
    // Fixed lines: median near 90 Mbit/s with a long tail on both sides (regulators' yearly measurements).
    throughput: random.logNormal(90e6, 0.7),
  };
}

/**
 * One device on a home's line. `ipv6` prefers the device's own temporary address; `dual` lets every new connection
 * choose anew, as Happy Eyeballs (RFC 8305) does when both families answer about equally fast.
 */
export function attachToHome(
  home: Home,
  random: Random,
  family: 'ipv4' | 'ipv6' | 'dual' = 'ipv4',
  options: { rotateIdentifier?: boolean } = {},
): Attachment {
  let identifier = interfaceIdentifier(random);
  return {
    network: home.network,
    edge: home.edge,
    reconnectChance: family === 'dual' || options.rotateIdentifier ? 0.06 : 0,
    throughput: home.throughput,
    connect() {
      if (family === 'ipv4' || (family === 'dual' && random.chance(0.5))) return home.ipv4;
      if (options.rotateIdentifier) identifier = interfaceIdentifier(random);
      return `${home.ipv6}:${identifier}`;
    },
  };
}

/**
 * A phone or modem on a mobile network. Carriers put thousands of subscribers behind a pool of addresses and may pick
 * another of the pool for every flow (RFC 6888 asks for paired pooling, not all carriers comply); IPv6 is one /64 per
 * attachment (RFC 7278).
 */
export function attachToMobile(
  network: Network,
  random: Random,
  options: { family?: 'ipv4' | 'ipv6' | 'dual'; unpaired?: boolean } = {},
): Attachment {
  const poolStart = network.firstAddress + 65536 + random.integer(0, 15) * 4096;
  const poolOf = (count: number): string[] =>
    Array.from({ length: count }, () => formatIpv4((poolStart + random.integer(0, 511)) >>> 0));
  const pool = poolOf(options.unpaired ? random.integer(4, 16) : 1);
  const prefix = `${network.prefix}:${group(random.integer(1, 0xffff))}:${group(random.integer(1, 0xffff))}`;
  const ipv6 = `${prefix}:${interfaceIdentifier(random)}`;
  const family = options.family ?? 'ipv4';
  return {
    network,
    edge: random.pick(network.edges),
    reconnectChance: options.unpaired ? 0.3 : family === 'dual' ? 0.06 : 0.01,
    // Mobile downlinks: median near 35 Mbit/s, varying more than fixed lines.
    throughput: random.logNormal(35e6, 0.9),
    connect: () => (family === 'ipv6' || (family === 'dual' && random.chance(0.6)) ? ipv6 : random.pick(pool)),
  };
}

/** A privacy relay: each connection leaves from one of several operators' egress pools of the same country. */
export function attachToRelay(country: string, random: Random): Attachment {
  const operators = networksOf('relay', country);
  const egress = Array.from({ length: random.integer(4, 12) }, () => {
    const network = random.pick(operators);
    const block = (network.firstAddress + 8192 + random.integer(0, 31) * 256) >>> 0;
    return random.chance(0.4)
      ? `${network.prefix}:${group(random.integer(0, 63))}:0:${interfaceIdentifier(random)}`
      : formatIpv4(block + random.integer(0, 31));
  });
  const network = operators[0] as Network;
  return {
    network,
    edge: random.pick(network.edges),
    reconnectChance: 0.08,
    throughput: random.logNormal(45e6, 0.5),
    connect: () => random.pick(egress),
  };
}

/** A company's cloud proxy: staff leave from a handful of addresses, each new connection from any of them. */
export function attachToProxy(country: string, random: Random): Attachment {
  const network = random.pick(networksOf('proxy', country));
  const site = network.firstAddress + 16384 + random.integer(0, 7) * 256;
  const egress = Array.from({ length: random.integer(2, 4) }, () =>
    formatIpv4((site + random.integer(0, 3) * 2048 + random.integer(1, 24)) >>> 0),
  );
  return {
    network,
    edge: random.pick(network.edges),
    reconnectChance: 0.12,
    throughput: random.logNormal(30e6, 0.5),
    connect: () => random.pick(egress),
  };
}

/** A rented server, or a commercial VPN's exit, which stands in the same kind of network and is shared by many. */
export function attachToHosting(random: Random, options: { shared?: boolean; country?: string } = {}): Attachment {
  const network = random.pick(networksOf('hosting', options.country));
  const address = options.shared
    ? formatIpv4((network.firstAddress + 32768 + random.integer(0, 39)) >>> 0)
    : formatIpv4(anyIpv4(network, random));
  return {
    network,
    edge: random.pick(network.edges),
    reconnectChance: 0,
    throughput: options.shared ? random.logNormal(60e6, 0.5) : random.logNormal(700e6, 0.4),
    connect: () => address,
  };
}

/** Several links bonded into one (mobile modems and a fixed line): the bonding box leaves by any of them. */
export function bond(links: readonly Attachment[], random: Random): Attachment {
  const first = links[0];
  if (!first) throw new RangeError('a bonded link needs at least one link');
  return {
    network: first.network,
    edge: first.edge,
    reconnectChance: 0.5,
    throughput: links.reduce((sum, link) => sum + link.throughput, 0),
    connect: () => random.pick(links).connect(),
  };
}

const mappedIpv4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/;
const mappedIpv6 = /^3fff:([0-9a-f]+):/;
const networkOfBlock = new Map<number, Network>(networks.map((network, index) => [index, network]));

/** The network an address of the plan belongs to: what CloudFront's own address database would answer. */
export function networkOfAddress(address: string): Network | undefined {
  const ipv4 = mappedIpv4.exec(address);
  if (ipv4) return networkOfBlock.get(((Number(ipv4[1]) - 240) << 4) | (Number(ipv4[2]) >> 4));
  const ipv6 = mappedIpv6.exec(address);
  return ipv6 ? networkOfBlock.get(Number.parseInt(ipv6[1] as string, 16)) : undefined;
}
