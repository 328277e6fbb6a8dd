import type { Arithmetic } from './numbers.ts';
import type { Comparison } from './operators.ts';
import type { Value } from './values.ts';

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** What stands behind * and ** in a call. */
  readonly starred: Expression | null;
  readonly doubleStarred: Expression | null;
}

export type Expression =
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly owner: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly owner: Expression; readonly key: Expression }
  | {
      readonly kind: 'slice';
      readonly owner: Expression;
      readonly start: Expression | null;
      readonly stop: Expression | null;
      readonly step: Expression | null;
    }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: Arguments }
  /** The subject is null for what a filter block or a set block holds. */
  | { readonly kind: 'filter'; readonly subject: Expression | null; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'test'; readonly subject: Expression; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'not' | 'negative' | 'positive'; readonly operand: Expression }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'arithmetic';
      readonly operator: Arithmetic;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'concatenation'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'comparison';
      readonly first: Expression;
      readonly rest: readonly (readonly [Comparison, Expression])[];
    }
  | {
      readonly kind: 'condition';
      readonly test: Expression;
      readonly then: Expression;
      readonly otherwise: Expression | null;
    };

/** Where a value goes: a variable, an attribute of a namespace, or several of them. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'namespace'; readonly owner: string; readonly name: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly otherwise: Expression | null;
}

/** A macro, or the body of a call block. */
export interface MacroBody {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Statement[];
  /** The names among caller, varargs and kwargs that the body reads. */
  readonly reads: ReadonlySet<string>;
}

export type Statement = { readonly line: number } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly items: Expression;
      readonly filter: Expression | null;
      readonly isRecursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'set block';
      readonly target: Target;
      readonly filter: Expression | null;
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'macro'; readonly macro: MacroBody }
  | { readonly kind: 'call block'; readonly call: Expression; readonly caller: MacroBody }
  | { readonly kind: 'filter block'; readonly filter: Expression; readonly body: readonly Statement[] }
  | {
      readonly kind: 'with';
      readonly bindings: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'do'; readonly value: Expression }
  | { readonly kind: 'generation'; readonly body: readonly Statement[] }
  | { readonly kind: 'break' | 'continue' }
);
