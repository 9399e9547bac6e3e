// A CMS with Fastify.
import fastify from 'fastify';
import { createSigner, PolicyError } from '@portcullis/tokens';
import { environmentKey } from '@portcullis/tokens/keys/environment';

const signer = createSigner({
  issuer: 'cms.example',
  key: environmentKey(),
  placement: { kind: 'path', mode: 'prefix', prefix: '/live' },
});

export const app = fastify();

app.get('/watch/:channel', async (request, reply) => {
  const { channel } = request.params;
  const { url, session } = await signer.signPlaybackUrl(
    `https://cdn.example/live/${encodeURIComponent(channel)}/main.m3u8`,
    {
      expiresIn: '2h',
      // The viewer's address is widened to /24 or /56, as the standard asks.
      networks: { viewer: request.ip },
    },
  );
  return reply.header('Cache-Control', 'no-store').send({ url, session });
});

app.setErrorHandler((error, _request, reply) => {
  const status = error instanceof PolicyError ? 400 : 500;
  return reply.code(status).send({ error: error.code ?? 'internal_error' });
});
