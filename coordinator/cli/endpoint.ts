import { isIPv6 } from 'node:net';
import { InvalidArgumentError } from 'commander';
import { canonicalAddress, isLinkLocal } from '../../daemon/ip-address.ts';

/** Where something listens: a name or an IP address, and a port where one was given. */
export interface HostText {
  readonly host: string;
  readonly port?: number;
}

const BRACKETED = /^\[([^[\]\s]+)\](?::(\d{1,5}))?$/;
const PLAIN = /^([^:[\]\s%/@]+)(?::(\d{1,5}))?$/;
const EXAMPLES = 'for example 192.168.1.20:7828, [fd00::1]:7828 or kitchen.local';

/**
 * Reads "host", "host:port", "[IPv6]", "[IPv6]:port" or a bare IPv6 address, which has no port; a link-local address
 * brings its interface, as in fe80::1%eth0, also written %25eth0 as in URLs.
 * @throws InvalidArgumentError
 */
export function parseHost(text: string): HostText {
  const bare = withZone(text);
  if (bare !== null) return { host: sixth(bare) };
  const bracketed = BRACKETED.exec(text);
  const match = bracketed ?? PLAIN.exec(text);
  const [, name, digits] = match ?? [];
  if (name === undefined) {
    const hint = text.includes('%') || text.includes('::') ? '; an IPv6 address with a port needs brackets' : '';
    throw new InvalidArgumentError(`host:port is expected, ${EXAMPLES}${hint}.`);
  }
  const address = bracketed === null ? name : withZone(name);
  if (address === null) throw new InvalidArgumentError(`an IPv6 address is expected in the brackets, ${EXAMPLES}.`);
  const host = bracketed === null ? name : sixth(address);
  if (digits === undefined) return { host };
  const port = Number(digits);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('a port from 1 to 65535 is expected.');
  return { host, port };
}

/** An address of this machine to listen at. @throws InvalidArgumentError */
export function listenHost(text: string): string {
  const { host, port } = parseHost(text);
  if (port !== undefined) throw new InvalidArgumentError('an address is expected; the port is told with --port.');
  return host;
}

/** An IPv6 address with a zone that no port has got into; null for anything else. */
function withZone(text: string): string | null {
  const plain = text.replace(/%25(?=[a-z])/i, '%');
  return isIPv6(plain) && !/%.*:/.test(plain) ? plain : null;
}

function sixth(address: string): string {
  if (isLinkLocal(address) && !address.includes('%')) {
    throw new InvalidArgumentError(
      `a link-local address is expected with the interface that leads there, for example ${address}%eth0.`,
    );
  }
  return canonicalAddress(address) ?? address;
}
