import { MediaPlayer, type MediaPlayerClass } from 'dashjs';
import type { TokenCarrier } from './carrier.js';
import type { OnAnswer, Player } from './players.js';

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

function reasonOf(response: CommonResponse): string | undefined {
  const named = Object.entries(response.headers ?? {}).find(([name]) => name.toLowerCase() === 'x-portcullis-reason');
  return named?.[1];
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
    const request = given as CommonRequest;
    const carried = carrier.request(request.url);
    request.url = carried.url;
    request.headers = { ...request.headers, ...carried.headers };
    started.set(request, performance.now());
    return Promise.resolve(request as never);
  });
  player.addResponseInterceptor((given: unknown) => {
    const response = given as CommonResponse;
    const status = response.status ?? 0;
    onAnswer({
      at: Date.now(),
      url: response.request.url,
      status,
      reason: status >= 400 ? reasonOf(response) : undefined,
      milliseconds: performance.now() - (started.get(response.request) ?? performance.now()),
      country: carrier.tricks.country,
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
