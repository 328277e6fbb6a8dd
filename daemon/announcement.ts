import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet } from 'dns-packet';
import { isLinkLocal } from './ip-address.ts';
import { type NetworkInterface, nearestFirst } from './network-interfaces.ts';
import type { Announcement } from './peers.ts';

/** What a device tells others about itself. */
export interface Advertised {
  readonly id: string;
  readonly name: string;
  readonly keyId: string;
  readonly protocol: number;
  readonly port: number;
}

const SERVICE = '_starling._tcp.local';
/** Where browsers of any service look for its type: RFC 6763, section 9. */
const SERVICE_TYPES = '_services._dns-sd._udp.local';
/** Seconds; RFC 6762, section 10: for records that name a host, and for all others. */
const HOST_TTL = 120;
const TTL = 4500;
/** Of this device's own: what a listener takes from one announcement. */
const MAX_ADDRESSES = 8;
/** Of another, before those that nobody can dial are left out. */
const MAX_TOLD = 32;

/** A question for all devices. */
export const question = (): Buffer => encode({ type: 'query', questions: [{ name: SERVICE, type: 'PTR' }] });

/**
 * A device's announcement, which is its answer as well.
 * @param addresses the device's, first those to be tried first
 * @param goodbye whether it says that the device goes
 */
export function announce(device: Advertised, addresses: readonly string[], goodbye = false): Buffer {
  const { id, name, keyId, protocol, port } = device;
  const instance = instanceOf(id);
  const host = hostOf(id);
  const ttl = goodbye ? 0 : TTL;
  const hostTtl = goodbye ? 0 : HOST_TTL;
  const text = Object.entries({ id, name, keyId, protocol }).map(([key, value]) => Buffer.from(`${key}=${value}`));
  const answers: Answer[] = [
    { name: SERVICE, type: 'PTR', ttl, data: instance },
    { name: instance, type: 'SRV', ttl: hostTtl, data: { port, target: host } },
    { name: instance, type: 'TXT', ttl, data: text },
    { name: SERVICE_TYPES, type: 'PTR', ttl, data: SERVICE },
  ];
  for (const data of addresses)
    answers.push({ name: host, type: data.includes(':') ? 'AAAA' : 'A', ttl: hostTtl, data });
  return encode({ type: 'response', flags: AUTHORITATIVE_ANSWER, answers });
}

// the id as instance name and host: two devices of one host name must not look like one
const instanceOf = (id: string): string => `${id}.${SERVICE}`;
const hostOf = (id: string): string => `${id}.local`;

/**
 * What a device announces on one of its interfaces: that one's addresses first, tunnels last. What is only inside of this
 * machine is left out where there is anything else: others have networks of the same addresses.
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

/** What a packet says or asks about devices. */
export interface Heard {
  readonly announcements: readonly Announcement[];
  /** Instance names of devices that said goodbye. */
  readonly gone: readonly string[];
  /** Whether it asks for a device of this id, by asking for all or for this one. */
  asksFor(id: string): boolean;
}

/**
 * Reads a packet of multicast DNS, in time that grows with its length alone: anyone on the network may have sent it.
 * @returns null when it is malformed
 */
export function hear(message: Uint8Array): Heard | null {
  let packet: Required<Packet>;
  try {
    packet = decode(message);
  } catch {
    return null;
  }
  if (packet.type === 'query') {
    const names = new Set(packet.questions.map(({ name }) => name.toLowerCase()));
    const asksFor = (id: string): boolean =>
      [SERVICE, SERVICE_TYPES, instanceOf(id), hostOf(id)].some((name) => names.has(name));
    return { announcements: [], gone: [], asksFor };
  }
  const records = [...packet.answers, ...packet.additionals];
  const pointers = records.filter(({ name, type }) => type === 'PTR' && same(name, SERVICE)) as Named<'PTR'>[];
  const instances = new Set(pointers.filter(({ ttl }) => ttl > 0).map(({ data }) => data));
  const told = new Told(records);
  return {
    announcements: [...instances].map((instance) => told.announcement(instance)),
    gone: pointers.filter(({ ttl }) => ttl === 0).map(({ data }) => firstLabel(data)),
    asksFor: () => false,
  };
}

type Named<T extends Answer['type']> = Extract<Answer, { readonly type: T }>;

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
const firstLabel = (name: string): string => name.split('.')[0] ?? '';

/** The records of a packet, by name. */
class Told {
  readonly #services = new Map<string, Named<'SRV'>['data']>();
  readonly #texts = new Map<string, Named<'TXT'>['data']>();
  readonly #addresses = new Map<string, string[]>();

  constructor(records: readonly Answer[]) {
    for (const record of records) {
      const name = record.name.toLowerCase();
      if (record.type === 'SRV') this.#services.set(name, record.data);
      if (record.type === 'TXT') this.#texts.set(name, record.data);
      if (record.type !== 'A' && record.type !== 'AAAA') continue;
      const known = this.#addresses.get(name);
      if (known === undefined) this.#addresses.set(name, [record.data]);
      else if (known.length < MAX_TOLD) known.push(record.data);
    }
  }

  announcement(instance: string): Announcement {
    const service = this.#services.get(instance.toLowerCase());
    const text = this.#texts.get(instance.toLowerCase());
    return {
      name: firstLabel(instance),
      port: service?.port,
      txt: text === undefined ? undefined : fieldsOf(text),
      addresses: service === undefined ? undefined : this.#addresses.get(service.target.toLowerCase()),
    };
  }
}

/** The `key=value` items of a TXT record; the last one of a key counts. */
function fieldsOf(items: readonly Uint8Array[]): object {
  return Object.fromEntries(
    items.map((item) => {
      const text = Buffer.from(item).toString();
      const end = text.indexOf('=');
      return end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end + 1)];
    }),
  );
}
