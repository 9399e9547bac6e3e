import type { EventRequest, EventValue } from '@portcullis/tokens/core/request';

/** The answer a function gives in place of the origin, or the origin's own on viewer-response. */
export interface EventResponse {
  statusCode: number;
  statusDescription?: string;
  headers: Record<string, EventValue>;
  cookies?: Record<string, EventValue & { attributes?: string }>;
  body?: string | { encoding: 'text'; data: string };
}

/** CloudFront's event for viewer-request and viewer-response functions. */
export interface ViewerEvent {
  readonly context: {
    readonly requestId: string;
    readonly distributionDomainName?: string;
    readonly eventType?: string;
  };
  readonly viewer: { readonly ip: string };
  readonly request: EventRequest;
  readonly response?: EventResponse;
}
