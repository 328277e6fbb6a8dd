import { EMPTY, type Field, only } from './field.ts';
import { done, ignored, refused } from './field-table.ts';

const ROUTE = { routes: ['embeddings'] } as const;
const IN_THE_TEXT = 'put what the model is to read into "input"';
const FLOATS = 'values are 32-bit floats; use "encoding_format"';
const NO_CUT = 'nothing of a text is dropped; shorten it, or serve with a larger --context';

/**
 * What becomes of the fields that clients of OpenAI, llama.cpp, vLLM, Jina, Voyage and Cohere send to have texts
 * embedded.
 */
export const EMBEDDING_FIELDS: readonly Field[] = [
  ...done('input', 'up to 2048 texts, as text or token ids', ROUTE),
  ...done('model', 'the served name, or `starling`', ROUTE),
  ...done('encoding_format', '`float`, or `base64` of little-endian 32-bit floats', ROUTE),
  ...done('dimensions', 'keep so many of the first values, then make the length 1 again', ROUTE),
  ...done('pooling', '`mean` of all tokens or the `last`; by default as the model file says, or else `last`', ROUTE),
  ...done('user priority timeout', 'how the request stands beside others', ROUTE),
  ...ignored('metadata store safety_identifier', 'nothing is kept of a request', ROUTE),
  ...ignored('service_tier request_id', 'where and when it is computed; the vectors stay the same', ROUTE),
  ...ignored('keep_alive ttl', 'the model stays loaded', ROUTE),
  ...ignored('provider models', 'there is one model and nobody else to ask', ROUTE),
  ...ignored('extra_headers extra_query', 'nothing here depends on it', ROUTE),
  ...refused('content prompt messages', EMPTY, 'use "input"', ROUTE),
  ...refused('input_type task task_type prompt_name instruction', EMPTY, IN_THE_TEXT, ROUTE),
  ...refused('add_special_tokens', only(true), 'give token ids as "input"', ROUTE),
  ...refused('normalize', only(true), 'vectors always have the length 1; leave it out', ROUTE),
  ...refused('embd_normalize', only(2), 'vectors always have the length 1; leave it out', ROUTE),
  ...refused('embedding_type output_dtype embed_dtype', only('float', 'float32'), FLOATS, ROUTE),
  ...refused('output_dimension truncate_dim', EMPTY, 'use "dimensions"', ROUTE),
  ...refused('truncate_prompt_tokens', only(false), NO_CUT, ROUTE),
  ...refused('truncate truncation', EMPTY, NO_CUT, ROUTE),
  ...refused('late_chunking', EMPTY, 'each text is embedded by itself', ROUTE),
  ...refused('images image_data multimodal_data', EMPTY, 'only text is read; leave it out', ROUTE),
  ...refused('options', EMPTY, 'give the fields beside "model"', ROUTE),
  ...refused('extra_body', EMPTY, 'its fields belong beside "model"; clients put them there', ROUTE),
];
