// What the process of the embedded broker says of itself.
import { z } from 'zod';

/** The broker listens here only: it knows no passwords, so nothing outside of the device may reach it. */
export const BROKER_HOST = '127.0.0.1';

export const brokerReportSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('listening') }),
  z.strictObject({ type: z.literal('failed'), message: z.string() }),
]);
export type BrokerReport = z.infer<typeof brokerReportSchema>;
