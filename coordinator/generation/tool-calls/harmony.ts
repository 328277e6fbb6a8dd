import { CHANNEL_MARKS } from '../../model/reasoning-marks.ts';
import { type ToolCallFamily, USUAL_MESSAGES } from './tool-call-family.ts';

/**
 * gpt-oss: a message to the function, `<|channel|>commentary to=functions.name
 * <|constrain|>json<|message|>{…}<|call|>`. The last mark ends the answer, so there is one call. ChannelSplit reads it.
 */
export function harmony(template: string): ToolCallFamily | null {
  if (!template.includes(CHANNEL_MARKS.channel) || !template.includes('functions.')) return null;
  return {
    name: 'harmony',
    syntax: 'channels',
    marks: Object.values(CHANNEL_MARKS),
    shape: {
      trigger: null,
      openings: [],
      before: '',
      after: '',
      call: (name) => [`<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>`, ''],
      separator: null,
    },
    messages: { ...USUAL_MESSAGES, oneCallEach: true },
  };
}
