import assert from 'node:assert/strict';
import { states } from '../../test/fixtures/lan-device.ts';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

const SERVE_MS = 60_000;
/** One connection's time and no more, beside the 2 s of listening and the start of a process. */
const GIVEN_UP_MS = 12_000;

export const check: FieldCheck = {
  row: 'C15',
  title: 'a device whose packets a firewall drops, with a VPN and containers, is given up within one connection time',
  needs: ['network namespaces'],
  run: () =>
    FieldLan.with(async (field) => {
      const hosts = [1, 2, 3].map((number) => field.lan.host(number, 'none'));
      hosts[0]!.ip('link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'far0');
      hosts[0]!.ip('addr', 'add', '10.88.0.1/24', 'dev', 'vpn0');
      for (const end of ['vpn0', 'far0']) hosts[0]!.ip('link', 'set', end, 'up');
      for (const host of hosts) {
        // the same bridge of containers on each; every device answers at its own
        host.ip('link', 'add', 'docker0', 'type', 'bridge');
        host.ip('addr', 'add', '172.17.0.1/16', 'dev', 'docker0');
        host.ip('link', 'set', 'docker0', 'up');
        host.ip('link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'container0');
        host.ip('link', 'set', 'port0', 'master', 'docker0', 'up');
        host.ip('link', 'set', 'container0', 'up');
      }
      const [walled, open, laptop] = await Promise.all([
        field.device(hosts[0]!, 'walled'),
        field.device(hosts[1]!, 'open'),
        field.device(hosts[2]!, 'laptop'),
      ]);
      // what the laptop sends there goes to hardware that nobody has, as if a firewall dropped it
      const linkLocal = /inet6 (fe80::[0-9a-f:]+)/.exec(hosts[0]!.ip('addr', 'show', 'dev', 'eth0'))?.[1];
      for (const silent of ['10.77.0.1', '10.77.0.254', linkLocal!]) {
        hosts[2]!.ip('neigh', 'add', silent, 'lladdr', '02:00:00:00:00:fe', 'dev', 'eth0', 'nud', 'permanent');
      }
      hosts[2]!.ip('route', 'add', '10.88.0.0/24', 'via', '10.77.0.254');
      await Promise.all([walled.daemon('walled'), open.daemon('open'), laptop.daemon('laptop')]);

      const start = performance.now();
      const found = states(await laptop.devices('--wait', '2'));
      const ms = performance.now() - start;
      assert.deepEqual(found, { laptop: 'free', open: 'free', walled: 'unreachable' });
      assert.ok(ms < GIVEN_UP_MS, `the list took ${ms} ms`);

      const begun = performance.now();
      const serve = laptop.start('serve', 'tiny-chat', '--wait', '2', '--threads', '1', '--port', '0');
      const [, , devices] = await serve.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
      const served = performance.now() - begun;
      assert.equal(devices, '2', serve.output);
      assert.ok(served < GIVEN_UP_MS, `serving took ${served} ms`);
      return `listed after ${(ms / 1000).toFixed(1)} s, served by 2 devices after ${(served / 1000).toFixed(1)} s`;
    }),
};
