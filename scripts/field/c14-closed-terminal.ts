import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FieldCheck } from './field-check.ts';

const LIMIT_MS = 60_000;
const COMMANDS: readonly { readonly args: string; readonly ready: string }[] = [
  { args: 'daemon --host 127.0.0.1 --port 0 --no-discovery', ready: 'listens on' },
  { args: 'serve tiny-chat --no-discovery --port 0 --threads 1', ready: 'is served at' },
  { args: 'demo --devices 2 --port 0 --threads 1', ready: 'Ctrl-C ends' },
];

/** A terminal is closed while a command runs in it. */
export const check: FieldCheck = {
  row: 'C14',
  title: 'a terminal that is closed',
  needs: [],
  async run() {
    const folder = mkdtempSync(join(tmpdir(), 'starling-field-c14-'));
    const terminals: ChildProcess[] = [];
    try {
      const temporary = join(folder, 'temporary');
      mkdirSync(temporary);
      for (const { args, ready } of COMMANDS) {
        const [exit, main] = [
          join(folder, 'exit'),
          fileURLToPath(new URL('../../coordinator/cli/main.js', import.meta.url)),
        ];
        // The shell passes on what only it is told, and says how the command ended.
        const command = `trap 'kill -HUP $P' HUP; "${process.execPath}" "${main}" ${args} & P=$!; wait $P; wait $P; echo $? > "${exit}.new"; mv "${exit}.new" "${exit}"`;
        const terminal = spawn('script', ['-qc', command, '/dev/null'], {
          env: { ...process.env, SHELL: '/bin/sh', STARLING_HOME: join(folder, 'home'), TMPDIR: temporary },
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        terminals.push(terminal);
        let shown = '';
        for await (const text of terminal.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
          shown += text;
          if (shown.includes(ready)) break;
        }
        assert.ok(shown.includes(ready), shown);
        const gone = once(terminal, 'exit');
        terminal.kill('SIGKILL');
        await gone;
        for (const late = performance.now() + LIMIT_MS; !existsSync(exit); await sleep(50)) {
          assert.ok(performance.now() < late, `${args} did not end`);
        }
        assert.equal(readFileSync(exit, 'utf8'), '0\n', args);
        rmSync(exit);
        const left = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => basename(path));
        const ofProcesses = left.filter((name) => /^starling-|^run\.json$|\.(use|alive|tmp)$/.test(name));
        assert.deepEqual(ofProcesses, [], args);
      }
      return `${COMMANDS.length} commands ended in order and left nothing`;
    } finally {
      for (const terminal of terminals) terminal.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
