import type { BackendName } from '../../kernels/kernels.ts';
import type { OpenChannel } from './channel.ts';
import { JsChannel } from './js-channel.ts';
import { nativeChannels } from './native-channel.ts';

export const openJsChannel: OpenChannel = (keys, side) => new JsChannel(keys, side);

/** How a process reads and writes its data links: natively where it computes natively, and can. */
export function channelFor(backend: BackendName): OpenChannel {
  return (backend === 'native' ? nativeChannels() : null) ?? openJsChannel;
}
