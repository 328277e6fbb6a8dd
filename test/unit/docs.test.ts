import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { DEFAULT_DEVICE_PORT } from '../../coordinator/cli/options.ts';
import { OPENAI_ERROR_TYPES } from '../../coordinator/http/dialects/openai/dialect.ts';
import { ROUTES } from '../../coordinator/http/routes.ts';
import { DEFAULT_HTTP_PORT } from '../../coordinator/http/server.ts';
import { MAX_PHASE_TILES, MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import { ERRORS } from '../../daemon/errors.ts';
import { KEY_BYTES } from '../../daemon/key-text.ts';
import { packageRoot } from '../../daemon/paths.ts';
import { NONCE_BYTES, SECRET_BYTES, TAG_BYTES } from '../../daemon/protocol/channel.ts';
import {
  type Control,
  type ControlType,
  MAX_CONTROL,
  MAX_TILES,
  PROTOCOL_VERSION,
} from '../../daemon/protocol/control.ts';
import { LOST_AFTER_MS, PING_MS } from '../../daemon/protocol/control-link.ts';
import { FRAME_TYPES, HEADER_BYTES, MAX_FRAME, MAX_INPUTS } from '../../daemon/protocol/frames.ts';
import { USAGE_BYTES } from '../../daemon/protocol/star-codec.ts';
import { HASH_BYTES, TILE_CHUNK, TILE_WINDOW } from '../../daemon/protocol/tile-transfer.ts';
import { MAX_TILE } from '../../daemon/store/incoming-tile.ts';
import { TRAILER_BYTES } from '../../daemon/store/tile-file.ts';
import { TILE_VERSION } from '../../daemon/tile/tile.ts';
import { WEIGHT_FORMATS } from '../../kernels/formats.ts';
import { commandLine } from '../fixtures/command-line.ts';

const root = packageRoot();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const README = read('README.md');
const PROTOCOL = read('docs/PROTOCOL.md');

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'coordinator/models/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The rows of the first table whose header begins with these cells, as cells. */
function table(text: string, ...header: string[]): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => header.every((cell, i) => cells(line)[i] === cell));
  assert.ok(start >= 0, `there is no table of ${header.join(', ')}`);
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'));
  return lines.slice(start + 2, end).map(cells);
}

const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** What stands in backticks. */
const codes = (text = ''): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

const sorted = (values: Iterable<string>): string[] => [...values].sort();

async function help(...command: string[]): Promise<string> {
  // Help needs no home, and makes none.
  return (await commandLine([...command, '--help'], { home: '/nowhere' })).stdout;
}

/** The commands that a help text lists, `help` itself left out. */
function commandsIn(text: string): string[] {
  const list = /\nCommands:\n((?: {2}.*\n)*)/.exec(text)?.[1] ?? '';
  return [...list.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1]!).filter((name) => name !== 'help');
}

describe('ERRORS.md', () => {
  test('lists every error with its status, type and exit code, in the order of the table', () => {
    const documented = table(read('docs/ERRORS.md'), 'code', 'HTTP').map((row) => row.slice(0, 4).join(' '));
    const actual = Object.entries(ERRORS).map(
      ([code, { http, fault, exit }]) => `\`${code}\` ${http} ${OPENAI_ERROR_TYPES[fault]} ${exit}`,
    );
    assert.deepEqual(documented, actual);
  });
});

describe('README', async () => {
  const commands = commandsIn(await help());
  const helps = new Map<string, string>();
  for (const name of commands) helps.set(name, await help(name));

  test('lists every command and no other', () => {
    const actual = commands.flatMap((name) => {
      const inner = commandsIn(helps.get(name) ?? '');
      return inner.length === 0 ? [name] : inner.map((part) => `${name} ${part}`);
    });
    const documented = table(README, 'command').map(
      ([command]) => /^`starling ([a-z ]+?)(?: [A-Z ]+)?`$/.exec(command ?? '')?.[1],
    );
    assert.deepEqual(sorted(documented.map(String)), sorted(actual));
  });

  test('lists no option that a command does not have', () => {
    const rows = table(README, 'option', 'of');
    assert.ok(rows.length > 0);
    for (const [option, of] of rows) {
      const flag = /^`(--[a-z-]+)/.exec(option ?? '')?.[1] ?? '';
      const named = of!.startsWith('all but ')
        ? commands.filter(
            (name) =>
              !of!
                .slice('all but '.length)
                .split(/ and |, /)
                .includes(name),
          )
        : of!.split(', ');
      for (const name of named) assert.match(helps.get(name) ?? '', new RegExp(`${flag}\\b`), `${name} ${flag}`);
    }
  });

  test('lists the routes that there are', () => {
    const actual = ROUTES.map(
      ({ method, path, dialect }) => `${method} ${path.replace(/:id(\{[^}]*\})?/, 'ID')} of ${dialect.name}`,
    );
    const documented = table(README, 'route', 'of').flatMap(([route, of]) =>
      codes(route).map((each) => `${each} of ${of}`),
    );
    assert.deepEqual(sorted(documented), sorted(actual));
  });

  test('lists the weight types that are computed', () => {
    const documented = /^Weight types: ([^.]+)\./m.exec(README)?.[1]?.split(/,\s+/) ?? [];
    assert.deepEqual(sorted(documented), sorted(Object.keys(WEIGHT_FORMATS)));
  });

  test('names the ports', () => {
    const ports = table(README, 'option', 'of').filter(([option]) => option === '`--port N`');
    assert.deepEqual(
      ports.map(([, , port]) => port),
      [String(DEFAULT_HTTP_PORT), String(DEFAULT_DEVICE_PORT)],
    );
  });
});

/** Every control message and its fields besides `t`; the compiler refuses this when one is missing. */
const CONTROL_FIELDS: { readonly [T in ControlType]: { readonly [F in Exclude<keyof Control<T>, 't'>]: true } } = {
  hello: { protocol: true, id: true, name: true, purpose: true },
  welcome: {
    protocol: true,
    version: true,
    id: true,
    name: true,
    run: true,
    platform: true,
    arch: true,
    cores: true,
    memoryBytes: true,
    backend: true,
    threads: true,
    busy: true,
    serving: true,
  },
  load: { session: true, secret: true, modelId: true, modelName: true, engine: true, tiles: true },
  missing: { indices: true },
  start: {},
  progress: { done: true, total: true },
  ready: { memory: true },
  unload: {},
  measure: { session: true, secret: true, formats: true },
  profile: { formats: true, attention: true, phaseMs: true, disk: true, readingMs: true, memory: true },
  forget: {},
  borrow: { modelName: true },
  lent: { residentBytes: true },
  status_request: {},
  status: {
    version: true,
    id: true,
    name: true,
    run: true,
    platform: true,
    arch: true,
    cores: true,
    memoryBytes: true,
    backend: true,
    threads: true,
    busy: true,
    serving: true,
    model: true,
    lent: true,
    tiles: true,
    storeBytes: true,
    rssBytes: true,
    memory: true,
  },
  error: { code: true, message: true, fatal: true },
  ping: { n: true },
  pong: { n: true },
};

describe('PROTOCOL.md', () => {
  test('lists every control message with its fields', () => {
    const rows = table(PROTOCOL, 'type', 'direction');
    assert.deepEqual(sorted(rows.map(([type]) => codes(type).join())), sorted(Object.keys(CONTROL_FIELDS)));
    const facts = codes(/^The facts of a device:[\s\S]*?\n\n/m.exec(PROTOCOL)?.[0]);
    assert.ok(facts.length > 0);
    for (const [type, , text = ''] of rows) {
      const fields = Object.keys(CONTROL_FIELDS[codes(type)[0] as ControlType]);
      const documented = [...codes(text), ...(text.includes('the facts') ? facts : [])];
      for (const field of fields) assert.ok(documented.includes(field), `${type} lacks ${field}`);
      if (fields.length === 0) assert.match(text, /^none/);
    }
  });

  test('lists every frame type with its number', () => {
    const documented = table(PROTOCOL, 'type', 'number').map(([type, number]) => [codes(type)[0], Number(number)]);
    assert.deepEqual(documented, Object.entries(FRAME_TYPES));
  });

  test('states the limits as they are', () => {
    const actual = {
      PROTOCOL_VERSION,
      MAX_CONTROL,
      MAX_TILES,
      MAX_FRAME,
      HEADER_BYTES,
      MAX_ROWS,
      MAX_INPUTS,
      MAX_PHASE_TILES,
      MAX_TILE,
      TILE_CHUNK,
      TILE_WINDOW,
      USAGE_BYTES,
      SECRET_BYTES,
      NONCE_BYTES,
      TAG_BYTES,
      HASH_BYTES,
      TRAILER_BYTES,
      TILE_VERSION,
      KEY_BYTES,
      PING_MS,
      LOST_AFTER_MS,
    };
    const documented = table(PROTOCOL, 'limit', 'value').map(([name, value]) => [
      codes(name)[0]!,
      Number.parseInt(value!, 10),
    ]);
    assert.deepEqual(Object.fromEntries(documented), actual);
  });
});

for (const document of DOCUMENTS) {
  describe(document, () => {
    const text = read(document);

    test('links to what exists', () => {
      for (const [, target] of text.matchAll(/\]\(([^)#\s]*)(?:#[^)]*)?\)/g)) {
        if (target === '' || /^https?:/.test(target!)) continue;
        assert.ok(existsSync(join(root, dirname(document), target!)), `${target} does not exist`);
      }
    });

    test('links to headings that exist', () => {
      for (const [, target, anchor] of text.matchAll(/\]\(([^)#\s]*)#([^)]+)\)/g)) {
        const path = target === '' ? document : join(dirname(document), target!);
        const headings = [...read(path).matchAll(/^#+ (.+)$/gm)].map((match) =>
          match[1]!
            .toLowerCase()
            .replace(/[^\w\s-]/g, '')
            .replaceAll(' ', '-'),
        );
        assert.ok(headings.includes(anchor!), `${path} has no heading #${anchor}`);
      }
    });

    test('names files that exist', () => {
      for (const path of codes(text)) {
        if (!/^(coordinator|daemon|docs|kernels|scripts|test)\/[\w./-]*$/.test(path)) continue;
        assert.ok(existsSync(join(root, path)), `${path} does not exist`);
      }
      for (const [, path] of text.matchAll(/node dist\/(scripts\/[\w-]+)\.js/g)) {
        assert.ok(existsSync(join(root, `${path}.ts`)), `${path}.ts does not exist`);
      }
    });

    test('names npm scripts that exist', () => {
      const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
      const named = [...text.matchAll(/npm (?:run (?:-s )?([\w:-]+)|(test|start)\b)/g)];
      for (const [, run, short] of named) assert.ok(Object.hasOwn(scripts, run ?? short!), `npm run ${run ?? short}`);
    });
  });
}
