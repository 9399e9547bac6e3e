import { connected, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { signWithKey } from '../rotate-key.js';

export const handler = observed('SignWithKey', async () => {
  const given = settings();
  const { keyring } = await connected(given);
  return signWithKey({ runs: runsOf(given), keyring });
});
