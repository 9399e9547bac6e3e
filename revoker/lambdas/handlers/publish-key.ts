import { connected, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { publishKey } from '../rotate-key.js';

export const handler = observed('PublishKey', async () => {
  const given = settings();
  const { keyring } = await connected(given);
  return publishKey({ runs: runsOf(given), keyring });
});
