/** One line of the claims table: the value as a person reads it, and what it means. */
export interface ClaimLine {
  readonly name: string;
  readonly value: string;
  readonly meaning: string;
}

const order = [
  'exp',
  'sid',
  'catgeoiso3166',
  'catu',
  'catnip',
  'catm',
  'catr',
  'sub',
  'iss',
  'aud',
  'nbf',
  'iat',
  'jti',
  'sxp',
];

const meanings: Readonly<Record<string, string>> = {
  iss: 'who issued it',
  aud: 'whom it is for',
  sub: 'the account',
  exp: 'refused from then on',
  nbf: 'refused before',
  iat: 'when it was made',
  jti: 'this token alone',
  sid: 'the session, kept through every renewal',
  sxp: 'the session’s end: nothing renews beyond',
  catu: 'the URLs it opens',
  catm: 'the methods it admits',
  catnip: 'the networks it may be used from',
  catgeoiso3166: 'where it may be used',
  catr: 'how the edge renews it',
  catv: 'version of the claim set',
  catreplay: 'whether it may be used twice',
  cath: 'request headers it is bound to',
  catalpn: 'protocols it may be used over',
  catif: 'what a refusal answers',
};

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
}

function readable(name: string, value: unknown): string {
  if (['exp', 'nbf', 'iat', 'sxp'].includes(name) && typeof value === 'number') return clock(value);
  if (Array.isArray(value))
    return value.map((item) => (typeof item === 'object' ? JSON.stringify(item) : String(item))).join(', ');
  if (name === 'catu' && typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .flatMap(([part, match]) =>
        Object.entries(match as object).map(([kind, text]) => `${part} ${kind} ${JSON.stringify(text)}`),
      )
      .join(', ');
  }
  if (name === 'catr' && typeof value === 'object' && value !== null) {
    const { type, expext, deadline } = value as { type?: string; expext?: number; deadline?: number };
    return `${type}, ${expext} s more${deadline === undefined ? '' : `, in the last ${deadline} s`}`;
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The claims in the order a person asks about them. */
export function claimLines(claims: Readonly<Record<string, unknown>>): ClaimLine[] {
  const names = Object.keys(claims).sort((a, b) => {
    const [first, second] = [order.indexOf(a), order.indexOf(b)];
    return (first < 0 ? order.length : first) - (second < 0 ? order.length : second);
  });
  return names.map((name) => ({
    name,
    value: readable(name, claims[name]),
    meaning: meanings[name] ?? 'not known to this page',
  }));
}
