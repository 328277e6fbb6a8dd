import { readFileSync } from 'node:fs';
import * as os from 'node:os';

/**
 * What is behind an interface: a network, a tunnel to a distant one, or containers and virtual machines in this
 * computer.
 */
export type InterfaceKind = 'network' | 'tunnel' | 'container';

export interface OwnAddress {
  readonly address: string;
  readonly family: 4 | 6;
  /** Bits of the address that are its network's. */
  readonly prefix: number;
}

/** An interface of this machine that is up, without the loopback one. */
export interface NetworkInterface {
  readonly name: string;
  /** The system's number of it: another one after it was removed and made again. 0 where it is not known. */
  readonly index: number;
  readonly mac: string;
  readonly kind: InterfaceKind;
  readonly addresses: readonly OwnAddress[];
}

const TUNNEL = /^(tun|tap|wg|ppp|utun|ipsec|tailscale|zt|nordlynx|proton|vpn)/i;
/**
 * Docker names the bridges of its networks by twelve hexadecimal digits; others, such as br-lan and br0, are networks.
 */
const CONTAINER = /^(docker|br-[0-9a-f]{12}$|veth|virbr|cni|podman|lxcbr|lxdbr|vmnet|vboxnet|vEthernet|cali|flannel)/i;
/** What has no hardware address: on Linux, tunnels. */
const NO_MAC = '00:00:00:00:00:00';

/** The interfaces of this machine, in the system's order. */
export function networkInterfaces(): NetworkInterface[] {
  return interfacesOf(os.networkInterfaces(), systemIndex);
}

/** @param indexOf the number of an interface without a link-local IPv6 address, which tells it */
export function interfacesOf(
  system: ReturnType<typeof os.networkInterfaces>,
  indexOf: (name: string) => number,
): NetworkInterface[] {
  const interfaces: NetworkInterface[] = [];
  for (const [name, infos] of Object.entries(system)) {
    const outward = (infos ?? []).filter(({ internal }) => !internal);
    const [first] = outward;
    if (first === undefined) continue;
    const scope = outward.find((info) => info.family === 'IPv6' && info.scopeid !== 0);
    interfaces.push({
      name,
      index: scope?.family === 'IPv6' ? scope.scopeid : indexOf(name),
      mac: first.mac,
      kind: kindOf(name, first.mac),
      addresses: outward.map(({ address, family, cidr }) => ({
        address,
        family: family === 'IPv4' ? 4 : 6,
        prefix: Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128)),
      })),
    });
  }
  return interfaces;
}

export function kindOf(name: string, mac: string): InterfaceKind {
  if (CONTAINER.test(name)) return 'container';
  return TUNNEL.test(name) || mac === NO_MAC ? 'tunnel' : 'network';
}

const DISTANCE: Readonly<Record<InterfaceKind, number>> = { network: 0, tunnel: 1, container: 2 };

/** Networks, then tunnels, then what is only inside of this machine. */
export const nearestFirst = (interfaces: readonly NetworkInterface[]): NetworkInterface[] =>
  [...interfaces].sort((a, b) => DISTANCE[a.kind] - DISTANCE[b.kind]);

/** What follows `%` in a link-local address of this interface. */
export const zoneOf = ({ name, index }: NetworkInterface): string =>
  process.platform === 'win32' ? String(index) : name;

function systemIndex(name: string): number {
  if (process.platform !== 'linux') return 0;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    // gone since it was listed, or a system without this file: its addresses tell it from others then
    return 0;
  }
}
