// The REST-XML protocol of the CloudFront API, read from the shapes that the SDK publishes. Parsing and writing are
// ours, so that the SDK's own serialiser is on one side of the wire only.
import * as cloudFrontModule from '@aws-sdk/client-cloudfront';
import { XMLParser } from 'fast-xml-parser';

/** Type codes of the SDK's compact shapes. */
const code = { number: 1, boolean: 2, timestamp: 4, blob: 21, payloadTrait: 16, labelTrait: 1 } as const;

type Traits = number | Record<string, unknown>;
type Shape = unknown;

interface Member {
  readonly name: string;
  readonly shape: Shape;
  readonly traits: Traits;
}

const namespace = 'http://cloudfront.amazonaws.com/doc/2020-05-31/';
const shapes = cloudFrontModule as unknown as Record<string, unknown>;

function resolve(shape: Shape): Shape {
  return typeof shape === 'function' ? (shape as () => unknown)() : shape;
}

/** A member's reference is a shape, or `[shape, traits]`. Shapes themselves are arrays that start with a number and
 * carry a namespace, so the two cannot be confused. */
function member(name: string, reference: unknown): Member {
  if (Array.isArray(reference) && typeof reference[1] !== 'string') {
    return { name, shape: resolve(reference[0]), traits: (reference[1] ?? 0) as Traits };
  }
  return { name, shape: resolve(reference), traits: 0 };
}

function members(shape: Shape): Member[] {
  const struct = shape as [number, string, string, unknown, string[], unknown[]];
  return struct[4].map((name, i) => member(name, struct[5][i]));
}

const isStruct = (shape: Shape): boolean => Array.isArray(shape) && (shape[0] === 3 || shape[0] === -3);
const isList = (shape: Shape): boolean => Array.isArray(shape) && shape[0] === 1;

/** `[0, namespace, name, traits, shape]`: a named simple type. */
function simple(shape: Shape): number {
  let current = shape;
  while (Array.isArray(current) && current[0] === 0) current = resolve(current[4]);
  return typeof current === 'number' ? current : 0;
}

function trait(traits: Traits, name: string): unknown {
  return typeof traits === 'object' ? traits[name] : undefined;
}

const has = (traits: Traits, name: string, bit: number): boolean =>
  typeof traits === 'number' ? (traits & bit) !== 0 : traits[name] !== undefined;

function escape(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/\r/g, '&#xD;')
    .replace(/\n/g, '&#xA;');
}

function writeValue(shape: Shape, value: unknown): string {
  if (isStruct(shape)) {
    return members(shape)
      .map((part) => {
        const inner = (value as Record<string, unknown>)[part.name];
        if (inner === undefined) return '';
        const tag = (trait(part.traits, 'xmlName') as string | undefined) ?? part.name;
        return `<${tag}>${writeValue(part.shape, inner)}</${tag}>`;
      })
      .join('');
  }
  if (isList(shape)) {
    const element = member('member', (shape as unknown[])[4]);
    const tag = (trait(element.traits, 'xmlName') as string | undefined) ?? 'member';
    return (value as unknown[]).map((item) => `<${tag}>${writeValue(element.shape, item)}</${tag}>`).join('');
  }
  if (simple(shape) === code.blob) return Buffer.from(value as Uint8Array).toString('base64');
  if (value instanceof Date) return value.toISOString();
  return escape(String(value));
}

type XmlNode = string | { [name: string]: XmlNode | XmlNode[] };

function readValue(shape: Shape, node: XmlNode | undefined): unknown {
  if (isStruct(shape)) {
    const result: Record<string, unknown> = {};
    if (node === undefined || typeof node === 'string') return result;
    for (const part of members(shape)) {
      const tag = (trait(part.traits, 'xmlName') as string | undefined) ?? part.name;
      if (node[tag] === undefined) continue;
      result[part.name] = readValue(part.shape, node[tag] as XmlNode);
    }
    return result;
  }
  if (isList(shape)) {
    const element = member('member', (shape as unknown[])[4]);
    const tag = (trait(element.traits, 'xmlName') as string | undefined) ?? 'member';
    if (node === undefined || typeof node === 'string') return [];
    const found = node[tag];
    const items = found === undefined ? [] : Array.isArray(found) ? found : [found];
    return items.map((item) => readValue(element.shape, item));
  }
  const text = typeof node === 'string' ? node : '';
  switch (simple(shape)) {
    case code.number:
      return Number(text);
    case code.boolean:
      return text === 'true';
    case code.timestamp:
      return new Date(text);
    case code.blob:
      return new Uint8Array(Buffer.from(text, 'base64'));
    default:
      return text;
  }
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  processEntities: true,
  htmlEntities: true,
});

/** Reads an XML document as the named shape. Elements the shape does not know are dropped, as the real API drops them
 * from an update. */
export function readXml(shapeName: string, xml: string): Record<string, unknown> {
  const document = parser.parse(xml) as Record<string, XmlNode>;
  const root = Object.values(document)[0];
  return readValue(shapes[`${shapeName}$`], root) as Record<string, unknown>;
}

/** Writes a value as an XML document of the named shape. */
export function writeXml(shapeName: string, value: unknown): string {
  const body = writeValue(shapes[`${shapeName}$`], value);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${shapeName} xmlns="${namespace}">${body}</${shapeName}>`;
}

export interface Operation {
  readonly name: string;
  readonly method: string;
  readonly status: number;
  match(path: string, query: URLSearchParams): Record<string, string> | undefined;
  read(labels: Record<string, string>, query: URLSearchParams, headers: Headers, body: Buffer): Record<string, unknown>;
  write(output: Record<string, unknown>): { headers: Record<string, string>; body: string | Uint8Array };
}

function operation(shape: unknown): Operation {
  const [, , name, traits, inputReference, outputReference] = shape as [
    number,
    string,
    string,
    Record<string, unknown>,
    unknown,
    unknown,
  ];
  const [method, template, status] = traits['http'] as [string, string, number];
  const [pathTemplate, queryTemplate] = template.split('?') as [string, string | undefined];
  const labelNames: string[] = [];
  const pattern = new RegExp(
    `^${pathTemplate.replace(/\{(\w+)\+?\}/g, (_, label: string) => {
      labelNames.push(label);
      return '([^/]+)';
    })}/?$`,
  );
  const wanted = [...new URLSearchParams(queryTemplate ?? '')];
  const input = resolve(inputReference);
  const output = resolve(outputReference);

  return {
    name,
    method,
    status,
    match(path, query) {
      const found = pattern.exec(path);
      if (!found) return undefined;
      for (const [key, value] of wanted) if (query.get(key) !== value) return undefined;
      return Object.fromEntries(labelNames.map((label, i) => [label, decodeURIComponent(found[i + 1] as string)]));
    },
    read(labels, query, headers, body) {
      if (!isStruct(input)) return {};
      const result: Record<string, unknown> = {};
      const inBody: Member[] = [];
      for (const part of members(input)) {
        const header = trait(part.traits, 'httpHeader') as string | undefined;
        const queryName = trait(part.traits, 'httpQuery') as string | undefined;
        if (has(part.traits, 'httpLabel', code.labelTrait)) result[part.name] = labels[part.name];
        else if (header !== undefined) {
          const value = headers.get(header);
          if (value !== null) result[part.name] = simple(part.shape) === code.boolean ? value === 'true' : value;
        } else if (queryName !== undefined) {
          const value = query.get(queryName);
          if (value !== null) result[part.name] = simple(part.shape) === code.number ? Number(value) : value;
        } else if (has(part.traits, 'httpPayload', code.payloadTrait)) {
          const root = parser.parse(body.toString('utf8')) as Record<string, XmlNode>;
          result[part.name] = readValue(part.shape, Object.values(root)[0]);
        } else inBody.push(part);
      }
      if (inBody.length > 0 && body.length > 0) {
        const root = Object.values(parser.parse(body.toString('utf8')) as Record<string, XmlNode>)[0];
        for (const part of inBody) {
          const node = typeof root === 'object' ? root[part.name] : undefined;
          if (node !== undefined) result[part.name] = readValue(part.shape, node as XmlNode);
        }
      }
      return result;
    },
    write(value) {
      const headers: Record<string, string> = {};
      let body: string | Uint8Array = '';
      if (!isStruct(output)) return { headers, body };
      for (const part of members(output)) {
        const inner = value[part.name];
        if (inner === undefined) continue;
        const header = trait(part.traits, 'httpHeader') as string | undefined;
        if (header !== undefined) headers[header] = String(inner);
        else if (has(part.traits, 'httpPayload', code.payloadTrait)) {
          if (inner instanceof Uint8Array) body = inner;
          else {
            const shapeName = (part.shape as string[])[2] as string;
            body = writeXml(shapeName, inner);
            headers['content-type'] = 'text/xml';
          }
        }
      }
      return { headers, body };
    },
  };
}

/** 1 where the route is told apart by a fixed query, such as `/distribution?WithTags`. */
function fixedQuery(shape: unknown): number {
  const [, route] = ((shape as unknown[])[3] as { http: [string, string, number] }).http;
  return route.includes('?') ? 1 : 0;
}

/** Every operation that the SDK knows, each with its route. Routes with a fixed query come first. */
export const operations: readonly Operation[] = Object.values(shapes)
  .filter((shape) => Array.isArray(shape) && shape[0] === 9)
  .sort((first, second) => fixedQuery(second) - fixedQuery(first))
  .map(operation);

/** The HTTP status that the API documents for an error code. */
export function errorStatus(errorCode: string): number {
  const shape = shapes[`${errorCode}$`];
  const traits = Array.isArray(shape) ? (shape[3] as Record<string, unknown>) : undefined;
  return typeof traits?.['httpError'] === 'number' ? (traits['httpError'] as number) : 400;
}

/** The body of an error answer. */
export function errorXml(errorCode: string, message: string, requestId: string): string {
  return `<?xml version="1.0"?>\n<ErrorResponse xmlns="${namespace}"><Error><Type>Sender</Type><Code>${escape(errorCode)}</Code><Message>${escape(message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
}
