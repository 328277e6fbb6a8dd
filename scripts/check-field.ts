import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { FieldCheck, FieldNeed } from './field/field-check.ts';

/** How it is found out whether the machine allows something; each command does nothing. */
const TRIALS: Readonly<Record<FieldNeed, readonly string[]>> = {
  'network namespaces': ['unshare', '--net', 'true'],
  'process namespaces': ['unshare', '--pid', '--fork', '--mount-proc', 'true'],
  'control groups': ['test', '-w', '/sys/fs/cgroup'],
};

const command = new Command('check:field')
  .description('tries what people meet with systems like this one, with real processes; exit code 1 if any is met')
  .argument('[rows...]', 'rows to try, such as C3 (default: all)');
command.action(async (rows: string[]) => {
  const checks = await loadChecks();
  const unknown = rows.filter((row) => !checks.some((check) => check.row === row));
  if (unknown.length > 0)
    command.error(`no such row: ${unknown.join(', ')}; there are ${checks.map((c) => c.row).join(', ')}`);
  let failed = 0;
  for (const check of checks.filter(({ row }) => rows.length === 0 || rows.includes(row))) {
    const lacking = check.needs.filter((need) => !isAllowed(need));
    if (lacking.length > 0) {
      console.log(`${check.row}\tskipped\t${check.title}: this machine allows no ${lacking.join(', ')}`);
      continue;
    }
    const start = performance.now();
    const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
    try {
      const seen = await check.run();
      console.log(`${check.row}\tok\t${seconds()}\t${check.title}: ${seen}`);
    } catch (error) {
      failed++;
      console.log(`${check.row}\tFAILED\t${seconds()}\t${check.title}`);
      console.error(error);
    }
  }
  process.exitCode = failed > 0 ? 1 : 0;
});
await command.parseAsync();

/** Every check of the folder, by letter and number. */
async function loadChecks(): Promise<FieldCheck[]> {
  const folder = new URL('./field/', import.meta.url);
  const files = readdirSync(fileURLToPath(folder)).filter((file) => /^[a-z]\d+.*\.js$/.test(file));
  const modules = await Promise.all(
    files.map((file) => import(new URL(file, folder).href) as Promise<{ check: FieldCheck }>),
  );
  const number = (row: string): number => Number(row.slice(1));
  return modules
    .map(({ check }) => check)
    .sort((a, b) => (a.row[0] === b.row[0] ? number(a.row) - number(b.row) : a.row < b.row ? -1 : 1));
}

function isAllowed(need: FieldNeed): boolean {
  const [program = '', ...args] = TRIALS[need];
  return spawnSync(program, args).status === 0;
}
