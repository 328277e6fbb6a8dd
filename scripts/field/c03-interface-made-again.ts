import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LanDevice, states } from '../../test/fixtures/lan-device.ts';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

/** Between a cable's going and its coming back; less than it takes to be noticed. */
const UNPLUGGED_MS = 1000;
const FOUND_MS = 15_000;

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
        await daemon.stop();
      }
      return seen.join(', ');
    }),
};

/** Asks again and again, with little patience each time, until the device is found. @returns how long that took */
async function untilFound(laptop: LanDevice): Promise<string> {
  const start = performance.now();
  for (;;) {
    const found = states(await laptop.devices('--wait', '1'));
    const ms = performance.now() - start;
    if (found.dock === 'free') return `found after ${(ms / 1000).toFixed(1)} s`;
    assert.ok(ms < FOUND_MS, `not found in ${FOUND_MS / 1000} s: ${JSON.stringify(found)}`);
  }
}
