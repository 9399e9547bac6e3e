// app/api/watch/[channel]/route.js of a Next.js site: Web-standard Request in, Response out.
import { createSigner } from '@portcullis/tokens';
import { environmentKey } from '@portcullis/tokens/keys/environment';

const signer = createSigner({
  issuer: 'cms.example',
  key: environmentKey(),
  placement: { kind: 'cookie', domain: 'example', partitioned: true },
});

export async function GET(_request, { params }) {
  const { channel } = await params;
  const { url, cookies } = await signer.signPlaybackUrl(
    `https://cdn.example/live/${encodeURIComponent(channel)}/main.m3u8`,
    { expiresIn: '2h' },
  );
  const headers = new Headers({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  for (const cookie of cookies) headers.append('Set-Cookie', cookie);
  return new Response(JSON.stringify({ url }), { headers });
}
