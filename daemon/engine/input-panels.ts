import { type ActivationFormat, activationBytes } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import { StarlingError } from '../errors.ts';
import { inputFormats } from '../tile/tile.ts';
import { HEAD, inputFormat, type Phase } from './engine-spec.ts';
import type { EngineLayout, PlacedTile } from './layout.ts';
import type { RowRange } from './step.ts';

/** Address of a row of a phase's input in one activation format. */
export function inputRow({ spec, inputF32, inputQ8 }: EngineLayout, format: ActivationFormat, row: number): Address {
  return (format === 'q8' ? inputQ8 : inputF32) + row * activationBytes(format, spec.cols);
}

/** Arranges input rows as the products of a phase take them. */
export class InputPanels {
  readonly #kernels: Kernels;
  readonly #layout: EngineLayout;
  /** How the tiles of each layer's phases take their input. */
  readonly #taken: readonly (readonly ReadonlySet<ActivationFormat>[])[];
  readonly #takenByHead: ReadonlySet<ActivationFormat>;

  constructor(kernels: Kernels, layout: EngineLayout) {
    const takenBy = (tiles: readonly PlacedTile[]) => new Set(tiles.flatMap(({ shape }) => inputFormats(shape)));
    this.#kernels = kernels;
    this.#layout = layout;
    this.#taken = layout.tasks.map((phases) => phases.map(takenBy));
    this.#takenByHead = takenBy(layout.headTasks);
  }

  /** Products in q8 take theirs from either format that the input came in. @throws StarlingError numeric_overflow */
  pack(layer: number, phase: Phase, { first, count }: RowRange): void {
    const [kernels, layout] = [this.#kernels, this.#layout];
    const { spec, inputPanels: panels } = layout;
    const { cols } = spec;
    const taken = phase === HEAD ? this.#takenByHead : this.#taken[layer]![phase]!;
    const [f32, f32Bytes] = [inputRow(layout, 'f32', first), activationBytes('f32', cols)];
    if (taken.has('f32')) kernels.packPanel('f32', f32, f32Bytes, cols, count, panels.f32);
    if (!taken.has('q8')) return;
    if (inputFormat(spec, layer, phase) === 'q8') {
      const [q8, q8Bytes] = [inputRow(layout, 'q8', first), activationBytes('q8', cols)];
      kernels.packPanel('q8', q8, q8Bytes, cols, count, panels.q8);
    } else if (!kernels.quantizePanel(f32, f32Bytes, cols, count, panels.q8)) {
      throw new StarlingError(
        'numeric_overflow',
        'an activation is not finite: the model file is damaged or its weights are out of range',
      );
    }
  }
}
