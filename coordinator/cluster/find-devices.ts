import { setTimeout as sleep } from 'node:timers/promises';
import { acquireAll } from '../../daemon/acquire-all.ts';
import type { ClusterKey } from '../../daemon/cluster-key.ts';
import { COPIED } from '../../daemon/copied-identities.ts';
import type { Discovery } from '../../daemon/discovery.ts';
import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { Logger } from '../../daemon/log.ts';
import type { Peer } from '../../daemon/peers.ts';
import type { OpenChannel } from '../../daemon/protocol/channel.ts';
import { PROTOCOL_VERSION } from '../../daemon/protocol/control.ts';
import { hostPort } from '../../daemon/protocol/link.ts';
import { dialHeard, dialNamed, type Endpoint } from './dial-device.ts';
import type { RemoteRank } from './remote-rank.ts';

export type { Endpoint };

export interface FindDevicesOptions {
  readonly key: ClusterKey;
  readonly identity: Identity;
  /** The process of this device's own daemon, if one runs. */
  readonly ownRun?: string | undefined;
  /** How data links are read and written. */
  readonly openChannel: OpenChannel;
  /** Devices to use whether discovery hears of them or not; one that cannot be used is an error. */
  readonly peers: readonly Endpoint[];
  /** Started; null to use `peers` only. */
  readonly discovery: Discovery | null;
  /** How long to listen for devices. */
  readonly waitMs: number;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

const speaksOurs = ({ protocol }: Peer): boolean => protocol === PROTOCOL_VERSION;

/**
 * Sees whether the devices that were named can be used, and lets them go: before what takes long.
 * @throws StarlingError when one cannot
 */
export async function checkNamed(
  peers: readonly Endpoint[],
  options: Pick<FindDevicesOptions, 'key' | 'identity' | 'openChannel' | 'signal'>,
): Promise<void> {
  const { signal, ...rest } = options;
  const dials = peers.map((endpoint) => (stop: AbortSignal) => dialNamed(endpoint, { ...rest, signal: stop }));
  for (const rank of await acquireAll(dials, (dialled) => dialled.close(), signal)) rank.close();
}

/**
 * Connects to every device that can be used: those named, and those heard on the LAN with this cluster's key. Whatever
 * keeps a heard device from being used is named in the log.
 * @returns free devices other than this one, in order of their ids, each once
 * @throws StarlingError when a named device cannot be used
 */
export async function findDevices(options: FindDevicesOptions): Promise<RemoteRank[]> {
  const { key, identity, ownRun, openChannel, peers, discovery, waitMs, log, signal } = options;
  const found = new Map<string, RemoteRank>();
  const rankOptions = { key, identity, openChannel, ...(signal === undefined ? {} : { signal }) };
  const keep = (rank: RemoteRank): void => {
    const same = found.get(rank.id);
    if (rank.id === identity.id && rank.welcome.run !== ownRun) {
      log.warn(
        { device: rank.name, address: rank.address, id: rank.id },
        `${rank.name} at ${rank.address} has the identity of this device, and is not used: ${COPIED}`,
      );
      rank.close();
    } else if (rank.id === identity.id) {
      log.info(
        { device: rank.name, address: rank.address },
        `${rank.name} is this device, and not used over the network`,
      );
      rank.close();
    } else if (same !== undefined) {
      if (same.welcome.run !== rank.welcome.run) {
        log.warn(
          { device: rank.name, address: rank.address, id: rank.id },
          `${same.name} at ${same.address} and ${rank.name} at ${rank.address} have one identity, and only the first is used: ${COPIED}`,
        );
      }
      rank.close();
    } else found.set(rank.id, rank);
  };
  try {
    const dials = peers.map((endpoint) => (stop: AbortSignal) => dialNamed(endpoint, { ...rankOptions, signal: stop }));
    for (const rank of await acquireAll(dials, (dialled) => dialled.close(), signal)) keep(rank);
    if (discovery !== null) {
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
      const heard = discovery.peers().filter(({ id }) => !found.has(id));
      for (const { name, host, port, keyId } of heard.filter((peer) => peer.keyId !== key.keyId)) {
        log.warn(
          { device: name, address: hostPort(host, port), keyId },
          `${name} belongs to another cluster (key ${keyId}, ours is ${key.keyId}) and is not used`,
        );
      }
      for (const { name, host, port, protocol } of heard.filter((peer) => !speaksOurs(peer))) {
        log.warn(
          { device: name, address: hostPort(host, port), code: 'protocol_version' },
          `${name} speaks protocol ${protocol}, this computer ${PROTOCOL_VERSION}, and is not used; run the same version of Starling on both`,
        );
      }
      if (heard.length === 0 && found.size === 0) {
        log.info(
          `no other device was heard within ${waitMs / 1000} s; if "starling daemon" runs on some, name them with --peer host:port: firewalls, guest networks and some Wi-Fi keep multicast (UDP port 5353) from computers`,
        );
      }
      for (const { id, devices } of discovery.copiedIdentities().filter(({ keyId }) => keyId === key.keyId)) {
        log.warn({ id }, `${devices.join(' and ')} have one identity, and only one of them is used: ${COPIED}`);
      }
      // At once: an announced device that is gone takes seconds to give up on.
      await Promise.all(
        heard
          .filter((peer) => peer.keyId === key.keyId && speaksOurs(peer))
          .map(async (peer) => {
            try {
              keep(await dialHeard(peer, rankOptions));
            } catch (error) {
              if (signal?.aborted) return;
              const address = hostPort(peer.host, peer.port);
              log.warn({ device: peer.name, address }, toStarlingError(error).message);
            }
          }),
      );
      if (signal?.aborted) throw new StarlingError('cancelled', 'ended while devices were looked for');
    }
  } catch (error) {
    for (const rank of found.values()) rank.close();
    throw error;
  }
  const usable: RemoteRank[] = [];
  for (const rank of [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (rank.welcome.busy) {
      log.warn(
        { device: rank.name },
        `${rank.name} is serving ${rank.welcome.serving ?? 'another model'} and is not used`,
      );
      rank.close();
    } else {
      usable.push(rank);
    }
  }
  return usable;
}
