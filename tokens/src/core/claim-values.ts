import { isList, isText, must } from './basics.js';
import { isBytes, toBase64 } from './bytes.js';
import { isMap, type CborMap, type CborValue } from './cbor.js';
import type { RequestFacts } from './evaluate.js';

/** Whether the claims being read are a JWT's, and what they are held against. One evaluation at a time: it is synchronous. */
export let jwt: boolean;
export let facts: RequestFacts;

/** Says which format the claims that are read next have. */
export const readAs = (isJwt: boolean): void => {
  jwt = isJwt;
};

/** Says what the claims that are read next are held against. */
export const holdAgainst = (request: RequestFacts): unknown => (facts = request);

/** Throws when a value is no text. */
export const text = (value: CborValue): void => must(isText(value));

/** Throws when a value is no byte string; a JWT has those as texts. */
export const bytes = (value: CborValue): void => must((!FEATURES.cat || jwt ? isText : isBytes)(value));

/** A byte string in base64url, the form that a JWT has it in. */
export const bytesText = (value: CborValue): string => {
  bytes(value);
  return jwt ? (value as string) : toBase64(value as Buffer);
};

/**
 * Whether no entry of a list passes a test; each is looked at, so that a malformed one is found whatever the others
 * say. Throws when it is no list, or one of nothing.
 */
export const none = <Entry = CborValue>(values: unknown, test: (value: Entry, index: number) => unknown): boolean => {
  must(isList(values) && values.length);
  return !(values as Entry[]).filter(test).length;
};

/** How many keys of a map pass a test. Throws when it is no map, or one of nothing. */
export const countKeys = (map: CborValue, test: (key: string) => unknown): number => {
  const keys = Object.keys(map as CborMap);
  must(isMap(map) && keys.length);
  return keys.filter(test).length;
};
