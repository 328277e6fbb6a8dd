import { join } from 'node:path';
import { ClusterKey } from '../../daemon/cluster-key.ts';
import { LanDevice } from '../../test/fixtures/lan-device.ts';
import { type NamespaceHost, NamespaceLan } from '../../test/fixtures/network-namespaces.ts';
import { temporaryFolder } from '../../test/fixtures/temporary-folder.ts';
import type { StarlingProcess } from '../starling-process.ts';

/** A LAN of namespaces for a check, with devices of one cluster. */
export class FieldLan {
  readonly lan: NamespaceLan;
  readonly #folder: string;
  readonly #started: StarlingProcess[] = [];
  readonly #key = ClusterKey.generate();

  private constructor(after: (step: () => unknown) => void) {
    this.#folder = temporaryFolder({ after });
    this.lan = new NamespaceLan({ after });
    after(() => Promise.all(this.#started.map((each) => each.stop())));
  }

  /** Makes a LAN for as long as `use` takes. */
  static async with(use: (field: FieldLan) => Promise<string>): Promise<string> {
    const steps: (() => unknown)[] = [];
    try {
      return await use(new FieldLan((step) => steps.unshift(step)));
    } finally {
      for (const step of steps) await step();
    }
  }

  device(host: NamespaceHost, name: string): Promise<LanDevice> {
    return LanDevice.create(this.#started, host, join(this.#folder, name), this.#key);
  }
}
