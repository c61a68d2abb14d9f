import { evaluate, mapClasses, openDataSet, predict } from '../../src/evaluation/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
const a = await readArtifactFolder(process.argv[2] ?? '');
const d = openDataSet(process.argv[3] ?? '', {
  split: process.argv[4] ?? 'test',
  limit: Number(process.argv[5] ?? 150),
});
const map = mapClasses(a.manifest.detector.classes, d.classes);
const { results } = await predict(a, d, map);
const show = (n: string, f: (r: (typeof results)[number]) => any, m = map) =>
  console.log(n, evaluate(results.map(f), m, { rounds: 0 }).precision.map50.toFixed(3));
show('as is', (r) => r);
const one = { ...map, classes: ['vehicle'], mapped: [true] } as any;
const best = (ds: any[]) => {
  const k = new Map<string, any>();
  for (const x of ds) {
    const key = [x.x1, x.y1, x.x2, x.y2].join();
    const o = k.get(key);
    if (!o || o.score < x.score) k.set(key, x);
  }
  return [...k.values()];
};
show(
  'any vehicle',
  (r) => ({
    objects: r.objects.map((o: any) => ({ ...o, classId: 0 })),
    detections: best(r.detections as any).map((o) => ({ ...o, classId: 0 })),
  }),
  one,
);
const g = [0, 0, 0, 0, 1, 2, 2, 3, 4, 5];
const groups = {
  ...map,
  classes: ['car', 'pickup', 'van', 'bus', 'truck', 'motorcycle'],
  mapped: [true, true, true, true, true, true],
} as any;
const bestg = (ds: any[]) => {
  const k = new Map<string, any>();
  for (const x of ds) {
    const key = [x.x1, x.y1, x.x2, x.y2, g[x.classId]].join();
    const o = k.get(key);
    if (!o) k.set(key, { ...x });
    else o.score += x.score;
  }
  return [...k.values()].map((x) => ({ ...x, score: Math.min(1, x.score) }));
};
show(
  'six kinds',
  (r) => ({
    objects: r.objects.map((o: any) => ({ ...o, classId: g[o.classId] })),
    detections: bestg(r.detections as any).map((o: any) => ({ ...o, classId: g[o.classId] })),
  }),
  groups,
);
const big = (o: any, t: number) => Math.max(o.x2 - o.x1, o.y2 - o.y1) >= t;
for (const t of [28, 48, 72, 110])
  show(`side >= ${t}`, (r) => ({
    objects: r.objects.map((o: any) => ({ ...o, crowd: !big(o, t) })),
    detections: r.detections,
  }));
