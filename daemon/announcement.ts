import Bonjour from 'bonjour-service';
import { isLinkLocal } from './ip-address.ts';
import { type NetworkInterface, nearestFirst } from './network-interfaces.ts';

/** What a device tells others about itself. */
export interface Advertised {
  readonly id: string;
  readonly name: string;
  readonly keyId: string;
  readonly protocol: number;
  readonly port: number;
  /** Its process: two devices of one id, as of a copied home, are told apart by it. */
  readonly run?: string | undefined;
}

export type ServiceRecord = ReturnType<InstanceType<typeof Bonjour.Service>['records']>[number];

export const SERVICE_TYPE = 'starling';
export const SERVICE_NAME = '_starling._tcp.local';
/** Seconds; RFC 6762, section 10, for records that name a host. */
const HOST_TTL = 120;
/** Of this device's own: what a listener takes from one announcement. */
const MAX_ADDRESSES = 8;

/**
 * The records of a device: the library's, but for addresses, of which it tells those of every interface.
 * @param addresses first those to be tried first
 */
export function recordsOf(device: Advertised, addresses: readonly string[]): ServiceRecord[] {
  const { id, name, keyId, protocol, port, run } = device;
  // the id as instance name and host: two devices of one host name must not look like one
  const host = `${id}.local`;
  const txt = { id, name, keyId, protocol: String(protocol), ...(run === undefined ? {} : { run }) };
  const service = new Bonjour.Service(
    { name: id, type: SERVICE_TYPE, host, port, txt },
    () => {},
    () => {},
  );
  const isAddress = ({ type }: ServiceRecord): boolean => type === 'A' || type === 'AAAA';
  return [
    ...service.records().filter((record) => !isAddress(record)),
    ...addresses.map(
      (data): ServiceRecord => ({ name: host, type: data.includes(':') ? 'AAAA' : 'A', ttl: HOST_TTL, data }),
    ),
  ];
}

/**
 * What a device announces on one of its interfaces: that one's addresses first, tunnels last. What is only inside of
 * this machine is left out where there is anything else: others have networks of the same addresses.
 * @param here the interface's name
 */
export function announcedAddresses(interfaces: readonly NetworkInterface[], here: string): string[] {
  const own = interfaces.filter(({ name }) => name === here);
  const others = nearestFirst(interfaces.filter(({ name }) => name !== here));
  const outward = others.filter(({ kind }) => kind !== 'container');
  const elsewhere = own.length + outward.length > 0 ? outward : others;
  return [
    ...own.flatMap(({ addresses }) => addresses),
    ...elsewhere.flatMap(({ addresses }) => addresses.filter(({ address }) => !isLinkLocal(address))),
  ]
    .map(({ address }) => address)
    .slice(0, MAX_ADDRESSES);
}
