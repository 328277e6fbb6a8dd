import { networkInterfaces } from 'node:os';

/**
 * An address of this machine at which it reaches what listens at `host`: that one, or the loopback one of those that
 * stand for all. IPv6 alone can be off there, as in containers; what listens at `::` is then reached over IPv4.
 */
export function reachableAt(host: string, hasLoopbackSix: () => boolean = findsLoopbackSix): string {
  if (host === '::') return hasLoopbackSix() ? '::1' : '127.0.0.1';
  return host === '0.0.0.0' ? '127.0.0.1' : host;
}

const findsLoopbackSix = (): boolean =>
  Object.values(networkInterfaces()).some((infos) => infos?.some(({ address }) => address === '::1'));
