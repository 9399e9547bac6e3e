import type { CmcdReport } from './cmcd.js';

/** One request as CloudFront would log it. The edge reuses one row: whoever keeps it copies it. */
export interface LogRow {
  /** Milliseconds since the epoch, when the answer ended. */
  time: number;
  address: string;
  port: number;
  country: string;
  asn: number;
  edge: string;
  method: 'GET' | 'HEAD' | 'OPTIONS';
  host: string;
  /** As sent, token included. */
  path: string;
  /** Without the question mark; `''` for none. */
  query: string;
  status: number;
  bytes: number;
  requestBytes: number;
  /** URL-encoded, as the log has it; `-` for none. */
  userAgent: string;
  referer: string;
  cookie: string;
  protocol: string;
  /** Seconds. */
  timeTaken: number;
  firstByte: number;
  resultType: string;
  contentType: string;
  requestId: string;
  cmcd: CmcdReport | undefined;
  /** The report came in headers, so the query does not show it. */
  cmcdInHeaders: boolean;
  accept: string;
}

export function emptyRow(): LogRow {
  return {
    time: 0,
    address: '',
    port: 0,
    country: '-',
    asn: 0,
    edge: '-',
    method: 'GET',
    host: '-',
    path: '/',
    query: '',
    status: 200,
    bytes: 0,
    requestBytes: 0,
    userAgent: '-',
    referer: '-',
    cookie: '-',
    protocol: 'HTTP/2.0',
    timeTaken: 0,
    firstByte: 0,
    resultType: 'Hit',
    contentType: '-',
    requestId: '',
    cmcd: undefined,
    cmcdInHeaders: false,
    accept: '*/*',
  };
}
