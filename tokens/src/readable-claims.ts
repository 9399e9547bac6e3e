import { encodeBase64url } from './base64url.js';
import type { CborTagged, CborValue } from './core/cbor.js';
import { claimLabels } from './claims.js';
import type { ParsedToken } from './core-bridge.js';
import { formatNetwork } from './networks.js';

const components = ['scheme', 'host', 'port', 'path', 'query', 'parent', 'filename', 'stem', 'extension'];
const matches: Record<string, string> = {
  0: 'exact',
  1: 'prefix',
  2: 'suffix',
  3: 'contains',
  4: 'regex',
  [-1]: 'sha256',
  [-2]: 'sha512-256',
};
const renewals = ['automatic', 'cookie', 'header', 'redirect'];
const renewalNames = [
  'type',
  'expext',
  'deadline',
  'cookieName',
  'headerName',
  'cookieParams',
  'headerParams',
  'status',
];
const proofNames: Record<string, string> = { [-1]: 'crit', 0: 'window', 1: 'jti' };

type Entries = [label: string, value: CborValue][];

const namesByLabel: ReadonlyMap<string, string> = /* @__PURE__ */ new Map(
  Object.entries(claimLabels).map(([name, label]) => [String(label), name]),
);

/** The JWT name of a claim, given as the core has it: a claim key, a name, or a text with `$` before it. */
export function nameOfClaim(key: string | number): string {
  return namesByLabel.get(String(key)) ?? plainLabel(String(key));
}

/** One claim as the core has it, by its JWT name. */
export function claimOf(token: ParsedToken, name: keyof typeof claimLabels): CborValue {
  return token.claims[claimLabels[name]];
}

/** A token's claims in the form of a JWT, whatever its format: names for labels, base64url for bytes. For reading, not for deciding. */
export function readableClaims(token: ParsedToken): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(token.claims).map(([key, value]) => {
      const name = nameOfClaim(key);
      return [name, token.jwt ? value : readableClaim(name, value)];
    }),
  );
}

function readableClaim(name: string, value: CborValue): unknown {
  switch (name) {
    case 'catu':
      return renamed(value, (label) => components[Number(label)] ?? label, readableMatch);
    case 'cath':
      return renamed(value, plainLabel, readableMatch);
    case 'catnip':
      return Array.isArray(value) ? value.map(readableNetwork) : readable(value);
    case 'catalpn':
      return Array.isArray(value)
        ? value.map((protocol) =>
            protocol instanceof Uint8Array ? new TextDecoder().decode(protocol) : readable(protocol),
          )
        : readable(value);
    case 'cnf':
      return renamed(value, (label) => (label === '323' ? 'jkt' : plainLabel(label)), readable);
    case 'catr':
      return renamed(
        value,
        (label) => renewalNames[Number(label)] ?? plainLabel(label),
        (item, label) => (label === '0' && typeof item === 'number' ? (renewals[item] ?? item) : readable(item)),
      );
    case 'catdpop':
      return renamed(value, (label) => proofNames[label] ?? plainLabel(label), readable);
    case 'catif':
      return renamed(value, (labels) => labels.split(',').map(nameOfClaim).join(','), readable);
    default:
      return readable(value);
  }
}

function readableMatch(value: CborValue): unknown {
  return renamed(value, (label) => matches[label] ?? plainLabel(label), readable);
}

function readableNetwork(value: CborValue): unknown {
  const { tag, tagged } = (value ?? {}) as Partial<CborTagged>;
  if (tag !== 52 && tag !== 54) return readable(value);
  const size = tag === 52 ? 4 : 16;
  const family = tag === 52 ? 4 : 6;
  const [length, prefix] = Array.isArray(tagged) ? (tagged as [unknown, unknown]) : [undefined, tagged];
  if (!(prefix instanceof Uint8Array) || prefix.length > size) return readable(tagged);
  const bytes = new Uint8Array(size);
  bytes.set(prefix);
  return formatNetwork({ family, bytes, ...(typeof length === 'number' ? { length } : {}) });
}

function renamed(
  value: CborValue,
  rename: (label: string) => string,
  read: (item: CborValue, label: string) => unknown,
): unknown {
  if (!isPlainMap(value)) return readable(value);
  return Object.fromEntries(
    (Object.entries(value) as Entries).map(([label, item]) => [rename(label), read(item, label)]),
  );
}

function readable(value: CborValue): unknown {
  if (value instanceof Uint8Array) return encodeBase64url(value);
  if (Array.isArray(value)) return value.map(readable);
  if (isPlainMap(value))
    return Object.fromEntries(
      (Object.entries(value) as Entries).map(([label, item]) => [plainLabel(label), readable(item)]),
    );
  return value;
}

function isPlainMap(value: CborValue): value is { [label: string]: CborValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** The decoder marks text labels with a `$`, so that none is taken for an integer. */
function plainLabel(label: string): string {
  return label.startsWith('$') ? label.slice(1) : label;
}
