// Records the token ids that llama.cpp gives to every second text of test/fixtures/splits.json, composed (NFC), for
// each vocabulary of a folder.
//
//   npm install --prefix /tmp/oracle node-llama-cpp
//   node scripts/record-token-ids.mjs /tmp/oracle ../shared/data/tokenizers > test/fixtures/token-ids.json
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , oracle, folder] = process.argv;
if (oracle === undefined || folder === undefined) {
  console.error('usage: record-token-ids.mjs ORACLE VOCABULARIES (ORACLE has node_modules/node-llama-cpp)');
  process.exit(2);
}
const resolved = createRequire(join(oracle, 'package.json')).resolve('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(resolved).href);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'disabled' });

const { texts } = JSON.parse(readFileSync(new URL('../test/fixtures/splits.json', import.meta.url), 'utf8'));
const chosen = texts.filter((_, i) => i % 2 === 0).map((text) => text.normalize('NFC'));
const ids = {};
for (const file of readdirSync(folder).filter((name) => name.endsWith('.gguf'))) {
  const model = await llama.loadModel({ modelPath: join(folder, file), vocabOnly: true });
  ids[file.slice(0, -'.gguf'.length)] = chosen.map((text) => [...model.tokenize(text, true)].join(' '));
  await model.dispose();
}
process.stdout.write(`${JSON.stringify({ texts: chosen, ids }, null, 1)}\n`);
process.exit(0);
