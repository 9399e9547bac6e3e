/** A header, query parameter or cookie of the event: `value` is the first, `multiValue` holds all when there are several. */
export interface EventField {
  value: string;
  attributes?: string;
  multiValue?: { value: string; attributes?: string }[];
}
export type EventFields = Record<string, EventField>;

export interface EventRequest {
  method: string;
  uri: string;
  querystring: EventFields;
  headers: EventFields;
  cookies: EventFields;
}

export interface EventResponse {
  statusCode: number;
  statusDescription?: string;
  headers?: EventFields;
  cookies?: EventFields;
  body?: string | { encoding?: string; data: string };
}

/** The event of a CloudFront Function (developer guide, "CloudFront Functions event structure"). */
export interface FunctionEvent {
  version: '1.0';
  context: {
    distributionDomainName: string;
    distributionId: string;
    eventType: 'viewer-request' | 'viewer-response';
    requestId: string;
  };
  viewer: { ip: string };
  request: EventRequest;
  response?: EventResponse;
}

export type Pair = readonly [name: string, value: string];

/** Names may come from a viewer: an object without a prototype keeps `__proto__` an ordinary name. */
function noFields(): EventFields {
  return Object.create(null) as EventFields;
}

function addField(fields: EventFields, name: string, value: string, attributes?: string): void {
  const item = attributes === undefined ? { value } : { value, attributes };
  const present = fields[name];
  if (!present) fields[name] = item;
  else {
    const first =
      present.attributes === undefined
        ? { value: present.value }
        : { value: present.value, attributes: present.attributes };
    (present.multiValue ??= [first]).push(item);
  }
}

/** Pairs as received, in order, to the event's form: lower-case names. */
export function toFields(pairs: readonly Pair[]): EventFields {
  const fields = noFields();
  for (const [name, value] of pairs) addField(fields, name.toLowerCase(), value);
  return fields;
}

/** A query string as sent to the event's form: nothing is decoded, names keep their case. */
export function queryToFields(rawQuery: string): EventFields {
  const fields = noFields();
  for (const part of rawQuery.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    if (equals < 0) addField(fields, part, '');
    else addField(fields, part.slice(0, equals), part.slice(equals + 1));
  }
  return fields;
}

/** The `Cookie` headers of a request to the event's form. */
export function cookiesToFields(cookieHeaders: readonly string[]): EventFields {
  const fields = noFields();
  for (const part of cookieHeaders.join(';').split(';')) {
    const text = part.trim();
    if (text === '') continue;
    const equals = text.indexOf('=');
    if (equals < 0) addField(fields, text, '');
    else addField(fields, text.slice(0, equals).trim(), text.slice(equals + 1).trim());
  }
  return fields;
}

/** The `Set-Cookie` headers of a response to the event's form. */
export function setCookiesToFields(setCookieHeaders: readonly string[]): EventFields {
  const fields = noFields();
  for (const header of setCookieHeaders) {
    const end = header.indexOf(';');
    const pair = end < 0 ? header : header.slice(0, end);
    const equals = pair.indexOf('=');
    if (equals < 0) continue;
    const attributes = end < 0 ? undefined : header.slice(end + 1).trim();
    addField(fields, pair.slice(0, equals).trim(), pair.slice(equals + 1).trim(), attributes);
  }
  return fields;
}

/** Every value of a field: `multiValue` wins over `value` where both are written. */
export function valuesOf(field: EventField): readonly { value: string; attributes?: string }[] {
  return field.multiValue ?? [field];
}

export function fieldsToPairs(fields: EventFields | undefined): Pair[] {
  return Object.entries(fields ?? {}).flatMap(([name, field]) =>
    valuesOf(field).map((item): Pair => [name, String(item.value)]),
  );
}

export function fieldsToQuery(fields: EventFields | undefined): string {
  return fieldsToPairs(fields)
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
    .join('&');
}

export function fieldsToCookieHeader(fields: EventFields | undefined): string {
  return fieldsToPairs(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');
}

export function fieldsToSetCookies(fields: EventFields | undefined): string[] {
  return Object.entries(fields ?? {}).flatMap(([name, field]) =>
    valuesOf(field).map((item) => `${name}=${item.value}${item.attributes ? `; ${item.attributes}` : ''}`),
  );
}
