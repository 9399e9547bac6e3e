// A CMS with Express: a route of its own that signs a playback URL, and the vending service mounted beside it.
import express from 'express';
import { createSigner } from '@portcullis/tokens';
import { environmentKey } from '@portcullis/tokens/keys/environment';
import { assetsFromObject, createVendingService } from '@portcullis/tokens/vending';
import { nodeListener } from '@portcullis/tokens/vending/node';

const signer = createSigner({ issuer: 'cms.example', key: environmentKey() });

const vend = createVendingService({
  signer,
  assets: assetsFromObject({ ch1: { url: 'https://cdn.example/live/ch1/main.m3u8', expiresIn: '10m' } }),
  // In production: bearerCaller({ … }), or IAM at the gateway.
  authenticate: (request) => {
    const user = request.headers.get('x-demo-user');
    return user ? { id: user, trusted: false, subject: user } : undefined;
  },
  ledger: null,
  basePath: '/vend',
});

export const app = express();

app.get('/watch/:channel', async (request, response) => {
  const { url, session, expiresAt } = await signer.signPlaybackUrl(
    `https://cdn.example/live/${encodeURIComponent(request.params.channel)}/main.m3u8`,
    {
      expiresIn: '2h',
      methods: ['GET', 'HEAD'],
    },
  );
  response.set('Cache-Control', 'no-store').json({ url, session, expiresAt });
});

app.use('/vend', nodeListener(vend));
