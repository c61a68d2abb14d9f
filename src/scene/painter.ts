// One frame: shadows, vehicles, lamps, rain and noise over a background.
import type { RgbImage } from '../vision/index.js';
import type { Background } from './background.js';
import { smear } from './blur.js';
import { drawBody, type Pose } from './draw.js';
import type { Sensor } from './finish.js';
import { rainOver } from './finish.js';
import { dazzle, lightRoad } from './glow.js';
import { halveSpan } from './halve.js';
import type { Illumination } from './light.js';
import { Random } from '../system/index.js';
import { Canvas, newOutline, type Outline } from './raster.js';
import { boxShadow, corners, onGround } from './shadow.js';
import { type Site, streetLight } from './site.js';
import { poseOf, type Vehicle } from './traffic.js';
import { boxOf, insideShare, newCensus, type SceneObject, takeCensus } from './truth.js';
import { project, SAMPLES, type View } from './view.js';

/** What one frame is made of. */
export interface Shot {
  readonly site: Site;
  readonly light: Illumination;
  readonly background: Background;
  readonly sensor: Sensor;
  readonly vehicles: readonly Vehicle[];
  readonly seed: number;
  readonly number: number;
}

/** Vehicles of a frame beyond this number are left out: a sample has 8 bits for its vehicle. */
const MOST_VEHICLES = 255;
const STREAM = 707;
/** Farther than this, in metres, a vehicle is left out. */
const FARTHEST = 170;

interface Seen {
  readonly vehicle: Vehicle;
  readonly pose: Pose;
  readonly distance: number;
  covered: number;
}

/** The picture that frames are drawn on, one after the other. */
export class Painter {
  readonly canvas: Canvas;
  readonly pixels: Uint32Array;
  readonly scratch: Uint32Array;
  readonly ids: Uint8Array;
  readonly census = newCensus();
  readonly bytes: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  #stamp = 0;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.canvas = new Canvas(width * SAMPLES, height * SAMPLES);
    this.pixels = new Uint32Array(width * height);
    this.scratch = new Uint32Array(width * height);
    this.ids = new Uint8Array(width * height);
    this.bytes = new Uint8ClampedArray(3 * width * height);
  }

  /** Puts a background under everything that follows. */
  begin(background: Background): void {
    this.canvas.colour.set(background.lit);
    this.canvas.inverse.set(background.inverse);
    this.canvas.stamps.fill(0);
    this.#stamp = 0;
  }

  /** A number that no sample carries yet. */
  nextStamp(): number {
    if (this.#stamp >= 4_000_000_000) {
      this.canvas.stamps.fill(0);
      this.#stamp = 0;
    }
    this.#stamp += 1;
    return this.#stamp;
  }
}

/** Whether a vehicle may be in the picture: never false for one that is. */
const mayShow = (view: View, { body }: Vehicle, { x, y }: Pose): boolean => {
  const radius = body.length / 2 + 2;
  const [dx, dy, dz] = [x - view.eye[0], y - view.eye[1], -view.eye[2]];
  const depth = dx * view.forward[0] + dy * view.forward[1] + dz * view.forward[2];
  if (depth < -radius || depth > FARTHEST) return false;
  const across = Math.abs(dx * view.right[0] + dy * view.right[1]);
  return across < ((depth + radius) * view.cx) / view.focal + radius * 1.5;
};

const outline = newOutline();

const drawShadows = (painter: Painter, { site, light, background }: Shot, seen: readonly Seen[]): void => {
  const { canvas } = painter;
  const { view } = site;
  if (light.sunLight[0] > 0) {
    const stamp = painter.nextStamp();
    const draw = (shadow: Outline): void => canvas.ground(shadow, stamp, background.shaded);
    for (const { vehicle, pose } of seen) {
      const { length, width, height, waist, upper } = vehicle.body;
      const along = [0.1 - length / 2, length / 2 - 0.1] as const;
      boxShadow(view, light.sun, pose, along, width * 0.46, [0.15, waist], draw);
      boxShadow(view, light.sun, pose, upper, width * 0.37, [waist, height], draw);
    }
  }
  // Under a vehicle it is dark in any light: three quarters around it, half of that below it.
  const around = painter.nextStamp();
  const below = painter.nextStamp();
  for (const { vehicle, pose } of seen) {
    const { length, width, type } = vehicle.body;
    const side = width / 2 - (type === 'motorcycle' ? 0.15 : 0);
    const half = length / 2;
    if (onGround(view, corners(pose, [-half - 0.25, half + 0.25], side + 0.22), outline)) {
      canvas.ground(outline, around, 'quarter');
    }
    if (onGround(view, corners(pose, [0.1 - half, half - 0.1], side - 0.02), outline)) {
      canvas.ground(outline, below, 'half');
    }
  }
};

/** Brings the samples that were changed to the frame, and notes whose they are. */
const toPixels = ({ canvas, pixels, ids }: Painter): void => {
  const { width, height, colour, dirty } = canvas;
  ids.fill(0);
  for (let row = 0; row < height / 2; row += 1) {
    const start = row * 2 * width;
    canvas.eachDirty(((dirty[2 * row] as number) | (dirty[2 * row + 1] as number)) >>> 0, (from, to) => {
      halveSpan(colour, width, row, from >> 1, to >> 1, pixels);
      const end = (start >> 2) + (to >> 1);
      let above = start + from;
      for (let at = (start >> 2) + (from >> 1); at < end; at += 1, above += 2) {
        ids[at] = (colour[above] as number) >>> 24;
      }
    });
  }
};

const addMotion = (painter: Painter, { site, light }: Shot, seen: readonly Seen[]): void => {
  const { pixels, scratch, ids, width, height, census } = painter;
  for (let index = seen.length - 1; index >= 0; index -= 1) {
    const { vehicle, pose } = seen[index] as Seen;
    if (census.count[index + 1] === 0 || vehicle.speed < 0.5) continue;
    const later = poseOf(site, vehicle, light.exposureSeconds);
    const from = project(site.view, [pose.x, pose.y, 0.8]);
    const to = project(site.view, [later.x, later.y, 0.8]);
    if (from === undefined || to === undefined) continue;
    const box = boxOf(census, index + 1);
    smear(pixels, scratch, ids, width, height, {
      id: index + 1,
      ...box,
      dx: to[0] - from[0],
      dy: to[1] - from[1],
    });
  }
};

const addLamps = (painter: Painter, { site, light, background }: Shot, seen: readonly Seen[]): void => {
  const { pixels, ids, width, height, census } = painter;
  const target = { width, height, colour: pixels, ids };
  const { view } = site;
  const isDark = light.skyLight[1] < 0.3;
  for (let index = seen.length - 1; index >= 0; index -= 1) {
    const { vehicle, pose } = seen[index] as Seen;
    if (isDark) {
      const strength = 1.5 * light.lamps;
      lightRoad(target, view, background, pose, vehicle.body.length / 2, strength);
    }
    if (census.count[index + 1] === 0) continue;
    const glare = light.lamps * (isDark ? 1 : 0.5);
    dazzle(target, view, vehicle.body, pose, index + 1, glare, vehicle.isBraking, light.isWet);
  }
};

/** Draws a frame. The pixels belong to the painter. */
export const paintFrame = (
  painter: Painter,
  shot: Shot,
): { readonly image: RgbImage; readonly objects: readonly SceneObject[] } => {
  const { site, light, background, sensor, vehicles, seed, number } = shot;
  const { canvas, pixels, census, width, height } = painter;
  const { view } = site;
  canvas.restore(background.lit, background.inverse);
  const [ex, ey, ez] = view.eye;
  const seen: Seen[] = vehicles
    .map((vehicle) => {
      const pose = poseOf(site, vehicle);
      const distance = Math.sqrt((pose.x - ex) * (pose.x - ex) + (pose.y - ey) * (pose.y - ey) + ez * ez);
      return { vehicle, pose, distance, covered: 0 };
    })
    .filter(({ vehicle, pose }) => mayShow(view, vehicle, pose))
    .sort((a, b) => a.distance - b.distance || a.vehicle.id - b.vehicle.id)
    .slice(0, MOST_VEHICLES);
  drawShadows(painter, shot, seen);
  seen.forEach((entry, index) => {
    const { vehicle, pose } = entry;
    const street = light.street > 0 ? light.street * streetLight(site, pose.x, pose.y) : 0;
    const switches = { headlights: light.lamps > 0, braking: vehicle.isBraking, street };
    entry.covered = drawBody(
      canvas,
      view,
      light,
      vehicle.body,
      pose,
      switches,
      index + 1,
      painter.nextStamp(),
    );
  });
  takeCensus(canvas, census);
  pixels.set(background.low);
  toPixels(painter);
  addMotion(painter, shot, seen);
  if (light.lamps > 0) addLamps(painter, shot, seen);
  const random = new Random(seed ^ Math.imul(number + 1, 0x9e3779b1), STREAM);
  rainOver(pixels, width, height, light, random);
  sensor.expose(pixels, width, height, random, painter.bytes);
  const objects = seen.flatMap(({ vehicle, pose, distance, covered }, index): SceneObject[] => {
    const count = census.count[index + 1] ?? 0;
    if (count === 0) return [];
    return [
      {
        trackId: vehicle.id,
        type: vehicle.body.type,
        box: boxOf(census, index + 1),
        visible: count / Math.max(1, covered),
        inside: insideShare(view, vehicle.body, pose),
        pixels: count / (SAMPLES * SAMPLES),
        direction: vehicle.lane.direction,
        speed: vehicle.speed,
        distance,
      },
    ];
  });
  const { buffer } = painter.bytes;
  return { image: { format: 'rgb24', width, height, data: new Uint8Array(buffer) }, objects };
};
