import assert from 'node:assert/strict';
import { states } from '../../test/fixtures/lan-device.ts';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

const SERVE_MS = 60_000;
/** For the system to see that nobody else has a link-local address. */
const ADDRESS_MS = 2000;

export const check: FieldCheck = {
  row: 'C16',
  title: 'a LAN of IPv6 alone: devices are found, named, and serve',
  needs: ['network namespaces'],
  run: () =>
    FieldLan.with(async (field) => {
      const hosts = [1, 2, 3].map((number) => field.lan.host(number, 'none', 6)) as [Host, Host, Host];
      const [kitchen, study, laptop] = await Promise.all([
        field.device(hosts[0], 'kitchen'),
        field.device(hosts[1], 'study'),
        field.device(hosts[2], 'laptop'),
      ]);
      await Promise.all([kitchen.daemon('kitchen'), study.daemon('study')]);
      const both = { kitchen: 'free', study: 'free' };
      const found = await laptop.devices();
      assert.deepEqual(states(found), both);
      assert.equal(found.kitchen!.address, '[fd88::1]:7828');

      const linkLocal = /inet6 (fe80::[0-9a-f:]+)/.exec(hosts[0].ip('addr', 'show', 'dev', 'eth0'))?.[1];
      const ways = ['[fd88::1]', 'fd88::1', '[fd88::1]:7828', `${linkLocal}%eth0`, `[${linkLocal}%eth0]:7828`];
      for (const peer of ways) {
        assert.deepEqual(states(await laptop.devices('--no-discovery', '--peer', peer)), { kitchen: 'free' }, peer);
      }

      hosts[1].ip('addr', 'flush', 'dev', 'eth0', 'scope', 'global');
      await new Promise((resolve) => setTimeout(resolve, ADDRESS_MS));
      const again = await laptop.devices();
      assert.deepEqual(states(again), both);
      assert.match(String(again.study!.address), /^\[fe80::.*%eth0\]:7828$/);

      const serve = laptop.start('serve', 'tiny-chat', '--wait', '3', '--threads', '1', '--host', '::', '--port', '0');
      const [, url = '', devices] = await serve.waitFor(/is served at (\S+)\/v1 by (\d+) devices/, SERVE_MS);
      assert.match(url, /^http:\/\/\[::1\]:\d+$/);
      assert.equal(devices, '3', serve.output);
      assert.equal((await laptop.ask(url)).status, 200);
      return `2 devices found and named in ${ways.length} ways, one of them with a link-local address alone; 3 serve at ${url}`;
    }),
};

type Host = ReturnType<FieldLan['lan']['host']>;
