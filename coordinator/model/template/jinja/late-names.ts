import type { Statement, Target } from './syntax-tree.ts';

/**
 * Names that a template sets for all of it before it reads them there. Jinja compiles a template as a function: such a
 * name is a variable of it from the beginning, and a loop or macro that reads it before it is set finds nothing,
 * whatever the caller gave.
 * @param statements of the whole template
 */
export function lateNames(statements: readonly Statement[]): ReadonlySet<string> {
  const late = new Set<string>();
  const read = new Set<string>();
  const reads = (node: unknown): void => {
    for (const name of namesIn(node)) if (!late.has(name)) read.add(name);
  };
  const visit = (statement: Statement, isCertain: boolean): void => {
    const sets = (target: Target): void => {
      if (target.kind === 'tuple') target.items.forEach(sets);
      else if (target.kind === 'namespace') reads({ kind: 'name', name: target.owner });
      // What is set in one branch alone is the caller's in the others.
      else if (!isCertain) reads(target);
      else if (!read.has(target.name)) late.add(target.name);
    };
    switch (statement.kind) {
      case 'print':
      case 'do':
        reads(statement.value);
        return;
      case 'for':
        reads(statement.items);
        return;
      case 'if':
        for (const { test, body } of statement.branches) {
          reads(test);
          for (const each of body) visit(each, false);
        }
        for (const each of statement.otherwise) visit(each, false);
        return;
      case 'set':
        reads(statement.value);
        sets(statement.target);
        return;
      case 'set block':
        sets(statement.target);
        return;
      case 'macro':
        sets({ kind: 'name', name: statement.macro.name });
        return;
      case 'call block':
        reads(statement.call);
        return;
      case 'filter block':
        reads(statement.filter);
        return;
      case 'with':
        for (const [, value] of statement.bindings) reads(value);
    }
  };
  for (const statement of statements) visit(statement, true);
  return late;
}

/** The variables that an expression reads. */
function* namesIn(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  if ('kind' in node && node.kind === 'constant') return;
  if ('kind' in node && node.kind === 'name' && 'name' in node) yield String(node.name);
  else for (const part of Object.values(node)) yield* namesIn(part);
}
