import { decide } from '@portcullis/tokens/core/gate';
import { dueRenewal, renewalCarrier } from '@portcullis/tokens/core/renewal';
import { HEADER, URI, type FoundToken } from '@portcullis/tokens/core/placement';
import { headerText } from '@portcullis/tokens/core/request';
import { isBelow } from '@portcullis/tokens/core/uri';
import { policy, settings } from 'portcullis:settings';
import type { EventResponse, ViewerEvent } from './event.js';
import { takeHandover, urlOf } from './handover.js';
import { host } from './host.js';
import { renewVerdict } from './renew-verdict.js';

/** CloudFront viewer-response: keeps tokened answers out of shared caches, and hands out renewed tokens. */
export async function handler(event: ViewerEvent): Promise<EventResponse> {
  const request = event.request;
  const response = event.response as EventResponse;
  const headers = response.headers;
  if (FEATURES.publicPaths && policy.publicPaths && isBelow(request.uri, policy.publicPaths)) return response;
  const from = { headers: headers } as never;
  const control = headerText(from, 'cache-control') || '';
  // CTA-5007-B 4.3.1.5.1
  if (!/private|no-store/i.test(control))
    headers['cache-control'] = {
      value: ['private']
        .concat(control.split(/ *, */).filter((part) => part && !/^(public|s-maxage=.*)$/i.test(part)))
        .join(', '),
    };
  if (FEATURES.cors) {
    const exposed = headerText(from, 'access-control-expose-headers');
    headers['access-control-expose-headers'] = { value: (exposed ? exposed + ',' : '') + settings.exposed };
  }
  if (FEATURES.catr)
    try {
      const original = urlOf(request.uri, request);
      const handover = await takeHandover(event);
      const verdict = await decide(
        request,
        event.viewer.ip,
        Object.assign({}, host, { random: () => 1 }),
        policy,
        handover && handover.found,
      );
      const renewal = dueRenewal(verdict);
      const carrier = renewal && renewalCarrier(verdict, renewal, policy);
      if (carrier) {
        const token = await renewVerdict(verdict, renewal, event.context.requestId);
        if (renewal.by < HEADER) {
          response.cookies = response.cookies || {};
          response.cookies[carrier.name] = { value: token, attributes: carrier.parameters };
        } else if (renewal.by < URI)
          headers[carrier.name.toLowerCase()] = {
            value: '"' + token + '"' + (carrier.parameters && ';' + carrier.parameters),
          };
        // A redirect is for requests that can be made again.
        else if (/^(GET|HEAD)$/.test(request.method)) {
          const status = renewal.rules[7] as number;
          response.statusCode = status > 299 && status < 400 ? status : 307;
          response.body = '';
          headers['cache-control'] = { value: 'no-store' };
          headers['location'] = {
            value: (handover ? handover.url : original).replace((verdict.found as FoundToken).text, token),
          };
        }
      }
    } catch (_) {
      // The request was admitted; without a renewal its answer is still the answer.
    }
  return response;
}
