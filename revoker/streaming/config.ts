import { z } from 'zod';

/** Settings of the streaming path, beside the detector's own. */
export const streamingConfigSchema = z.object({
  /** Columns of the real-time log, in the order of its configuration: the records do not tell them. */
  fields: z.array(z.string()).min(4).optional(),
  /** Stretch whose requests are judged together, in seconds. Judged anew at each flush, so a verdict does not wait for its end. */
  windowSeconds: z.number().int().min(30).max(900).default(120),
  /** Least evidence before a session is judged; smaller than in the logs at rest, since a stretch is shorter. */
  evidence: z
    .object({
      media: z.number().int().min(1).default(12),
      repeated: z.number().int().min(1).default(5),
      moments: z.number().int().min(1).default(2),
    })
    .prefault({}),
  /**
   * Requests remembered of a session in a stretch, from which on no more are taken: so many are a finding by themselves. A set
   * ends at twice as many at most, which an item of DynamoDB must hold.
   */
  mostEntries: z.number().int().min(100).max(2500).default(2000),
  /** How long aggregates are kept after their stretch, in seconds. */
  keepSeconds: z.number().int().min(60).default(3600),
});

export type StreamingConfig = z.infer<typeof streamingConfigSchema>;
