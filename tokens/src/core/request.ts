/** A header, cookie or query parameter as CloudFront's event has it: the first value, and all of them where there are several. */
export interface EventValue {
  value: string;
  multiValue?: { value: string }[];
}

/** The part of a CloudFront Functions request that decisions are made on; other hosts build the same form. */
export interface EventRequest {
  method: string;
  /** The raw path, neither decoded nor normalised. */
  uri: string;
  querystring: Record<string, EventValue>;
  /** By lower-case name. */
  headers: Record<string, EventValue>;
  cookies: Record<string, EventValue>;
  /** The query as sent, without `?`. */
  rawQueryString(): string;
}

/** All values of a header, cookie or parameter. */
export const valuesOf = (entry: EventValue): string[] => (entry.multiValue || [entry]).map((one) => one.value);

/** The text of a header, its lines joined (RFC 9110 5.2), or undefined. */
export const headerText = (request: EventRequest, name: string): string | undefined => {
  const entry = request.headers[name];
  return entry && (entry.multiValue ? entry.multiValue.map((one) => one.value).join(', ') : entry.value);
};
