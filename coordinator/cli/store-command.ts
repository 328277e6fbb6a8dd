import { Command } from 'commander';
import { StarlingError } from '../../daemon/errors.ts';
import { type StoredModel, TileStore } from '../../daemon/store/tile-store.ts';
import { verifyModel } from '../../daemon/store/verify-model.ts';
import { storeOption } from './options.ts';

export interface StoreCommandDeps {
  /** Where tiles are unless an option says otherwise; read only by actions: the home may be unknown. */
  readonly storeDir: string;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

interface StoreOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly all?: boolean;
}

/**
 * `starling store ls|verify|rm`. Actions throw StarlingError: model_not_stored, model_in_use, tile_damaged,
 * store_failed.
 */
export function storeCommand(deps: StoreCommandDeps): Command {
  const { stdout, stderr } = deps;
  const command = new Command('store').description('look at, verify or remove the tiles that this device keeps');
  command.addHelpText(
    'after',
    `
MODEL is a name or id that "starling store ls" shows, or the beginning of an id. Tiles that were removed are fetched again when
they are needed.

Examples:
  $ starling store ls
  $ starling store verify
  $ starling store rm "Llama 3.1 8B Instruct"`,
  );
  const folder = (each: Command): Command => each.addOption(storeOption('where the tiles are kept'));
  const open = async ({ store: folder }: StoreOptions): Promise<TileStore> => {
    const store = new TileStore(folder ?? deps.storeDir);
    await store.cleanTemporary();
    return store;
  };

  folder(command.command('ls').description('list the models of which there are tiles'))
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nExamples:\n  $ starling store ls\n  $ starling store ls --json')
    .action(async (options: StoreOptions) => {
      const store = await open(options);
      const models = await store.list();
      stdout(options.json ? `${JSON.stringify(models.map(toJson))}\n` : table(models, store.folder));
    });

  folder(command.command('verify').description('read all tiles and check their hashes; damaged ones are removed'))
    .argument('[model]', 'only this model')
    .addHelpText('after', '\nExamples:\n  $ starling store verify\n  $ starling store verify "Llama 3.1 8B Instruct"')
    .action(async (model: string | undefined, options: StoreOptions) => {
      const store = await open(options);
      const models = await store.list();
      let damaged = 0;
      for (const each of model === undefined ? models : [find(models, model)]) {
        let intact = 0;
        await verifyModel(store, each.modelId, (name, good) => {
          if (good) intact++;
          else {
            damaged++;
            stderr(`${shown(each)}: ${name} was damaged and is removed\n`);
          }
        });
        stdout(`${shown(each)}: ${intact} tiles are intact\n`);
      }
      if (damaged > 0) {
        throw new StarlingError(
          'tile_damaged',
          `${damaged} tiles were damaged and are fetched again when they are needed; check this disk if that happens again`,
        );
      }
    });

  folder(command.command('rm').description('remove the tiles of a model'))
    .argument('[model]', 'name or id of the model')
    .option('--all', 'remove all models')
    .addHelpText('after', '\nExamples:\n  $ starling store rm 3f9c\n  $ starling store rm --all')
    .action(async (model: string | undefined, options: StoreOptions) => {
      if ((model === undefined) !== (options.all === true)) {
        throw new StarlingError('invalid_argument', 'name one model, or give --all');
      }
      const store = await open(options);
      const models = await store.list();
      const chosen = model === undefined ? models : [find(models, model)];
      const used = chosen.find(({ inUse }) => inUse);
      if (used !== undefined) {
        throw new StarlingError('model_in_use', `${shown(used)} is computed with at the moment; stop that first`);
      }
      for (const each of chosen) {
        await store.removeModel(each.modelId);
        stdout(`removed ${shown(each)}, ${gigabytes(each.bytes)} GB\n`);
      }
    });

  return command;
}

/** @throws StarlingError model_not_stored, invalid_argument when several are meant */
function find(models: readonly StoredModel[], wanted: string): StoredModel {
  const exact = models.filter(({ modelId, name }) => modelId === wanted || name === wanted);
  const found = exact.length > 0 ? exact : models.filter(({ modelId }) => modelId.startsWith(wanted));
  const [first, ...others] = wanted === '' ? [] : found;
  if (first === undefined) {
    throw new StarlingError(
      'model_not_stored',
      `no model ${wanted} is stored; "starling store ls" lists those that are`,
    );
  }
  if (others.length > 0) {
    throw new StarlingError('invalid_argument', `${wanted} may mean several models; give an id of "starling store ls"`);
  }
  return first;
}

const toJson = ({ modelId, name, tiles, bytes, lastUsed, inUse }: StoredModel) => ({
  id: modelId,
  name,
  tiles,
  bytes,
  last_used: new Date(lastUsed).toISOString(),
  in_use: inUse,
});

function table(models: readonly StoredModel[], folder: string): string {
  if (models.length === 0) return `there are no tiles in ${folder}\n`;
  const rows = models.map((model) => [
    model.modelId.slice(0, 12),
    `${gigabytes(model.bytes)} GB`,
    `${model.tiles} tiles`,
    model.inUse ? 'in use' : `used ${new Date(model.lastUsed).toISOString().slice(0, 16).replace('T', ' ')}`,
    shown(model),
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}\n`).join('');
}

/** A coordinator chose the name: nothing in it may steer a terminal. */
const shown = ({ name, modelId }: StoredModel): string =>
  name === null ? modelId : name.replace(/[\p{Cc}\p{Cf}]/gu, '?');

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
