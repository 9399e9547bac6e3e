import { decide, type KeyRecord } from '@portcullis/tokens/core/gate';
import { CATR } from '@portcullis/tokens/core/labels';
import type { FoundToken } from '@portcullis/tokens/core/placement';
import type { EventRequest } from '@portcullis/tokens/core/request';
import { after, before, policy } from 'portcullis:settings';
import { preflight, refusal } from './answer.js';
import type { EventResponse, ViewerEvent } from './event.js';
import { HANDOVER, sealed, sealedStart, START, urlOf } from './handover.js';
import { host } from './host.js';
import { logVerdict } from './log.js';

/** CloudFront viewer-request: forwards the request without its token, or answers it. */
export async function handler(event: ViewerEvent): Promise<EventRequest | EventResponse> {
  const request = event.request;
  const id = event.context.requestId;
  try {
    if (FEATURES.catr) delete request.headers[HANDOVER];
    if (before) before(event);
    const allowed = FEATURES.preflight && preflight(request);
    if (FEATURES.preflight && allowed) return allowed;
    const original = request.uri;
    // The start path is taken off: what lies below it is what the claims are about.
    const start = FEATURES.startPath && original.startsWith(policy.startPath + '/');
    if (FEATURES.startPath) {
      delete request.headers[START];
      if (start) request.uri = original.slice((policy.startPath as string).length);
    }
    const verdict = await decide(request, event.viewer.ip, host, policy, undefined, start);
    logVerdict(verdict, id);
    if (verdict.reason && verdict.mode === 'enforce') {
      if (!FEATURES.blackout || !verdict.slate) return refusal(verdict.reason, request, id, verdict.answer);
      request.uri = verdict.slate;
    }
    // Only what was checked is renewed; viewer-response sees to that.
    if (FEATURES.catr && verdict.genuine && verdict.genuine[CATR])
      request.headers[HANDOVER] = {
        value: sealed(
          { found: verdict.found as FoundToken, url: urlOf(original, request) },
          verdict.record as KeyRecord,
          event,
        ),
      };
    if (FEATURES.startPath && start) {
      const header = await sealedStart(verdict, event);
      request.headers[START] = { value: header };
      // No origin has anything there: without the Lambda, a token that nobody checked opens nothing.
      request.uri = policy.startPath + request.uri;
    }
    return (after && (after(event) as EventRequest)) || request;
  } catch (_) {
    return refusal('internal_error', request, id);
  }
}
