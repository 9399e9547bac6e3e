import { CborEncodeError } from '../errors.js';
import { CborWriter } from './writer.js';

/** A tagged CBOR value (RFC 8949 3.4). */
export class CborTag {
  readonly tag: number;
  readonly value: CborValue;

  constructor(tag: number, value: CborValue) {
    this.tag = tag;
    this.value = value;
  }
}

/** What {@link encodeCbor} writes. Maps with integer keys are `Map`s; plain objects have text keys. */
export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | CborTag
  | readonly CborValue[]
  | ReadonlyMap<CborValue, CborValue>
  | { readonly [key: string]: CborValue };

export interface EncodeCborOptions {
  /** `bytewise`: keys sorted by their encoding (RFC 8949 4.2.1), the default. `insertion`: as given (CTA-5007-B 4.5). */
  readonly mapOrder?: 'bytewise' | 'insertion';
}

const maximumDepth = 32;

/**
 * Deterministic CBOR (RFC 8949 4.2): the same value always gives the same bytes.
 *
 * @throws CborEncodeError on NaN, -0, `undefined`, functions, lone surrogates, duplicate keys, or nesting beyond 32.
 * @example
 * ```ts
 * encodeCbor(new Map([[4, 1700000000]])) // a1041a6553f100
 * ```
 */
export function encodeCbor(value: CborValue, options: EncodeCborOptions = {}): Uint8Array {
  const writer = new CborWriter();
  writeCbor(writer, value, options.mapOrder ?? 'bytewise', 0);
  return writer.bytes.slice(0, writer.end);
}

/** Appends one value to a writer. */
export function writeCbor(
  writer: CborWriter,
  value: CborValue,
  mapOrder: 'bytewise' | 'insertion',
  depth: number,
): void {
  if (depth > maximumDepth) throw new CborEncodeError(`nesting deeper than ${maximumDepth}`);
  switch (typeof value) {
    case 'number':
      return writer.number(value);
    case 'bigint':
      return writer.bigint(value);
    case 'string':
      return writer.text(value);
    case 'boolean':
      return writer.boolean(value);
    case 'object':
      break;
    default:
      throw new CborEncodeError(`a ${typeof value} has no CBOR form`);
  }
  if (value === null) return writer.null();
  if (value instanceof Uint8Array) return writer.byteString(value);
  if (value instanceof CborTag) {
    writer.tag(value.tag);
    return writeCbor(writer, value.value, mapOrder, depth + 1);
  }
  if (Array.isArray(value)) {
    writer.array(value.length);
    for (const item of value as readonly CborValue[]) writeCbor(writer, item, mapOrder, depth + 1);
    return;
  }
  const entries: [CborValue, CborValue][] =
    value instanceof Map
      ? [...(value as ReadonlyMap<CborValue, CborValue>)]
      : Object.entries(value as { [key: string]: CborValue });
  writeEntries(writer, entries, mapOrder, depth);
}

function writeEntries(
  writer: CborWriter,
  entries: readonly [CborValue, CborValue][],
  mapOrder: 'bytewise' | 'insertion',
  depth: number,
): void {
  const encoded = entries.map(([key, item]) => {
    const part = new CborWriter(64);
    writeCbor(part, key, mapOrder, depth + 1);
    return { key: part.bytes.subarray(0, part.end), item };
  });
  const sorted = [...encoded].sort((a, b) => compareBytes(a.key, b.key));
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1];
    const here = sorted[i];
    if (before && here && compareBytes(before.key, here.key) === 0)
      throw new CborEncodeError('a map holds one key twice');
  }
  writer.map(entries.length);
  for (const { key, item } of mapOrder === 'bytewise' ? sorted : encoded) {
    writer.raw(key);
    writeCbor(writer, item, mapOrder, depth + 1);
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
