/* eslint-disable @typescript-eslint/no-unused-vars -- a CloudFront Function: the platform calls handler */
function handler(event) {
  var response = event.response;
  var act = event.request.headers['x-act'] ? event.request.headers['x-act'].value : '';
  if (act === 'response-throw') throw new Error('on purpose');
  if (act === 'response-via') response.headers.via = { value: 'me' };
  if (act.startsWith('response-status')) response.statusCode = Number(act.slice(-3));
  if (act.includes('body')) response.body = act.includes('empty') ? '' : { encoding: 'base64', data: 'bmV3' };
  response.headers['x-viewer-response'] = { value: event.request.headers['x-handed-over'] ? 'modified' : 'original' };
  response.headers['x-same-request'] = { value: event.context.requestId };
  response.cookies.renewed = { value: 'token', attributes: 'Path=/; Secure' };
  delete response.cookies.origin;
  return response;
}
