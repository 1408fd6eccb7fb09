// The pack of `--node` answers its golden rows, and single ones for a time.
// Usage: node node_client.mjs PACK     prints {"version", "p50_us", "answers"}

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const N_WARM = 200;
const N_CALLS = 2000;
const folder = resolve(process.argv[2]);
const load = (name) => import(pathToFileURL(`${folder}/${name}`));
const { answer, columns, session } = await load('answer.mjs');
const { makeFeeds } = await load('rows.mjs');
const { default: ort } = await load('node_modules/onnxruntime-node/dist/index.js');
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));

const rows = read('golden/rows.json');
const answers = await answer(rows);
const feeds = makeFeeds(ort, columns, rows.slice(0, 1));
const times = [];
for (let call = 0; call < N_WARM + N_CALLS; call += 1) {
  const start = process.hrtime.bigint();
  await session.run(feeds);
  if (call >= N_WARM) times.push(Number(process.hrtime.bigint() - start) / 1000);
}
times.sort((a, b) => a - b);
const { version } = read('node_modules/onnxruntime-node/package.json');
console.log(JSON.stringify({ version, p50_us: times[N_CALLS / 2], answers }));
