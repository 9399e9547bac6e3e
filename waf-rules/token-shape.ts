import type { RateBasedStatementCustomKey, Statement } from '@aws-sdk/client-wafv2';
import type { WafPlacement } from './config.js';
import { bytes, escapeRegex, field, present, regex, transformations } from './statements.js';
import { tokenHeaders } from './settings.js';

/**
 * The characters of a token as sent: base64url, the dots of a JWT, padding, and percent escapes of an eager client.
 * Wide on purpose: what passes here is checked by the function, what fails is turned away unread.
 */
const tokenCharacters = '[\\w.=%~-]';

const tokenOf = (minimum: number): string => `${tokenCharacters}{${minimum},}`;
const trimSlash = (path: string): string => path.replace(/\/+$/, '');

/** The path in front of a path token. */
export function pathTokenPrefix(placement: Extract<WafPlacement, { kind: 'path' }>): string {
  if (placement.mode === 'first') return '';
  return trimSlash((placement.mode === 'marker' ? (placement.marker ?? placement.prefix) : placement.prefix) ?? '/~t');
}

/** The standard's header and the one players really send are treated alike, whichever is configured. */
const headersOf = (placement: Extract<WafPlacement, { kind: 'header' }>): readonly string[] => {
  const name = placement.name?.toLowerCase();
  return name === undefined || (tokenHeaders as readonly string[]).includes(name) ? tokenHeaders : [name];
};

/**
 * How a token in the path begins, since any other segment there is content: a JWT's `{"`, or the CBOR tags of a CAT
 * (COSE_Mac0 and COSE_Sign1, bare or inside the CWT tag). The function tells them apart by the same signs.
 */
const tokenStart = '(eyJ|0[Yo]R|2D3[RS])';

/** True where the place holds something that can be a token. Oversized cookies count as holding one: the function decides. */
export function tokenShaped(placement: WafPlacement, minimum: number): Statement[] {
  const token = tokenOf(placement.kind === 'path' ? minimum - 4 : minimum);
  switch (placement.kind) {
    case 'path':
      return [regex(field.path, `^${escapeRegex(pathTokenPrefix(placement))}/${tokenStart}${token}(/|$)`)];
    case 'pathParameter':
      return [regex(field.path, `;${escapeRegex(placement.name)}=${token}`)];
    case 'query':
      return [regex(field.queryArgument(placement.name), `^${token}$`)];
    case 'cookie':
      return [regex(field.cookie(placement.name, 'MATCH'), `^"?${token}"?$`)];
    case 'header':
      return headersOf(placement).map((name) => regex(field.header(name), token));
    case 'authorization':
      return [regex(field.header('authorization'), token)];
  }
}

/** True where something stands in the place, be it a token or not. A bare path tells nothing. */
export function tokenPlaceFilled(placement: WafPlacement): Statement[] {
  switch (placement.kind) {
    case 'path':
      return placement.mode === 'marker' ? [bytes(field.path, 'STARTS_WITH', `${pathTokenPrefix(placement)}/`)] : [];
    case 'pathParameter':
      return [regex(field.path, `;${escapeRegex(placement.name)}=`)];
    case 'query':
      return [present(field.queryArgument(placement.name))];
    case 'cookie':
      return [present(field.cookie(placement.name, 'NO_MATCH'))];
    case 'header':
      return headersOf(placement).map((name) => present(field.header(name)));
    case 'authorization':
      return [present(field.header('authorization'))];
  }
}

/** Tells two placements of one kind apart; the default name goes without saying. */
const suffixOf = (name: string): string => (name === 'CAT' ? '' : `-${name}`);

/**
 * What a rate limit per token counts by. The value is hashed before it becomes a key, because WAF logs the first 32
 * characters of string keys (logging-fields, `rateBasedRuleList.customValues`).
 */
export function tokenRateKeys(placement: WafPlacement): { id: string; key: RateBasedStatementCustomKey }[] {
  const hashed = { TextTransformations: transformations(['SHA256']) };
  switch (placement.kind) {
    case 'query':
      return [{ id: `query${suffixOf(placement.name)}`, key: { QueryArgument: { Name: placement.name, ...hashed } } }];
    case 'cookie':
      return [{ id: `cookie${suffixOf(placement.name)}`, key: { Cookie: { Name: placement.name, ...hashed } } }];
    case 'header':
      return headersOf(placement).map((name) => ({ id: name, key: { Header: { Name: name, ...hashed } } }));
    case 'authorization':
      return [{ id: 'authorization', key: { Header: { Name: 'authorization', ...hashed } } }];
    case 'path':
    case 'pathParameter':
      return [];
  }
}

/** Whether the token is part of the path, where redaction in logs and samples is weakest. */
export const inPath = (placement: WafPlacement): boolean =>
  placement.kind === 'path' || placement.kind === 'pathParameter';
