// A small gate for HS256 JWTs in a query parameter, standing in for the compiled function where a test is about the
// deployment and not about the gate. It reads the store as the real one does.

export interface FixtureGate {
  readonly mode: 'log' | 'enforce';
  /** Different text gives different code. */
  readonly version?: string;
  /** Believes whatever token comes, as a broken build might. */
  readonly broken?: 'lets-all-pass' | 'throws' | 'syntax' | 'node-only';
}

export function fixtureGate({ mode, version = '1', broken }: FixtureGate): string {
  return `import cf from 'cloudfront';
var crypto = require('crypto');
var mode = '${mode}';
var version = '${version}';
${broken === 'syntax' ? 'var = 1;' : ''}
function refuse(request, status, reason) {
  console.log(JSON.stringify({ r: reason, m: mode }));
  if (mode === 'log') return request;
  return {
    statusCode: status,
    statusDescription: 'Refused',
    headers: { 'x-portcullis-reason': { value: reason }, 'cache-control': { value: 'no-store' } },
    body: JSON.stringify({ error: reason }),
  };
}
async function handler(event) {
  var request = event.request;
  ${broken === 'node-only' ? 'for (const name of new Set(Object.keys(request.headers))) if (!name) return request;' : ''}
  ${broken === 'throws' ? "throw new Error('broken build');" : ''}
  ${broken === 'lets-all-pass' ? 'return request;' : ''}
  var token = request.querystring.CAT && request.querystring.CAT.value;
  delete request.querystring.CAT;
  if (!token) return refuse(request, 401, 'missing_token');
  var parts = token.split('.');
  if (parts.length !== 3) return refuse(request, 401, 'malformed_token');
  var head = JSON.parse(Buffer.from(parts[0], 'base64url').toString());
  var store = cf.kvs();
  var name = 'k:' + head.kid;
  if (!(await store.exists(name))) return refuse(request, 401, 'unknown_key');
  var key = await store.get(name, { format: 'json' });
  var mac = crypto.createHmac('sha256', Buffer.from(key.k, 'base64url')).update(parts[0] + '.' + parts[1]).digest('base64url');
  if (mac !== parts[2]) return refuse(request, 401, 'bad_signature');
  var claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
  var digest = crypto.createHash('sha256').update('t:' + claims.jti).digest();
  var bucket = 'r' + (((digest[0] << 8) | digest[1]) >> 3);
  if (await store.exists(bucket)) {
    var value = await store.get(bucket);
    if (value.indexOf(',' + digest.toString('base64url').slice(9, 16)) >= 0) return refuse(request, 403, 'revoked');
  }
  if (claims.exp && claims.exp * 1000 <= Date.now()) return refuse(request, 401, 'expired');
  var prefix = claims.catu && claims.catu.path && claims.catu.path.prefix;
  if (prefix && request.uri.indexOf(prefix) !== 0) return refuse(request, 401, 'uri_mismatch');
  var country = request.headers['cloudfront-viewer-country'];
  if (claims.catgeoiso3166 && (!country || claims.catgeoiso3166.indexOf(country.value) < 0)) {
    return refuse(request, 401, 'country_mismatch');
  }
  var asn = request.headers['cloudfront-viewer-asn'];
  if (claims.catnip && (!asn || claims.catnip.indexOf(Number(asn.value)) < 0)) return refuse(request, 401, 'network_mismatch');
  return request;
}
`;
}

/** A viewer-response function that changes nothing but a header. */
export const fixtureResponse = `function handler(event) {
  var response = event.response;
  response.headers['x-gate'] = { value: 'seen' };
  return response;
}
`;
