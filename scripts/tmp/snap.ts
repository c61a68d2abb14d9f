import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  foldBatchNorm,
  removeUnusedInitializers,
  runPasses,
  tensorOf,
  writeModel,
} from '../../src/onnx/index.js';
import { createManifest } from '../../src/registry/index.js';
import { buildNetwork, detectorOf } from '../../src/training/index.js';
import * as recipe from '../shipped/recipe.js';
const [file = '', out = '', kind = 'value'] = process.argv.slice(2);
const bytes = readFileSync(file);
const body = bytes.subarray('bitlane training 1\n'.length + 32);
const end = 4 + body.readUInt32LE(0);
const header = JSON.parse(body.toString('utf8', 4, end));
let at = end;
const prefix = kind === 'value' ? ['value ', 'statistic '] : ['average ', 'statistic average '];
const model = buildNetwork(recipe.NETWORK, recipe.CLASSES, recipe.SEED);
let n = 0;
for (const [name, length] of header.arrays as [string, number][]) {
  const data = new Float32Array(new Uint8Array(body.subarray(at, at + 4 * length)).buffer);
  at += 4 * length;
  if (
    name.startsWith('statistic average ') !== (prefix[1] === 'statistic average ') &&
    name.startsWith('statistic')
  )
    continue;
  const p = prefix.find((x) => name.startsWith(x));
  if (p === undefined) continue;
  const v = model.graph.value(name.slice(p.length));
  if (v?.constant === undefined) continue;
  if (kind === 'debiased') {
    const init = (v.constant as any).data as Float32Array;
    let b = 1;
    for (let k = 1; k <= header.step; k++) b *= 0.9985 * (1 - Math.exp(-k / 10));
    for (let i = 0; i < data.length; i++) data[i] = (data[i]! - b * init[i]!) / (1 - b);
  }
  model.graph.setTensor(v, tensorOf('float32', v.constant.dims, data));
  n++;
}
runPasses(model, [foldBatchNorm, removeUnusedInitializers]);
const b = writeModel(model);
mkdirSync(out, { recursive: true });
writeFileSync(out + '/model.onnx', b);
writeFileSync(
  out + '/manifest.json',
  JSON.stringify(createManifest(b, { name: 'snap', detector: detectorOf(recipe.NETWORK, recipe.CLASSES) })),
);
console.log('step', header.step, 'set', n);
