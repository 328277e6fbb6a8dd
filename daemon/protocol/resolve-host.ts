import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { dialOrder } from '../dial-order.ts';
import { networkInterfaces } from '../network-interfaces.ts';
import { type DialOptions, dialDeadline, dialStopped, unreachable } from './link-client.ts';

/**
 * The addresses of a host, nearest first; a name may have several, of both families.
 * @throws StarlingError device_unreachable when there is no such name, or no answer in time; cancelled by the signal
 */
export async function resolveHost(options: Omit<DialOptions, 'key'>): Promise<string[]> {
  const { host } = options;
  if (isIP(host) !== 0) return [host];
  const stop = dialDeadline(options);
  const stopped = new Promise<never>((_, reject) => {
    const abort = (): void => reject(dialStopped(options));
    if (stop.aborted) abort();
    else stop.addEventListener('abort', abort, { once: true });
  });
  const found = lookup(host, { all: true }).catch((error: Error) => {
    throw unreachable(error, options);
  });
  const addresses = (await Promise.race([found, stopped])).map(({ address }) => address);
  return dialOrder(addresses, networkInterfaces());
}
