import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LanDevice, states } from '../../test/fixtures/lan-device.ts';
import type { NamespaceHost } from '../../test/fixtures/network-namespaces.ts';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

/** Between a cable's going and its coming back; less than it takes to be noticed. */
const UNPLUGGED_MS = 1000;
const FOUND_MS = 15_000;
/** A socket is found deaf by its own packets, the rarest of which are half a minute apart. */
const DEAF_MS = 40_000;
/** Long enough to be taken for a sleep of the machine. */
const ASLEEP_MS = 12_000;

export const check: FieldCheck = {
  row: 'C3',
  title: 'a network interface that goes and comes back, or comes late: its device is found again',
  needs: ['network namespaces'],
  run: () =>
    FieldLan.with(async (field) => {
      const seen: string[] = [];
      for (const family of [4, 6] as const) {
        const host = field.lan.host(family, 'none', family);
        const [dock, laptop] = await Promise.all([
          field.device(host, `dock${family}`),
          field.device(field.lan.host(family + 10, 'none', family), `laptop${family}`),
        ]);
        field.lan.unplug(host);
        const daemon = await dock.daemon('dock');
        field.lan.plug(host);
        seen.push(`IPv${family}: network after the start ${await untilFound(laptop)}`);

        field.lan.unplug(host);
        await sleep(UNPLUGGED_MS);
        field.lan.plug(host);
        seen.push(`made again ${await untilFound(laptop)}`);

        host.ip('addr', 'flush', 'dev', 'eth0', 'scope', 'global');
        host.ip('addr', 'add', family === 4 ? '10.77.0.99/24' : 'fd88::99/64', 'dev', 'eth0');
        seen.push(`another address ${await untilFound(laptop)}`);

        if (family === 4) {
          const spare = field.lan.host(9, 'none');
          field.lan.unplug(spare);
          process.kill(daemon.pid, 'SIGSTOP');
          makeAgainUnseen(host, spare);
          await sleep(ASLEEP_MS);
          process.kill(daemon.pid, 'SIGCONT');
          seen.push(`made again in its sleep ${await untilFound(laptop)}`);

          makeAgainUnseen(host, spare);
          seen.push(`memberships lost unseen ${await untilFound(laptop, DEAF_MS)}`);
        }
        await daemon.stop();
      }
      return seen.join(', ');
    }),
};

/**
 * Takes an interface through another namespace: it loses its memberships, and keeps its number, its name and its
 * address.
 */
function makeAgainUnseen(host: NamespaceHost, spare: NamespaceHost): void {
  host.ip('link', 'set', 'eth0', 'netns', spare.namespace);
  spare.ip('link', 'set', 'eth0', 'netns', host.namespace);
  host.ip('addr', 'add', '10.77.0.99/24', 'dev', 'eth0');
  host.ip('link', 'set', 'eth0', 'up');
}

/** Asks again and again, with little patience each time, until the device is found. @returns how long that took */
async function untilFound(laptop: LanDevice, mostMs = FOUND_MS): Promise<string> {
  const start = performance.now();
  for (;;) {
    const found = states(await laptop.devices('--wait', '1'));
    const ms = performance.now() - start;
    if (found.dock === 'free') return `found after ${(ms / 1000).toFixed(1)} s`;
    assert.ok(ms < mostMs, `not found in ${mostMs / 1000} s: ${JSON.stringify(found)}`);
  }
}
