// A policy whose tokens renew themselves at the edge: Common Access Tokens alone, since renewal (catr) leaves no room
// for a second format, more than one place in the path, and blackouts within CloudFront's 10,240 bytes.
import { defineConfig } from '../../scripts/config/index.js';

export default defineConfig({
  profile: 'default',
  issuer: 'demo',
  formats: ['cat'],
  placements: {
    path: 'first',
    query: true,
    cookie: true,
    header: true,
  },
  claims: { use: ['catu', 'catm', 'catnip', 'catgeoiso3166', 'catr'] },
  revocation: { scopes: ['session'] },
  cors: { origins: '*', maxAge: 600 },
});
