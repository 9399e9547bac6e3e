import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  cacheableDash,
  cacheableHls,
  createDashRewriter,
  createHlsRewriter,
  rewriteDash,
  rewriteHls,
  rewriteStream,
  type ManifestTokenOptions,
} from './manifest.js';

const token = '0YRHogEFBEJrMaBYhKsEGmsAQwQ';
const other = '0YRHogEFBEJrMaBYhKsEGmsAQwR';
const manifestUrl = 'https://cdn.example/live/ch1/main.m3u8';
const query: ManifestTokenOptions = { manifestUrl, token, placement: { kind: 'query' } };
const behindPrefix: ManifestTokenOptions = {
  manifestUrl,
  token,
  placement: { kind: 'path', mode: 'prefix', prefix: '/live' },
};
const first: ManifestTokenOptions = { manifestUrl, token, placement: { kind: 'path', mode: 'first' } };
const marker: ManifestTokenOptions = { manifestUrl, token, placement: { kind: 'path', mode: 'marker' } };
const parameter: ManifestTokenOptions = { manifestUrl, token, placement: { kind: 'pathParameter' } };

describe('references in an HLS playlist', () => {
  it.each([
    ['relative, query', query, 'seg1.ts', `seg1.ts?CAT=${token}`],
    ['relative with a query', query, 'seg1.ts?a=1', `seg1.ts?a=1&CAT=${token}`],
    ['old token in the query', query, `seg1.ts?CAT=${other}&a=1`, `seg1.ts?a=1&CAT=${token}`],
    ['climbing, query', query, '../ch2/seg1.ts', `../ch2/seg1.ts?CAT=${token}`],
    ['absolute, query', query, 'https://cdn.example/a.ts', `https://cdn.example/a.ts?CAT=${token}`],
    ['absolute without a path', query, 'https://cdn.example', `https://cdn.example/?CAT=${token}`],
    [
      'another spelling of our host',
      query,
      'HTTPS://CDN.example:443/a.ts',
      `HTTPS://CDN.example:443/a.ts?CAT=${token}`,
    ],
    ['protocol-relative', query, '//cdn.example/a.ts', `//cdn.example/a.ts?CAT=${token}`],
    ['fragment', query, 'a.ts#t=1', `a.ts?CAT=${token}#t=1`],
    ['path parameter', parameter, 'a.ts?b=1', `a.ts;CAT=${token}?b=1`],
    ['old path parameter', parameter, `a.ts;CAT=${other};v=2`, `a.ts;v=2;CAT=${token}`],
    ['relative inherits a path token', behindPrefix, 'seg1.ts', 'seg1.ts'],
    ['one level up still inherits', behindPrefix, '../ch2/seg1.ts', '../ch2/seg1.ts'],
    ['climbing over the token', behindPrefix, '../../live/ch2/seg1.ts', `/live/${token}/ch2/seg1.ts`],
    ['climbing over a first token', first, '../../../live/ch1/a.ts', `/${token}/live/ch1/a.ts`],
    ['from the root, behind a prefix', behindPrefix, '/live/ch1/a.ts', `/live/${token}/ch1/a.ts`],
    ['from the root, first', first, '/live/ch1/a.ts', `/${token}/live/ch1/a.ts`],
    ['from the root, marker', marker, '/live/ch1/a.ts', `/~t/${token}/live/ch1/a.ts`],
    ['old token in the path', behindPrefix, `/live/${other}/ch1/a.ts`, `/live/${token}/ch1/a.ts`],
    [
      'old token behind the marker',
      marker,
      `https://cdn.example/~t/${other}/live/a.ts`,
      `https://cdn.example/~t/${token}/live/a.ts`,
    ],
    [
      'absolute, behind a prefix',
      behindPrefix,
      'https://cdn.example/live/x.ts?a=1',
      `https://cdn.example/live/${token}/x.ts?a=1`,
    ],
    ['our host outside the prefix', behindPrefix, 'https://cdn.example/public/x.ts', 'https://cdn.example/public/x.ts'],
  ])('%s', (_, options, uri, expected) => {
    expect(rewriteHls(`#EXTM3U\n${uri}\n`, options)).toBe(`#EXTM3U\n${expected}\n`);
  });

  it.each([
    'https://ads.example/a.ts',
    '//ads.example/a.ts',
    'https://cdn.example.evil.test/a.ts',
    'https://cdn.example@evil.test/a.ts',
    'https://cdn.example:8443/a.ts',
    'http://cdn.example:443/a.ts',
    '/\\evil.test/a.ts',
    '\\\\evil.test/a.ts',
    'https:\\\\evil.test/a.ts',
    '/\t/evil.test/a.ts',
    'skd://key',
    'data:text/plain,x',
    'urn:x:y',
    'javascript:alert(1)',
  ])('never gives the token to %s', (uri) => {
    for (const options of [query, behindPrefix, first, marker, parameter]) {
      expect(rewriteHls(`#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="${uri}"\n${uri}\n`, options)).not.toContain(token);
    }
  });

  it('reaches every tag that holds a URI, and keeps everything else byte for byte', () => {
    const playlist = [
      '\ufeff#EXTM3U',
      '#EXT-X-VERSION:9',
      '#EXT-X-DEFINE:NAME="dir",VALUE="https://cdn.example/vars"',
      '#EXT-X-CONTENT-STEERING:SERVER-URI="/steering?video=1",PATHWAY-ID="A"',
      '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://k",KEYFORMAT="com.apple.streamingkeydelivery"',
      '#EXT-X-SESSION-DATA:DATA-ID="com.example",URI="data.json"',
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="URI=\'x\'",URI="audio/index.m3u8"',
      '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframe.m3u8"',
      '#EXT-X-MAP:URI="init.mp4",BYTERANGE="100@0"',
      '#EXT-X-KEY:METHOD=AES-128,URI="https://cdn.example/key?id=1",IV=0x00',
      '#EXT-X-DATERANGE:ID="ad1",CLASS="com.apple.hls.interstitial",X-ASSET-URI="https://ads.example/ad.m3u8"',
      '#EXT-X-DATERANGE:ID="ad2",CLASS="com.apple.hls.interstitial",X-ASSET-LIST="/ads/list.json"',
      '#EXT-X-PART:DURATION=0.3,URI="part1.mp4",INDEPENDENT=YES',
      '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part2.mp4"',
      '#EXT-X-RENDITION-REPORT:URI="../hi/main.m3u8",LAST-MSN=3',
      '#EXTINF:4.0,URI="not one"',
      '{$dir}/seg1.mp4',
      '# a comment with URI="x"',
      '',
      'seg 2.mp4',
      'seg3.mp4',
    ].join('\r\n');
    const q = `?CAT=${token}`;
    const expected = playlist
      .replace('/steering?video=1', `/steering?video=1&CAT=${token}`)
      .replace('data.json', `data.json${q}`)
      .replace('audio/index.m3u8', `audio/index.m3u8${q}`)
      .replace('iframe.m3u8', `iframe.m3u8${q}`)
      .replace('init.mp4', `init.mp4${q}`)
      .replace('/key?id=1', `/key?id=1&CAT=${token}`)
      .replace('/ads/list.json', `/ads/list.json${q}`)
      .replace('part1.mp4', `part1.mp4${q}`)
      .replace('part2.mp4', `part2.mp4${q}`)
      .replace('../hi/main.m3u8', `../hi/main.m3u8${q}`)
      .replace('{$dir}/seg1.mp4', `https://cdn.example/vars/seg1.mp4${q}`)
      .replace('seg3.mp4', `seg3.mp4${q}`);
    expect(rewriteHls(playlist, query)).toBe(expected);
  });

  it('gives the token to further hosts of ours when told', () => {
    const options = { ...query, hosts: ['cdn.example', 'ads.example:8443'] };
    expect(rewriteHls('https://ads.example:8443/a.ts\n', options)).toBe(`https://ads.example:8443/a.ts?CAT=${token}\n`);
  });

  it('resolves each rewritten URL to the one the token belongs to', () => {
    const segment = fc.constantFrom('a', 'b.ts', 'live', 'ch1', '..', '.');
    const reference = fc
      .tuple(fc.boolean(), fc.array(segment, { minLength: 1, maxLength: 5 }))
      .map(([rooted, parts]) => (rooted ? '/' : '') + parts.join('/'));
    fc.assert(
      fc.property(reference, fc.constantFrom(first, marker), (uri, options) => {
        const head = options === first ? '' : '/~t';
        const playerUrl = `https://cdn.example${head}/${token}/live/ch1/main.m3u8`;
        const rewritten = rewriteHls(`${uri}\n`, options).trim();
        const fetched = new URL(rewritten, playerUrl).pathname;
        const canonical = new URL(uri, manifestUrl).pathname;
        expect(fetched).toBe(`${head}/${token}${canonical}`);
      }),
    );
  });
});

const mpd = `<?xml version="1.0"?>
<!-- BaseURL of the past: <BaseURL>https://cdn.example/old/</BaseURL> -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:xlink="http://www.w3.org/1999/xlink" profiles="a>b">
  <BaseURL>https://cdn.example/live/ch1/</BaseURL>
  <Location>https://cdn.example/live/ch1/main.mpd?a=1&amp;b=2</Location>
  <PatchLocation ttl="60">patch.mpp</PatchLocation>
  <Period id="1" xlink:href="https://cdn.example/remote?x=1&amp;y=2">
    <AdaptationSet>
      <SegmentTemplate media='$RepresentationID$/$Number%05d$.m4s' initialization="/init-$RepresentationID$.mp4" timescale="1">
        <SegmentTimeline><S t="0" d="4" r="3"/><S d="2"/></SegmentTimeline>
      </SegmentTemplate>
      <Representation id="v1"><BaseURL>v1/</BaseURL></Representation>
    </AdaptationSet>
  </Period>
  <Period id="ad">
    <BaseURL>https://ads.example/ad/</BaseURL>
    <AdaptationSet>
      <SegmentTemplate media="$Number$.m4s"/>
      <Representation id="a"><BaseURL>hd/</BaseURL><SegmentList><Initialization sourceURL="i.mp4"/><SegmentURL media="1.mp4"/><SegmentURL media="https://cdn.example/own.mp4"/></SegmentList></Representation>
    </AdaptationSet>
  </Period>
  <Period id="mixed">
    <BaseURL serviceLocation="a">/live/ch2/</BaseURL>
    <BaseURL serviceLocation="b">https://other-cdn.example/ch2/</BaseURL>
    <AdaptationSet><SegmentTemplate media="$Number$.m4s"/></AdaptationSet>
  </Period>
  <Period id="vod"><AdaptationSet><Representation><BaseURL>video.mp4</BaseURL><SegmentBase indexRange="0-1"/></Representation></AdaptationSet></Period>
</MPD>
`;

describe('references in an MPD', () => {
  const options = { ...query, manifestUrl: 'https://cdn.example/live/ch1/main.mpd' };

  it('follows BaseURLs: relative templates below our hosts get the token, below foreign ones never', () => {
    const q = `?CAT=${token}`;
    expect(rewriteDash(mpd, options)).toBe(
      mpd
        .replace('\n  <BaseURL>https://cdn.example/live/ch1/<', `\n  <BaseURL>https://cdn.example/live/ch1/${q}<`)
        .replace('main.mpd?a=1&amp;b=2', `main.mpd?a=1&amp;b=2&amp;CAT=${token}`)
        .replace('patch.mpp', `patch.mpp${q}`)
        .replace('remote?x=1&amp;y=2', `remote?x=1&amp;y=2&amp;CAT=${token}`)
        .replace('$Number%05d$.m4s', `$Number%05d$.m4s${q}`)
        .replace('/init-$RepresentationID$.mp4', `/init-$RepresentationID$.mp4${q}`)
        .replace('>v1/<', `>v1/${q}<`)
        .replace('own.mp4', `own.mp4${q}`)
        .replace('>/live/ch2/<', `>/live/ch2/${q}<`)
        .replace('video.mp4', `video.mp4${q}`)
        .replaceAll('$Number%05d', '$Number%05d'),
    );
  });

  it('puts a path token into absolute and rooted URLs alone', () => {
    const path = { ...options, placement: { kind: 'path', mode: 'prefix', prefix: '/live' } } as const;
    expect(rewriteDash(mpd, path)).toBe(
      mpd
        .replace('\n  <BaseURL>https://cdn.example/live/ch1/<', `\n  <BaseURL>https://cdn.example/live/${token}/ch1/<`)
        .replace('/live/ch1/main.mpd?', `/live/${token}/ch1/main.mpd?`)
        .replace('>/live/ch2/<', `>/live/${token}/ch2/<`),
    );
  });
});

describe('rewriting in pieces', () => {
  const playlist =
    '#EXTM3U\r\n#EXT-X-DEFINE:NAME="d",VALUE="/x"\r\n#EXT-X-MAP:URI="init.mp4"\r\n#EXTINF:4,\r\n{$d}/ä.ts\r\nb.ts';

  it('gives the same text wherever the pieces end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: mpd.length }), { maxLength: 12 }), fc.boolean(), (cuts, dash) => {
        const source = dash ? mpd : playlist;
        const rewriter = dash ? createDashRewriter(query) : createHlsRewriter(query);
        const places = [0, ...cuts.map((cut) => cut % source.length).sort((a, b) => a - b), source.length];
        const output =
          places
            .slice(1)
            .map((end, i) => rewriter.write(source.slice(places[i], end)))
            .join('') + rewriter.end();
        expect(output).toBe(dash ? rewriteDash(source, query) : rewriteHls(source, query));
      }),
    );
  });

  it.each([query, behindPrefix, first, marker, parameter])(
    'is idempotent, and renews an older token (%#)',
    (options) => {
      for (const [source, rewrite] of [
        [playlist, rewriteHls],
        [mpd, rewriteDash],
      ] as const) {
        const once = rewrite(source, options);
        expect(rewrite(once, options)).toBe(once);
        expect(rewrite(rewrite(source, { ...options, token: other }), options)).toBe(once);
      }
    },
  );

  it('streams bytes, also when a character is split', async () => {
    const bytes = new TextEncoder().encode(playlist);
    const source = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const output = await new Response(source.pipeThrough(rewriteStream(createHlsRewriter(query)))).text();
    expect(output).toBe(rewriteHls(playlist, query));
  });
});

describe('manifests for all viewers', () => {
  it('lets HLS players take the token from the query of the playlist', () => {
    const source =
      '#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:4,\nseg1.m4s?a=1\n#EXTINF:4,\nhttps://ads.example/x.ts\n';
    const made = cacheableHls(source, { manifestUrl });
    expect(made).toBe(
      '#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="CAT"\n#EXT-X-VERSION:11\n#EXT-X-MAP:URI="init.mp4?CAT={$CAT}"\n#EXTINF:4,\nseg1.m4s?a=1&CAT={$CAT}\n#EXTINF:4,\nhttps://ads.example/x.ts\n',
    );
    expect(cacheableHls(made, { manifestUrl })).toBe(made);
  });

  it('states the version where there was none', () => {
    expect(cacheableHls('#EXTM3U\na.ts\n', { manifestUrl })).toContain('#EXT-X-VERSION:11\n');
  });

  it('lets DASH players do the same, in the place the schema has for it', () => {
    const made = cacheableDash(mpd);
    expect(made.indexOf('urlparam:2016')).toBeGreaterThan(made.lastIndexOf('</Period>'));
    expect(made).toMatch(/<\/EssentialProperty><\/MPD>\s*$/);
    expect(cacheableDash(made)).toBe(made);
    expect(cacheableDash('<MPD><Period></Period><UTCTiming schemeIdUri="x"/></MPD>')).toMatch(
      /<\/EssentialProperty><UTCTiming/,
    );
  });
});
