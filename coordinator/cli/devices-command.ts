import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { type ClusterKey, loadOrCreateKey } from '../../daemon/cluster-key.ts';
import { COPIED } from '../../daemon/copied-identities.ts';
import { Discovery } from '../../daemon/discovery.ts';
import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import { type Identity, loadIdentity } from '../../daemon/identity.ts';
import { createLogger, type LogLevel } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import type { Control } from '../../daemon/protocol/control.ts';
import type { ControlLink } from '../../daemon/protocol/control-link.ts';
import { greet } from '../../daemon/protocol/greet.ts';
import { hostPort } from '../../daemon/protocol/link.ts';
import { type DialOptions, dialControl } from '../../daemon/protocol/link-client.ts';
import { resolveHost } from '../../daemon/protocol/resolve-host.ts';
import { readRunFile } from '../../daemon/run-file.ts';
import type { Endpoint } from '../cluster/find-devices.ts';
import { raceDials } from '../cluster/race-dials.ts';
import { endpoints, integer, logLevelOption } from './options.ts';
import { OLD_KEY } from './own-daemon.ts';

interface DevicesOptions {
  readonly peer: Endpoint[];
  readonly discovery: boolean;
  readonly wait: number;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

export interface DevicesCommandDeps {
  readonly paths: HomePaths;
  readonly stdout: (text: string) => void;
}

/** A device as the command shows it. */
type Row =
  | {
      readonly name: string;
      readonly address: string;
      readonly state: 'free' | 'measured' | 'serving';
      readonly status: Control<'status'>;
    }
  | {
      readonly name: string;
      readonly address: string;
      readonly state: 'other cluster' | 'unreachable';
      readonly why: string;
    };

const ASK_MS = 5000;
const GIB = 2 ** 30;

export function devicesCommand({ paths, stdout }: DevicesCommandDeps): Command {
  return new Command('devices')
    .description('list the devices of the cluster and what they are doing')
    .option('--peer <host:port>', 'ask this device too, found or not; may be repeated', endpoints, [])
    .option('--no-discovery', 'ask only the daemon of this device and those named with --peer')
    .option('--wait <seconds>', 'how long to listen for devices on the LAN', integer(0, 600), 3)
    .option('--json', 'print one JSON array')
    .addOption(logLevelOption('warn'))
    .addHelpText('after', '\nExamples:\n  $ starling devices\n  $ starling devices --peer 192.168.1.20:7828 --json')
    .action(async (options: DevicesOptions) => {
      const log = createLogger(options.logLevel, 'devices');
      const identity = await loadIdentity(paths.identityFile);
      const { key } = await loadOrCreateKey(paths.keyFile);
      const daemon = await readRunFile(paths.runFile);
      const named = [...(daemon === null ? [] : [{ host: daemon.host, port: daemon.port }]), ...options.peer];
      const rows = await Promise.all(
        named.map(async (endpoint, i) => {
          const address = hostPort(endpoint.host, endpoint.port);
          const asked = { name: address, address, port: endpoint.port, find: () => find(endpoint) };
          const row = await ask(asked, identity, key);
          const isOwn = daemon !== null && i === 0;
          return isOwn && row.state === 'other cluster' ? { ...row, name: identity.name, why: OLD_KEY } : row;
        }),
      );
      if (options.discovery) {
        // A name of its own: the daemon of this device, if there is one, shall be heard as well.
        const discovery = new Discovery({ id: identity.id, browse: true, log });
        discovery.start();
        await sleep(options.wait * 1000);
        const seen = new Set(rows.map(idOf));
        const heard = discovery.peers().filter(({ id }) => !seen.has(id));
        rows.push(
          ...(await Promise.all(
            heard.map(({ id, name, host, port, addresses, keyId }): Row | Promise<Row> => {
              const address = hostPort(host, port);
              if (keyId === key.keyId) return ask({ id, name, address, port, find: () => addresses }, identity, key);
              return { name, address, state: 'other cluster', why: `key ${keyId}, ours is ${key.keyId}` };
            }),
          )),
        );
        await discovery.stop();
      }
      const devices = eachOnce(rows);
      for (const [i, row] of devices.entries()) {
        const same = devices.slice(0, i).find((other) => idOf(row) !== '' && idOf(other) === idOf(row));
        if (same !== undefined) {
          log.warn(`${same.name} at ${same.address} and ${row.name} at ${row.address} have one identity: ${COPIED}`);
        }
      }
      stdout(options.json ? `${JSON.stringify(devices)}\n` : table(devices));
    });
}

const idOf = (row: Row): string => ('status' in row ? row.status.id : '');
const runOf = (row: Row): string => ('status' in row ? row.status.run : '');

/** Without what was reached before at another address. */
const eachOnce = (rows: readonly Row[]): Row[] =>
  rows.filter((row, i) => runOf(row) === '' || rows.findIndex((other) => runOf(other) === runOf(row)) === i);

const find = (endpoint: Endpoint): Promise<string[]> => resolveHost({ ...endpoint, timeoutMs: ASK_MS });

/** A device to be asked. */
interface Asked {
  /** That of who shall answer, where it is known. */
  readonly id?: string;
  readonly name: string;
  /** What is shown where none of them answers. */
  readonly address: string;
  readonly port: number;
  /** Its addresses, nearest first. */
  readonly find: () => readonly string[] | Promise<readonly string[]>;
}

async function ask(asked: Asked, identity: Identity, key: ClusterKey): Promise<Row> {
  const { name, address, port, id } = asked;
  try {
    const link = await raceDials({
      addresses: await asked.find(),
      dial: (host, timeoutMs, signal) => meet({ host, port, key, timeoutMs, signal }, identity, id),
      close: (late) => late.close(),
      timeoutMs: ASK_MS,
    });
    try {
      link.send({ t: 'status_request' });
      const status = await link.next(['status'], ASK_MS);
      return { name: status.name, address: link.remote, state: stateOf(status), status };
    } finally {
      link.close();
    }
  } catch (thrown) {
    const error = toStarlingError(thrown);
    return {
      name,
      address,
      state: error.code === 'key_mismatch' ? 'other cluster' : 'unreachable',
      why: error.message,
    };
  }
}

/**
 * @param id that of who shall answer
 * @throws StarlingError of dialControl, device_unreachable when another device answers
 */
async function meet(dial: DialOptions, identity: Identity, id: string | undefined): Promise<ControlLink> {
  const link = await dialControl(dial);
  try {
    const welcome = await greet(link, identity, 'status', dial.timeoutMs, dial.signal);
    if (id === undefined || welcome.id === id) return link;
    throw new StarlingError('device_unreachable', `another device, ${welcome.name}, answers at ${link.remote}`);
  } catch (error) {
    link.close();
    throw error;
  }
}

function table(rows: readonly Row[]): string {
  if (rows.length === 0) {
    return 'no devices: start "starling daemon" on each, with the key that "starling key show" prints on one of them\n';
  }
  const cells = rows.map((row) => {
    if (!('status' in row)) return [row.name, row.address, row.state, row.why];
    const { cores, threads, backend, memoryBytes, rssBytes, storeBytes } = row.status;
    const doing = describe(row.status);
    const memory = `${gib(rssBytes)} of ${gib(memoryBytes)} GiB in use, ${gib(storeBytes)} GiB stored`;
    return [
      row.name,
      row.address,
      row.state,
      `${threads} of ${cores} cores, ${backend}, ${memory}${doing && `, ${doing}`}`,
    ];
  });
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}\n`).join('');
}

/** What a device computes; of one that is lent, "starling serve" on it knows the details. */
/** A device that is busy without a model is measured. */
const stateOf = ({ busy, model }: Control<'status'>): 'serving' | 'measured' | 'free' =>
  busy ? (model === null ? 'measured' : 'serving') : 'free';

function describe({ model, lent, tiles, memory }: Control<'status'>): string {
  if (model === null) return '';
  if (lent) return `${model}, lent to "starling serve" on the same computer`;
  return `${model} (${tiles} tiles)${memory === null ? '' : `: ${describeMemory(memory)}`}`;
}

/** The parts of a device's memory; what it reads again and again is the first to look at when it is slow. */
function describeMemory(parts: NonNullable<Control<'status'>['memory']>): string {
  const { base, threads, caches, buffers, pinned, window, pinnedTiles, streamedTiles, budget } = parts;
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  const streamed =
    streamedTiles === 0 ? '' : `, ${mb(window)} window for ${streamedTiles} tiles read whenever computed`;
  return (
    `${mb(pinned)} in ${pinnedTiles} tiles kept in memory${streamed}, ${mb(caches)} caches, ${mb(buffers)} buffers, ` +
    `${mb(base + threads)} Node.js, of ${mb(budget)} allowed`
  );
}

const gib = (bytes: number): string => (bytes / GIB).toFixed(1);
