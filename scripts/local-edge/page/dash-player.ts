import { MediaPlayer, type MediaPlayerClass } from 'dashjs';
import { tokenOfHeader, type TokenCarrier } from './carrier.js';
import { renewalHeaders, type OnAnswer, type Player } from './players.js';

// Common media library types that dash.js hands to its interceptors, as far as they are used here.
interface CommonRequest {
  url: string;
  headers?: Record<string, string>;
}
interface CommonResponse {
  readonly request: CommonRequest;
  readonly url?: string;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly data?: unknown;
}

function headerOf(headers: Readonly<Record<string, string>> | undefined, lowerCaseName: string): string | undefined {
  return Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === lowerCaseName)?.[1];
}

/** The header under which dash.js sends a renewed token of its own accord (its name is fixed). */
const nativeHeader = 'common-access-token';

function withTokens(request: CommonRequest, carrier: TokenCarrier): CommonRequest {
  const carried = carrier.request(request.url);
  const headers: Record<string, string> = { ...request.headers };
  const native = headers[nativeHeader];
  for (const [name, value] of Object.entries(carried.headers)) {
    // Two headers of one name would be joined into one value.
    if (native === undefined || name.toLowerCase() !== nativeHeader) headers[name] = value;
  }
  if (native !== undefined && carrier.tricks.stripped) delete headers[nativeHeader];
  else if (native !== undefined && carrier.tricks.tampered) headers[nativeHeader] = carrier.token;
  return Object.assign(request, { url: carried.url, headers });
}

/** dash.js: tokens are exchanged in its request interceptor; renewals that come in a header it adopts by itself. */
export function createDashPlayer(video: HTMLVideoElement, carrier: TokenCarrier, onAnswer: OnAnswer): Player {
  const started = new WeakMap<CommonRequest, number>();
  const player: MediaPlayerClass = MediaPlayer().create();
  player.updateSettings({
    streaming: {
      // Would ask a time server on the internet; this page asks nobody but the edge.
      utcSynchronization: { enabled: false },
      delay: { liveDelay: 5 },
      buffer: {
        bufferTimeDefault: 6,
        bufferTimeAtTopQuality: 6,
        bufferTimeAtTopQualityLongForm: 6,
        fastSwitchEnabled: false,
      },
      retryAttempts: { MPD: 0, MediaSegment: 0, InitializationSegment: 0 },
    },
  });
  player.addRequestInterceptor((given: unknown) => {
    const request = withTokens(given as CommonRequest, carrier);
    started.set(request, performance.now());
    return Promise.resolve(request as never);
  });
  player.addResponseInterceptor((given: unknown) => {
    const response = given as CommonResponse;
    const status = response.status ?? 0;
    // dash.js reports requests that it gave up itself in the same way.
    if (status === 0) return Promise.resolve(response as never);
    onAnswer({
      at: Date.now(),
      url: response.request.url,
      status,
      reason: status >= 400 ? headerOf(response.headers, 'x-portcullis-reason') : undefined,
      milliseconds: performance.now() - (started.get(response.request) ?? performance.now()),
      country: carrier.tricks.country,
      renewed: renewalHeaders.map((name) => tokenOfHeader(headerOf(response.headers, name))).find((token) => token),
    });
    return Promise.resolve(response as never);
  });
  return {
    start() {
      player.initialize(video, carrier.startUrl, true);
    },
    // Without a source there is nothing that it would go on asking for.
    stop: () => player.reset(),
    destroy: () => player.destroy(),
  };
}
