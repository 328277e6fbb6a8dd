import { StarlingError, toStarlingError } from '../errors.ts';
import type { Identity } from '../identity.ts';
import { type Control, PROTOCOL_VERSION } from './control.ts';
import type { ControlLink } from './control-link.ts';

/**
 * Says on a new link who this side is, and hears who the other one is.
 * @throws StarlingError protocol_version; device_unreachable when the other side closes the link or says nothing in
 * time; cancelled by the signal
 */
export async function greet(
  link: ControlLink,
  { id, name }: Identity,
  purpose: Control<'hello'>['purpose'],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Control<'welcome'>> {
  link.send({ t: 'hello', protocol: PROTOCOL_VERSION, id, name, purpose });
  try {
    return await link.next(['welcome'], timeoutMs, signal);
  } catch (thrown) {
    const error = toStarlingError(thrown);
    if (error.code === 'device_lost' || error.code === 'protocol_invalid_message') {
      throw new StarlingError(
        'device_unreachable',
        `${link.remote} did not say who it is (${error.message}); if another version of Starling runs there, run the same on both`,
        { cause: error },
      );
    }
    if (error.code === 'device_unreachable') {
      throw new StarlingError(
        'device_unreachable',
        `${link.remote} took the connection, but said nothing within ${timeoutMs} ms: it is asleep or too busy, or large packets do not come through (a VPN or a firewall: try a smaller MTU)`,
        { cause: error },
      );
    }
    throw error;
  }
}
