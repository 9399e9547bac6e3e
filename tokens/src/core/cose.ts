import { must } from './basics.js';
import { fromBase64, isBytes, shortText, toBase64 } from './bytes.js';
import { at, isMap, labels, openCbor, readCbor, readMap, type CborMap } from './cbor.js';
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
  const short = FEATURES.anyEngine ? shortText(kid, 0, kid.length, 33, 126) : undefined;
  if (short !== undefined) return short;
  const text = '' + (kid as unknown as string);
  return FEATURES.rare && text.search(/[^!-~]/) >= 0 ? toBase64(kid) : text;
};

/**
 * Takes a CAT apart: COSE_Mac0 or COSE_Sign1 with its tag, the CWT tag before it optional (CTA-5007-B 4.3, RFC 9052 4.2, 6.2).
 * Throws when it is none.
 */
export const parseCat = (input: Buffer): ParsedToken => {
  // d8 3d is tag 61, d1 tag 17 (COSE_Mac0), d2 tag 18 (COSE_Sign1), 84 an array of four.
  const start = input[0] === 0xd8 && input[1] === 0x3d ? 2 : 0;
  const isMac = input[start] === 0xd1;
  let algorithm: string | undefined = 'HS256';
  // The usual CAT is told by its frame: 4n a2 01 05 04 4n kid · a0 · 58 n claims · 58 20 MAC, for algorithm 5 and a kid of
  // up to 18 bytes, both of them protected. With ES256 (-7: 26) the signature has 32 bytes more.
  const more = FEATURES.publicKey && !isMac ? 32 : 0;
  let protectedEnd = FEATURES.usualCat ? start + 8 + ((input[start + 7] as number) ^ 0x40) : 0;
  let payloadStart = protectedEnd + 1;
  let claimsStart = payloadStart + 2;
  let payloadEnd = FEATURES.usualCat ? claimsStart + (input[claimsStart - 1] as number) : 0;
  let payload: Buffer | undefined;
  let signature: Buffer | undefined;
  let kid = '';
  if (
    FEATURES.usualCat &&
    (isMac || (FEATURES.publicKey && input[start] === 0xd2)) &&
    // Here and below, what is beyond the end is equal to nothing.
    input.length === payloadEnd + (34 + more) &&
    protectedEnd < start + 27 &&
    input[start + 1] === 0x84 &&
    (input[start + 2] as number) === protectedEnd - start + 61 &&
    input.readUInt32BE(start + 3) === (FEATURES.publicKey && more ? 0xa2012604 : 0xa2010504) &&
    input.readUInt16BE(protectedEnd) === 0xa058 &&
    (input[claimsStart - 1] as number) > 23 &&
    input.readUInt16BE(payloadEnd) === 0x5820 + more
  ) {
    kid = FEATURES.rare
      ? keyIdText(input.subarray(start + 8, protectedEnd))
      : input.toString('utf8', start + 8, protectedEnd);
    if (FEATURES.publicKey && more) algorithm = 'ES256';
    // Minting goes by where claim sets stand in the payload.
    if (FEATURES.mint) payload = input.subarray(claimsStart, payloadEnd);
    signature = input.subarray(payloadEnd + 2);
  } else {
    openCbor(input, start + 2);
    const protectedBytes = readCbor(3) as Buffer;
    protectedEnd = at;
    const outer = readCbor(3) as CborMap;
    payloadStart = at;
    payload = readCbor(3) as Buffer;
    payloadEnd = at;
    signature = readCbor(3) as Buffer;
    must(
      (isMac || input[start] === 0xd2) &&
        input[start + 1] === 0x84 &&
        at === input.length &&
        [protectedBytes, payload, signature].every(isBytes),
    );
    if (FEATURES.rare) must(isMap(outer));
    claimsStart = payloadEnd - payload.length;
    // What stands in the protected header counts; a label in both is left to that rule.
    const inner = protectedBytes.length ? readMap(protectedBytes, 0, protectedBytes.length) : outer;
    const id = (inner[4] || outer[4]) as Buffer | undefined;
    const number = (inner[1] || outer[1]) as number | undefined;
    // `crit` (2) asks for what this recipient does not know (RFC 9052 3.1).
    must(!(inner[2] || outer[2]));
    if (id) kid = keyIdText(id);
    // COSE_Mac0 is for HMAC and COSE_Sign1 for the others; a COSE_Sign1 may leave it to the key.
    if (!isMac || (number || 5) !== 5)
      algorithm = !FEATURES.publicKey
        ? ''
        : isMac || number === 5
          ? 'none'
          : number
            ? ALGORITHMS[number] || 'none'
            : undefined;
  }
  const token = {
    isJwt: false,
    algorithm: algorithm,
    kid: kid,
    claims: FEATURES.mint
      ? readMap(payload as Buffer, 0, (payload as Buffer).length)
      : readMap(input, claimsStart, payloadEnd),
    // MAC_structure or Sig_structure (RFC 9052 6.3, 4.4): both byte strings are taken with their heads, which are
    // minimal; empty headers (no bytes or an empty map) and the empty external data are the byte 0x40.
    signed: [
      FEATURES.publicKey && !isMac ? SIGNATURE_CONTEXT : MAC_CONTEXT,
      protectedEnd > start + 4 ? input.subarray(start + 2, protectedEnd) : NONE,
      NONE,
      input.subarray(payloadStart, payloadEnd),
    ],
    signature: signature,
  } as ParsedToken;
  if (FEATURES.mint) token.payload = payload as Buffer;
  if (FEATURES.fast) token.labels = labels;
  return token;
};
