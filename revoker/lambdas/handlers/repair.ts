import { repair } from '../compare.js';
import { connected, settings } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('Repair', async () => {
  const { projection, stores } = await connected(settings());
  return repair({ ...projection, stores });
});
