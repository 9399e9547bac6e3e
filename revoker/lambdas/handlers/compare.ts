import { compare } from '../compare.js';
import { connected, settings } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('Compare', async () => {
  const { projection, stores } = await connected(settings());
  return compare({ ...projection, stores });
});
