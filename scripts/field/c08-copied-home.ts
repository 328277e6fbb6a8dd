import assert from 'node:assert/strict';
import type { FieldCheck } from './field-check.ts';
import { FieldLan } from './field-lan.ts';

const START_MS = 60_000;
const READ = `
  import { readFileSync } from 'node:fs';
  console.log(JSON.stringify(readFileSync(process.env.STARLING_HOME + '/identity.json', 'utf8')));
`;
const WRITE = `
  import { writeFileSync } from 'node:fs';
  writeFileSync(process.env.STARLING_HOME + '/identity.json', process.argv[1]);
  console.log('null');
`;

export const check: FieldCheck = {
  row: 'C8',
  title: 'two devices of one identity, found by themselves, are told about on both and where a model is served',
  needs: ['network namespaces'],
  run: () =>
    FieldLan.with(async (field) => {
      const kitchen = await field.device(field.lan.host(1), 'kitchen');
      const study = await field.device(field.lan.host(2), 'study');
      const laptop = await field.device(field.lan.host(3), 'laptop');
      const first = await kitchen.daemon('kitchen');
      await study.evaluate(WRITE, String(await kitchen.evaluate(READ)));
      const second = await study.daemon('study');
      const serve = laptop.start('serve', 'tiny-chat', '--wait', '6', '--threads', '1', '--port', '0');
      await serve.waitFor(/is served at \S+ by 2 devices/, START_MS);
      assert.match(serve.output, /kitchen at \S+ and study at \S+ have one identity, .*delete identity\.json/);
      await first.waitFor(/study at \S+ has the identity of this device/, START_MS);
      await second.waitFor(/kitchen at \S+ has the identity of this device/, START_MS);
      return 'both daemons and serve name the two, with what to do';
    }),
};
