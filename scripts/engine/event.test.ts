import { describe, expect, it } from 'vitest';
import { viewerRequestEvent, viewerResponseEvent } from './event.js';

describe('the event of a viewer request', () => {
  it('keeps the path as sent and takes the query apart as sent', () => {
    const { request } = viewerRequestEvent({ uri: '/a%2Fb//c?CAT=x%20y&CAT=z&flag&=v&a=b=c?d' });
    expect(request.uri).toBe('/a%2Fb//c');
    expect(request.rawQueryString?.()).toBe('CAT=x%20y&CAT=z&flag&=v&a=b=c?d');
    expect(request.querystring).toEqual({
      CAT: { value: 'x%20y', multiValue: [{ value: 'x%20y' }, { value: 'z' }] },
      flag: { value: '' },
      '': { value: 'v' },
      a: { value: 'b=c?d' },
    });
  });

  it('lowers header names, joins nothing, and keeps cookies apart', () => {
    const { request } = viewerRequestEvent({
      headers: { 'X-Two': ['1', '2'], Host: undefined },
      cookies: 'CAT=one; CAT=two; other=a=b',
    });
    expect(request.headers).toEqual({ 'x-two': { value: '1', multiValue: [{ value: '1' }, { value: '2' }] } });
    expect(request.cookies).toEqual({
      CAT: { value: 'one', multiValue: [{ value: 'one' }, { value: 'two' }] },
      other: { value: 'a=b' },
    });
  });

  it('has names of the prototype as names of its own', () => {
    const { request } = viewerRequestEvent({ query: '__proto__=1&constructor=2' });
    expect(Object.entries(request.querystring)).toEqual([
      ['__proto__', { value: '1' }],
      ['constructor', { value: '2' }],
    ]);
  });
});

describe('the event of a viewer response', () => {
  it('carries the request and the response, with the attributes of cookies', () => {
    const event = viewerResponseEvent({ uri: '/a' }, { statusCode: 206, cookies: [['CAT', 'x', 'Path=/; Secure']] });
    expect(event.context.eventType).toBe('viewer-response');
    expect(event.request.uri).toBe('/a');
    expect(event.response).toMatchObject({
      statusCode: 206,
      cookies: { CAT: { value: 'x', attributes: 'Path=/; Secure' } },
    });
  });
});
