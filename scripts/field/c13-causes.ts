import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

const START_MS = 60_000;
const STOPPED_MS = 5000;

export const check: FieldCheck = {
  row: 'C13',
  title: 'a computer that sleeps, and a path that swallows large packets, are told as what they are',
  needs: ['network namespaces'],
  run: () =>
    FieldLan.with(async (field) => {
      const [kitchenHost, laptopHost] = [field.lan.host(1), field.lan.host(2)];
      const kitchen = await field.device(kitchenHost, 'kitchen');
      const laptop = await field.device(laptopHost, 'laptop');
      await kitchen.daemon('kitchen');
      const serveArgs = ['serve', 'tiny-chat', '--no-discovery', '--threads', '1', '--port', '0'];
      const serve = laptop.start(...serveArgs, '--peer', kitchenHost.address);
      await serve.waitFor(/is served at \S+ by 2 devices/, START_MS);
      process.kill(serve.pid, 'SIGSTOP');
      await sleep(STOPPED_MS);
      process.kill(serve.pid, 'SIGCONT');
      const [slept] = await serve.waitFor(/device kitchen is lost: [^"]*/, START_MS);
      assert.match(slept, /this computer was asleep or stopped for [45]\.\d s, and \S+ took it for gone/);
      await serve.stop();

      // Frames beyond 1300 bytes of the laptop vanish, and nobody says so, as with a tunnel in the path.
      field.lan.narrow(laptopHost, 1300);
      const stuck = laptop.start(...serveArgs, '--peer', kitchenHost.address);
      const [told] = await stuck.waitFor(/starling: .*/, START_MS);
      assert.match(told, /large packets .*try a smaller MTU/);
      return `"${slept}" and "${told}"`;
    }),
};
