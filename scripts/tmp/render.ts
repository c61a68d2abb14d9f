import { writeDataSet } from '../../src/scene/index.js';
const [folder = '', pictures = '', seed = '', kind = ''] = process.argv.slice(2);
const t0 = performance.now();
const s = await writeDataSet({
  folder,
  pictures: Number(pictures),
  seed: Number(seed),
  width: 640,
  height: 384,
  shares: kind === 'test' ? [0, 0, 1] : [1, 0, 0],
});
console.log(JSON.stringify(s), ((performance.now() - t0) / 1000).toFixed(0), 's');
