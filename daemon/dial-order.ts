import { canonicalAddress, isLinkLocal, isPrivate, subnets } from './ip-address.ts';
import type { InterfaceKind, NetworkInterface } from './network-interfaces.ts';

/**
 * The addresses of another device, nearest first: on a network of this machine, link-local, private, anything else,
 * inside of networks that are only in this machine, and last this machine's own. A bridge of containers has the same
 * address on every machine that has one, and at an address of ours answers ours. Where two are equally near, IPv4 is
 * first, being what people know their devices by; then the order given.
 * @param addresses IP addresses; anything else is left out, and so is what comes twice
 */
export function dialOrder(addresses: readonly string[], interfaces: readonly NetworkInterface[]): string[] {
  const networksOf = (kind: InterfaceKind) =>
    subnets(interfaces.filter((each) => each.kind === kind).flatMap((each) => each.addresses.map(cidr)));
  const own = new Set(interfaces.flatMap((each) => each.addresses.map(({ address }) => canonicalAddress(address))));
  const [onNetwork, overTunnel, amongContainers] = [
    networksOf('network'),
    networksOf('tunnel'),
    networksOf('container'),
  ];
  const distance = (address: string): number => {
    if (own.has(address.split('%')[0] ?? '')) return 5;
    if (isLinkLocal(address)) return 1;
    if (onNetwork(address)) return 0;
    if (amongContainers(address)) return 4;
    return isPrivate(address) && !overTunnel(address) ? 2 : 3;
  };
  const canonical = new Set(addresses.map(canonicalAddress).filter((address) => address !== null));
  return [...canonical]
    .map((address) => ({ address, distance: distance(address), family: address.includes(':') ? 6 : 4 }))
    .sort((a, b) => a.distance - b.distance || a.family - b.family)
    .map(({ address }) => address);
}

const cidr = ({ address, prefix }: { readonly address: string; readonly prefix: number }): string =>
  `${address}/${prefix}`;
