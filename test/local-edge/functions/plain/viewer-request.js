/* eslint-disable @typescript-eslint/no-unused-vars, @typescript-eslint/no-require-imports -- a CloudFront Function: the platform calls handler and knows no ES modules but one */
import cf from 'cloudfront';
var runs = 0;
// Test function: what it does is chosen by the header x-act, so that each trap of the edge can be tried alone.
async function handler(event) {
  runs += 1;
  var request = event.request;
  var act = request.headers['x-act'] ? request.headers['x-act'].value : '';
  if (act === 'event') {
    return {
      statusCode: 200,
      headers: { 'content-type': { value: 'application/json' } },
      body: JSON.stringify({
        event: event,
        rawQuery: request.rawQueryString(),
        now: Date.now(),
        date: new Date().getTime(),
        runs: runs,
      }),
    };
  }
  if (act === 'throw') throw new Error('on purpose');
  if (act === 'nothing') return undefined;
  if (act === 'host') request.headers.host = { value: 'elsewhere.example' };
  if (act === 'add-via') request.headers.via = { value: 'me' };
  if (act === 'add-cache') request.headers['x-cache'] = { value: 'me' };
  if (act === 'upper') request.headers['X-Upper'] = { value: 'me' };
  if (act === 'method') request.method = 'POST';
  if (act === 'bad-status') return { statusCode: 42 };
  if (act === 'number-header') request.headers['x-number'] = { value: 1 };
  if (act === 'uri') request.uri = '/echo/rewritten';
  if (act === 'multi') {
    request.headers['x-many'] = { value: 'ignored', multiValue: [{ value: 'one' }, { value: 'two' }] };
    request.querystring.added = { value: 'ignored', multiValue: [{ value: '1' }, { value: '2' }] };
    delete request.querystring.token;
    request.cookies.added = { value: 'yes' };
    delete request.cookies.token;
  }
  if (act === 'refuse') {
    return {
      statusCode: 401,
      statusDescription: 'Unauthorized',
      headers: { 'x-portcullis-reason': { value: 'bad_signature' }, 'cache-control': { value: 'no-store' } },
      cookies: { gone: { value: '', attributes: 'Max-Age=0; Path=/' } },
      body: { encoding: 'base64', data: 'eyJlcnJvciI6ImJhZF9zaWduYXR1cmUifQ==' },
    };
  }
  if (act === 'kvs') {
    var kvs = cf.kvs();
    var key = request.headers['x-key'].value;
    var answer = {};
    try {
      answer.exists = await kvs.exists(key);
      answer.value = await kvs.get(key);
      answer.json = await kvs.get(key, { format: 'json' });
    } catch (error) {
      answer.error = String(error.message);
    }
    console.log('read ' + key);
    return { statusCode: 200, body: JSON.stringify(answer) };
  }
  if (act === 'runtime') {
    return {
      statusCode: 200,
      body: JSON.stringify({
        fetch: typeof fetch,
        timers: typeof setTimeout,
        hmac: require('crypto').createHmac('sha256', 'key').update('text').digest('hex'),
        query: require('querystring').parse('a=1').a,
        buffer: Buffer.from('YQ', 'base64url').toString(),
      }),
    };
  }
  if (act === 'module') require('fs');
  request.headers['x-handed-over'] = { value: 'yes' };
  return request;
}
