// A day's traffic as a miner sees it: vehicles by the hour, some of them confused, with crops of drawn ones.
import { sceneSchema } from '../../src/config/index.js';
import { type Harvest, Miner, type MinerRules, type NewExample, pairOf } from '../../src/examples/index.js';
import { Scene } from '../../src/scene/index.js';
import { type Box, cropImage, encodeJpeg, regionOf } from '../../src/vision/index.js';

export interface Crop {
  readonly jpeg: Uint8Array;
  readonly region: Box;
}

const [WIDTH, HEIGHT] = [1280, 720];
const MODEL = 'a'.repeat(64);
const CLASSES = ['car', 'truck', 'bus', 'motorcycle'];
/** Weight of each hour of a day. */
const HOURS = [1, 1, 1, 1, 2, 4, 7, 9, 8, 6, 5, 5, 5, 5, 6, 7, 8, 9, 7, 5, 4, 3, 2, 1];
const ALL_HOURS = HOURS.reduce((sum, weight) => sum + weight, 0);
/** What passes, what some of it is taken for, and which share is confused. */
const KINDS = [
  { share: 0.8, truth: 0, wrong: 1, confused: 0.06 },
  { share: 0.15, truth: 1, wrong: 0, confused: 0.25 },
  { share: 0.03, truth: 2, wrong: 1, confused: 0.3 },
  { share: 0.02, truth: 3, wrong: 0, confused: 0.05 },
] as const;
const SMALLEST = 24;

/** Share of a day's vehicles that pass in an hour of it. */
export const shareOfHour = (hour: number): number => (HOURS[hour % 24] ?? 0) / ALL_HOURS;

/** Crops of drawn vehicles, as a daemon cuts them from 720p. */
export const drawCrops = (context: number, quality: number): Crop[] => {
  const scene = new Scene(sceneSchema.parse({ width: WIDTH, height: HEIGHT, seed: 3 }));
  const crops: Crop[] = [];
  for (let frame = 0; frame < 12; frame += 1) {
    scene.skip(100);
    const { image, objects } = scene.next();
    for (const { box } of objects) {
      const [dx, dy] = [context * (box.x2 - box.x1), context * (box.y2 - box.y1)];
      const wide = { x1: box.x1 - dx, y1: box.y1 - dy, x2: box.x2 + dx, y2: box.y2 + dy };
      const region = regionOf(wide, image);
      if (region.x2 - region.x1 < SMALLEST || region.y2 - region.y1 < SMALLEST) continue;
      crops.push({ jpeg: encodeJpeg(cropImage(image, region), quality), region });
    }
  }
  return crops;
};

/** One vehicle from its first frame to its last, through a miner. */
export const driveBy = (
  rules: MinerRules,
  track: number,
  nowMs: number,
  random: () => number,
): Harvest | undefined => {
  const miner = new Miner(rules, (id) => `bench-${id}`);
  const draw = random();
  let sum = 0;
  const kind = KINDS.find(({ share }) => (sum += share) >= draw) ?? KINDS[0];
  const isConfused = random() < kind.confused;
  const className = CLASSES[kind.truth] ?? '';
  const framesSeen = 15 + Math.floor(random() * 40);
  for (let frame = 1; frame <= framesSeen; frame += 1) {
    const isWrong = isConfused && random() < 0.15;
    const [classId, rivalId] = isWrong ? [kind.wrong, kind.truth] : [kind.truth, kind.wrong];
    const score = isConfused ? 0.45 + 0.2 * random() : 0.8 + 0.15 * random();
    const rival = { classId: rivalId, score: isConfused ? score * (0.7 + 0.3 * random()) : 0.1 };
    miner.see({
      wallMs: nowMs + 100 * frame,
      width: WIDTH,
      height: HEIGHT,
      model: MODEL,
      classes: CLASSES,
      detections: [{ x1: 200, y1: 200, x2: 300, y2: 260, classId, score, rival }],
      tracks: [{ id: track, detection: 0, className, share: 0.85, framesSeen: frame }],
    });
  }
  return miner.end({ id: track, className, share: 0.85, framesSeen, framesLost: 0, lastSeenMs: nowMs });
};

/** What a vehicle leaves behind, each with the same crop. */
export const examplesOf = (
  { candidates, track, presumed }: Harvest,
  { region, jpeg }: Crop,
  takenMs: number,
): NewExample[] =>
  candidates.map(({ reason, model, object, others, rivalName }) => ({
    takenMs,
    reason,
    model,
    object,
    others,
    pair: pairOf(object.className, rivalName ?? object.className),
    picture: {
      width: region.x2 - region.x1,
      height: region.y2 - region.y1,
      bytes: jpeg.length,
      frame: { width: WIDTH, height: HEIGHT },
      left: region.x1,
      top: region.y1,
    },
    track,
    presumed,
    jpeg,
  }));
