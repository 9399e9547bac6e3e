import type { Reason } from '../../../tokens/src/core/reasons.js';

interface Explanation {
  readonly title: string;
  readonly text: string;
}

/** What the page meets besides the functions' own reasons. */
type ShownReason = Reason | 'address_blocked';

const explanations: Partial<Record<ShownReason, Explanation>> = {
  missing_token: { title: 'No token', text: 'The request carried no token, and this path is not public.' },
  malformed_token: { title: 'Not a token', text: 'What stands in the token’s place cannot be read as one.' },
  unsupported_algorithm: { title: 'Wrong algorithm', text: 'The key decides the algorithm; this token names another.' },
  unknown_key: { title: 'Unknown key', text: 'No key in the store has the id that this token names.' },
  bad_signature: {
    title: 'Tampered with',
    text: 'The token’s MAC does not match its contents: something in it was changed.',
  },
  invalid_claim: {
    title: 'Malformed claim',
    text: 'A claim of the token has the wrong shape, so the whole token is invalid.',
  },
  unsupported_claim: {
    title: 'Claim not supported',
    text: 'The token demands something that this edge cannot decide.',
  },
  expired: { title: 'Expired', text: 'The token’s time is over. A renewal goes on with the same session.' },
  not_yet_valid: { title: 'Not yet valid', text: 'The token starts later.' },
  session_ended: { title: 'Session over', text: 'The session has come to its absolute end; it cannot be renewed.' },
  issuer_mismatch: { title: 'Wrong issuer', text: 'This key may not sign for that issuer.' },
  audience_mismatch: { title: 'Wrong audience', text: 'The token is meant for another service.' },
  not_entitled: { title: 'Not entitled', text: 'The token’s issuer may not open this path.' },
  uri_mismatch: { title: 'Another path', text: 'The token opens other paths than the one asked for.' },
  method_mismatch: { title: 'Another method', text: 'The token does not admit this HTTP method.' },
  network_mismatch: { title: 'Another network', text: 'The token is bound to the network it was issued on.' },
  country_mismatch: {
    title: 'Another country',
    text: 'The token is bound to a country, and the request comes from another.',
  },
  geo_mismatch: {
    title: 'Another place',
    text: 'The token is bound to a place, and the request comes from elsewhere.',
  },
  header_mismatch: { title: 'Another device', text: 'A request header differs from what the token is bound to.' },
  proof_required: { title: 'Proof needed', text: 'The token must be accompanied by a proof of possession.' },
  replay_refused: { title: 'Used before', text: 'The token may be used once.' },
  revoked: {
    title: 'Revoked: this session was cut off',
    text: 'An operator revoked it. It plays again as soon as it is let back in.',
  },
  address_blocked: { title: 'Address blocked', text: 'WAF turns this network away, whatever token it brings.' },
  blackout: { title: 'Blacked out here', text: 'This event may not be shown in your region.' },
  ambiguous_path: {
    title: 'Ambiguous path',
    text: 'Two parties could read this path differently, so nobody reads it.',
  },
  store_error: { title: 'Store fault', text: 'The edge could not read its store. It refuses, and players try again.' },
  internal_error: {
    title: 'Fault at the edge',
    text: 'Something went wrong at the edge. It refuses, and players try again.',
  },
};

/** What to tell a person about a refusal. */
export function explain(reason: string | undefined, status: number): Explanation {
  const known = explanations[reason as ShownReason];
  if (known) return known;
  return {
    title: 'Refused',
    text: reason ? `The edge refused with the reason ${reason}.` : `The edge answered ${status}.`,
  };
}

/** Colour family of a status. */
export function statusClass(status: number): 'passed' | 'unauthorised' | 'refused' | 'blackout' | 'fault' {
  if (status >= 200 && status < 400) return 'passed';
  if (status === 401) return 'unauthorised';
  if (status === 451) return 'blackout';
  return status >= 500 || status === 0 ? 'fault' : 'refused';
}
