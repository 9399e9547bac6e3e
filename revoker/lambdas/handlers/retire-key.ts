import { connected, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { retireKey } from '../rotate-key.js';

export const handler = observed('RetireKey', async () => {
  const given = settings();
  const { keyring } = await connected(given);
  return retireKey({ runs: runsOf(given), keyring });
});
