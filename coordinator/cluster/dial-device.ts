import { isIP } from 'node:net';
import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Peer } from '../../daemon/peers.ts';
import { resolveHost } from '../../daemon/protocol/resolve-host.ts';
import { raceDials } from './race-dials.ts';
import { DIAL_MS, type DialRankOptions, RemoteRank } from './remote-rank.ts';

/** Where a device was said to listen: a name or an IP address, and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

type Options = Omit<DialRankOptions, 'host' | 'port' | 'timeoutMs'>;

/**
 * Connects to a device that was named, at whichever of its addresses answers first.
 * @throws StarlingError of RemoteRank.dial
 */
export async function dialNamed(endpoint: Endpoint, options: Options): Promise<RemoteRank> {
  const { host, port } = endpoint;
  const { signal } = options;
  const addresses = await resolveHost({ ...endpoint, timeoutMs: DIAL_MS, ...(signal === undefined ? {} : { signal }) });
  try {
    return await dialRank(addresses, port, options);
  } catch (thrown) {
    const error = toStarlingError(thrown);
    // the messages name addresses, and people know the name that they gave
    if (isIP(host) !== 0 || error.code === 'cancelled') throw error;
    throw new StarlingError(error.code, `${host}: ${error.message}`, { cause: error });
  }
}

/**
 * Connects to a device that was heard, at whichever of its addresses it answers first.
 * @throws StarlingError of RemoteRank.dial
 */
export const dialHeard = ({ id, name, addresses, port }: Peer, options: Options): Promise<RemoteRank> =>
  dialRank(addresses, port, options, (rank) => {
    // two devices can have the same address on networks of their own
    if (rank.id === id) return;
    rank.close();
    throw new StarlingError('device_unreachable', `${rank.name}, and not ${name}, answers at ${rank.address}`);
  });

const dialRank = (
  addresses: readonly string[],
  port: number,
  options: Options,
  check: (rank: RemoteRank) => void = () => {},
): Promise<RemoteRank> =>
  raceDials({
    addresses,
    dial: async (host, timeoutMs, signal) => {
      const rank = await RemoteRank.dial({ ...options, host, port, timeoutMs, signal });
      check(rank);
      return rank;
    },
    close: (rank) => rank.close(),
    timeoutMs: DIAL_MS,
    signal: options.signal,
  });
