import { openDataSet, readPicture } from '../../src/evaluation/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { withSession } from '../../src/runtime/index.js';
import { Pipeline } from '../../src/vision/index.js';
const artifact = await readArtifactFolder(process.argv[2] ?? '');
const data = openDataSet(process.argv[3] ?? '', { split: process.argv[4] ?? 'test' });
await withSession(artifact.modelPath, { threads: 1 }, async (session) => {
  const p = new Pipeline(session, artifact.manifest.detector, {
    scoreThreshold: 0.002,
    iouThreshold: 0.65,
    maxDetections: 300,
    labels: 'best',
  } as any);
  for (const i of [3, 50, 90]) {
    const { objects } = await data.load(i);
    const found = await p.detect(await readPicture(data.images[i]!.path));
    console.log(
      'truth',
      objects
        .map((o) => `${data.classes[o.classId]} ${[o.x1, o.y1, o.x2, o.y2].map(Math.round)}`)
        .join(' | '),
    );
    console.log(
      'found',
      found.detections.length,
      found.detections
        .slice(0, 6)
        .map(
          (d: any) =>
            `${artifact.manifest.detector.classes[d.classId]} ${d.score.toFixed(3)} ${[d.x1, d.y1, d.x2, d.y2].map(Math.round)}`,
        )
        .join(' | '),
    );
  }
});
