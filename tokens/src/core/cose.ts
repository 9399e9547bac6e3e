import { must } from './basics.js';
import { fromBase64, isBytes, toBase64 } from './bytes.js';
import { at, isMap, openCbor, readCbor, readClaims, readMap, type CborMap } from './cbor.js';
import type { Algorithm, ParsedToken } from './token.js';

/** COSE algorithm numbers (RFC 9053 2.1, 2.2; RFC 8230 2) by name. */
const ALGORITHMS: Record<number, Algorithm> = {
  [-7]: 'ES256',
  [-35]: 'ES384',
  [-37]: 'PS256',
  [-257]: 'RS256',
  [-8]: 'EdDSA',
};

const MAC_CONTEXT = /* @__PURE__ */ fromBase64('hGRNQUMw');
const SIGNATURE_CONTEXT = /* @__PURE__ */ fromBase64('hGpTaWduYXR1cmUx');
/** An empty byte string: 0x40. */
const NONE = '@';

/** A kid as it is looked up: printable ASCII as text, any other bytes as base64url (no key where `rare` is left out). */
export const keyIdText = (kid: Buffer): string => {
  must(isBytes(kid));
  const text = '' + (kid as unknown as string);
  return FEATURES.rare && text.search(/[^!-~]/) >= 0 ? toBase64(kid) : text;
};

/**
 * The usual CAT by a shorter way: COSE_Mac0 whose headers are {1: 5} and {4: kid} or {1: 5, 4: kid} and nothing, with a
 * kid of up to 18 bytes, claims of 24 to 255 bytes and a MAC of 32. Undefined for any other, well-formed or not.
 * Throws when its claims are none.
 */
const parseUsualCat = (input: Buffer, start: number): ParsedToken | undefined => {
  // 43 a1 01 05 · a1 04 4n kid, or 45+n a2 01 05 04 4n kid · a0: what is protected, and what is not.
  const both = input[start + 3] === 0xa2;
  const kidStart = start + (both ? 8 : 9);
  const kidLength = (input[kidStart - 1] as number) ^ 0x40;
  const kidEnd = kidStart + kidLength;
  const head = both ? kidEnd + 1 : kidEnd;
  const claimsStart = head + 2;
  const claimsEnd = claimsStart + (input[head + 1] as number);
  if (
    input.length !== claimsEnd + 34 ||
    kidLength > 18 ||
    // Fewer claims than 24; what is not there is 0 to these operators, and 0 is nowhere expected.
    (input[claimsStart] as number) >> 3 > 22 ||
    claimsEnd < claimsStart + 24 ||
    (input[start + 1] as number) ^ 0x84 ||
    (input[start + 2] as number) ^ (both ? 0x45 + kidLength : 0x43) ||
    (input[start + 3] as number) ^ (both ? 0xa2 : 0xa1) ||
    (input[start + 4] as number) ^ 1 ||
    (input[start + 5] as number) ^ 5 ||
    (input[kidStart - 2] as number) ^ 4 ||
    (input[both ? kidEnd : start + 6] as number) ^ (both ? 0xa0 : 0xa1) ||
    (input[head] as number) ^ 0x58 ||
    (input[claimsEnd] as number) ^ 0x58 ||
    (input[claimsEnd + 1] as number) ^ 32
  )
    return undefined;
  const labels: (number | string)[] = [];
  const kid = input.toString('utf8', kidStart, kidEnd);
  // Minting goes by where claim sets stand in the payload.
  const payload = FEATURES.mint ? input.subarray(claimsStart, claimsEnd) : input;
  const offset = FEATURES.mint ? 0 : claimsStart;
  return {
    isJwt: false,
    algorithm: 'HS256',
    kid: FEATURES.rare && kid.search(/[^!-~]/) >= 0 ? keyIdText(input.subarray(kidStart, kidEnd)) : kid,
    claims: readClaims(payload, offset, offset + claimsEnd - claimsStart, labels),
    labels: labels,
    signed: [MAC_CONTEXT, input.subarray(start + 2, both ? kidEnd : start + 6), NONE, input.subarray(head, claimsEnd)],
    signature: input.subarray(claimsEnd + 2),
    payload: payload,
  };
};

/**
 * Takes a CAT apart: COSE_Mac0 or COSE_Sign1 with its tag, the CWT tag before it optional (CTA-5007-B 4.3, RFC 9052 4.2, 6.2).
 * Throws when it is none.
 */
export const parseCat = (input: Buffer): ParsedToken => {
  // d8 3d is tag 61, d1 tag 17 (COSE_Mac0), d2 tag 18 (COSE_Sign1), 84 an array of four.
  const start = input[0] === 0xd8 && input[1] === 0x3d ? 2 : 0;
  const isMac = input[start] === 0xd1;
  const usual = FEATURES.usualCat && isMac && parseUsualCat(input, start);
  if (usual) return usual;
  openCbor(input, start + 2);
  const protectedBytes = readCbor(3) as Buffer;
  const protectedEnd = at;
  const outer = readCbor(3) as CborMap;
  const payloadStart = at;
  const payload = readCbor(3) as Buffer;
  const payloadEnd = at;
  const signature = readCbor(3) as Buffer;
  must(
    (isMac || input[start] === 0xd2) &&
      input[start + 1] === 0x84 &&
      at === input.length &&
      [protectedBytes, payload, signature].every(isBytes) &&
      (!FEATURES.rare || isMap(outer)),
  );
  // What stands in the protected header counts; a label in both is left to that rule.
  const inner = protectedBytes.length ? readMap(protectedBytes) : outer;
  const kid = (inner[4] || outer[4]) as Buffer | undefined;
  const number = (inner[1] || outer[1]) as number | undefined;
  // `crit` (2) asks for what this recipient does not know (RFC 9052 3.1).
  must(!(inner[2] || outer[2]));
  // Fewer claims than 24 are noted in their order.
  const labels: (number | string)[] | undefined = FEATURES.fast && (payload[0] as number) >> 3 < 23 ? [] : undefined;
  const token: ParsedToken = {
    isJwt: false,
    // COSE_Mac0 is for HMAC and COSE_Sign1 for the others; a COSE_Sign1 may leave it to the key.
    algorithm:
      isMac && (number || 5) === 5
        ? 'HS256'
        : !FEATURES.publicKey
          ? ''
          : isMac || number === 5
            ? 'none'
            : number
              ? ALGORITHMS[number] || 'none'
              : undefined,
    kid: kid ? keyIdText(kid) : '',
    claims: FEATURES.fast && labels ? readClaims(payload, 0, payload.length, labels) : readMap(payload),
    // MAC_structure or Sig_structure (RFC 9052 6.3, 4.4): both byte strings are taken with their heads, which are
    // minimal; empty headers (no bytes or an empty map) and the empty external data are the byte 0x40.
    signed: [
      FEATURES.publicKey && !isMac ? SIGNATURE_CONTEXT : MAC_CONTEXT,
      protectedBytes.length > 1 ? input.subarray(start + 2, protectedEnd) : NONE,
      NONE,
      input.subarray(payloadStart, payloadEnd),
    ],
    signature: signature,
    payload: payload,
  };
  if (FEATURES.fast) token.labels = labels;
  return token;
};
