import { BlockList, isIP, SocketAddress } from 'node:net';

/**
 * The one text of an IP address: small letters, zeros shortened, IPv4 inside IPv6 as IPv4; a zone (`%eth0`) stays.
 * @returns null for anything but an IP address
 */
export function canonicalAddress(text: string): string | null {
  const family = isIP(text);
  if (family === 0) return null;
  if (family === 4) return text;
  const [bare = '', zone] = text.split('%');
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  return mapped ?? (zone === undefined ? address : `${address}%${zone}`);
}

/** Whether an address is inside the subnets, each with its bits that count. */
export type InSubnets = (address: string) => boolean;

/** @param subnets such as fe80::/10, or 10.0.0.7/8 with bits that do not count */
export function subnets(list: readonly string[]): InSubnets {
  const blocks = new BlockList();
  for (const subnet of list) {
    const [address = '', prefix] = subnet.split('/');
    blocks.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (address) => blocks.check(address.split('%')[0] ?? '', familyOf(address));
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.includes(':') ? 'ipv6' : 'ipv4');

/** RFC 4291, section 2.5.6, and RFC 3927: addresses that mean something on one link only; those of IPv6 need a zone. */
export const isLinkLocal: InSubnets = subnets(['fe80::/10', '169.254.0.0/16']);

/** RFC 1918 and RFC 4193: addresses of homes and offices. */
export const isPrivate: InSubnets = subnets(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']);

/** Addresses that name no other machine: unspecified, loopback, multicast, broadcast. */
export const namesNoMachine: InSubnets = subnets([
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/127',
  'ff00::/8',
]);
