// Lamps: the light that headlights throw on the road, and the glare of lamps that shine into the camera.
import type { Background } from './background.js';
import type { Body } from './bodies/index.js';
import type { Pose } from './draw.js';
import { clamp, smooth, type Vec3 } from './exact.js';
import { toColour, tone } from './light.js';
import { newOutline } from './raster.js';
import { corners, onGround } from './shadow.js';
import { project, SAMPLES, type View } from './view.js';

/** The picture that lamps are added to. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly colour: Uint32Array;
  /** Number of the vehicle that a pixel shows; 0 for the background. */
  readonly ids: Uint8Array;
}

/** From an 8-bit value back to light. */
const LINEAR = Float32Array.from({ length: 256 }, (_, value) => {
  let low = 0;
  let high = 64;
  for (let i = 0; i < 40; i += 1) {
    const middle = (low + high) / 2;
    if (tone(middle) < value) low = middle;
    else high = middle;
  }
  return high;
});

const REACH = 26;
const BEAM: Vec3 = [1, 0.93, 0.78];
const outline = newOutline();

/** Adds the beam of a vehicle's headlights to the road in front of it. */
export const lightRoad = (
  pixels: Pixels,
  view: View,
  background: Background,
  pose: Pose,
  front: number,
  strength: number,
): void => {
  const { groundX, groundY, albedo } = background;
  if (!onGround(view, corners(pose, [front, front + REACH], 5), outline)) return;
  let [left, right, top, bottom] = [1e9, -1e9, 1e9, -1e9];
  for (let i = 0; i < outline.count; i += 1) {
    left = Math.min(left, (outline.x[i] ?? 0) / SAMPLES);
    right = Math.max(right, (outline.x[i] ?? 0) / SAMPLES);
    top = Math.min(top, (outline.y[i] ?? 0) / SAMPLES);
    bottom = Math.max(bottom, (outline.y[i] ?? 0) / SAMPLES);
  }
  const { x, y, hx, hy } = pose;
  const { width, height, colour, ids } = pixels;
  for (let row = Math.max(0, Math.floor(top)); row < Math.min(height, bottom); row += 1) {
    for (let column = Math.max(0, Math.floor(left)); column < Math.min(width, right); column += 1) {
      const at = row * width + column;
      if (ids[at] !== 0) continue;
      const wx = (groundX[at] as number) - x;
      const wy = (groundY[at] as number) - y;
      const along = wx * hx + wy * hy - front;
      if (along < 0.3 || along > REACH) continue;
      const aside = (wy * hx - wx * hy) / (0.9 + 0.13 * along);
      const square = aside * aside;
      if (square > 6) continue;
      const far = along / 9;
      const amount = (strength * smooth(0.3, 3, along) * (1 - along / REACH)) / ((1 + square) * (1 + square) * (1 + far * far)); // prettier-ignore
      const old = colour[at] as number;
      colour[at] = toColour(
        (LINEAR[old & 255] as number) + amount * BEAM[0] * (albedo[at * 3] as number),
        (LINEAR[(old >>> 8) & 255] as number) + amount * BEAM[1] * (albedo[at * 3 + 1] as number),
        (LINEAR[(old >>> 16) & 255] as number) + amount * BEAM[2] * (albedo[at * 3 + 2] as number),
      );
    }
  }
};

const add = (pixels: Uint32Array, at: number, red: number, green: number, blue: number): void => {
  const old = pixels[at] as number;
  const r = Math.min(255, (old & 255) + red) | 0;
  const g = Math.min(255, ((old >>> 8) & 255) + green) | 0;
  const b = Math.min(255, ((old >>> 16) & 255) + blue) | 0;
  pixels[at] = r | (g << 8) | (b << 16);
};

/** A round glare with a bright middle. */
const glare = (
  { width, height, colour }: Pixels,
  x: number,
  y: number,
  radius: number,
  light: Vec3,
): void => {
  const reach = Math.ceil(radius * 3);
  const core = 1 / (radius * radius * 0.35);
  for (
    let py = Math.max(0, Math.floor(y) - reach);
    py <= Math.min(height - 1, Math.floor(y) + reach);
    py += 1
  ) {
    // prettier-ignore
    for (let px = Math.max(0, Math.floor(x) - reach); px <= Math.min(width - 1, Math.floor(x) + reach); px += 1) {
      const square = (px + 0.5 - x) * (px + 0.5 - x) + (py + 0.5 - y) * (py + 0.5 - y);
      const edge = 1 - square / (reach * reach);
      if (edge <= 0) continue;
      const amount = (edge * edge) / (1 + square * core);
      add(colour, py * width + px, light[0] * amount, light[1] * amount, light[2] * amount);
    }
  }
};

/** The reflection of a lamp on a wet road: a streak that hangs down from where the lamp's foot is. */
const streak = (pixels: Pixels, x: number, y: number, length: number, wide: number, light: Vec3): void => {
  const { width, height, colour, ids } = pixels;
  for (let py = Math.max(0, Math.floor(y)); py < Math.min(height, y + length); py += 1) {
    const down = (py - y) / length;
    const strength = (1 - down) * (1 - down) * (0.7 + 0.3 * ((py * 7) % 5 < 3 ? 1 : 0));
    for (let px = Math.max(0, Math.floor(x - wide)); px <= Math.min(width - 1, x + wide); px += 1) {
      const at = py * width + px;
      if (ids[at] !== 0) continue;
      const off = (px + 0.5 - x) / (wide + 0.5);
      const amount = strength * Math.max(0, 1 - off * off);
      add(colour, at, light[0] * amount, light[1] * amount, light[2] * amount);
    }
  }
};

const HEAD: Vec3 = [235, 225, 200];
const TAIL: Vec3 = [190, 18, 14];

/**
 * Adds the glare of a vehicle's lamps where they shine into the camera and nothing stands before them.
 * @param strength 1 at night
 */
export const dazzle = (
  pixels: Pixels,
  view: View,
  body: Body,
  { x, y, hx, hy }: Pose,
  id: number,
  strength: number,
  isBraking: boolean,
  isWet: boolean,
): void => {
  const shine = (lamps: readonly Vec3[], sign: 1 | -1, light: Vec3, size: number): void => {
    for (const [along, aside, z] of lamps) {
      const px = x + along * hx - aside * hy;
      const py = y + along * hy + aside * hx;
      const at = project(view, [px, py, z]);
      if (at === undefined) continue;
      const [u, v, depth] = at;
      const towards = (sign * (hx * (view.eye[0] - px) + hy * (view.eye[1] - py))) / depth;
      if (towards < 0.15) continue;
      if (!shows(pixels, u, v, id)) continue;
      const power = strength * smooth(0.15, 0.8, towards);
      const radius = clamp((size * view.focal * 0.16) / depth, 0.7, 14);
      const lit: Vec3 = [light[0] * power, light[1] * power, light[2] * power];
      glare(pixels, u, v, radius, lit);
      if (!isWet) continue;
      const foot = project(view, [px, py, 0]);
      if (foot === undefined) continue;
      const length = clamp((view.focal * 1.6) / depth, 6, 90);
      streak(pixels, foot[0], foot[1], length, Math.max(1, radius * 0.8), [lit[0] * 0.4, lit[1] * 0.4, lit[2] * 0.4]); // prettier-ignore
    }
  };
  shine(body.heads, 1, HEAD, 1);
  shine(body.tails, -1, isBraking ? [255, 40, 30] : TAIL, isBraking ? 0.75 : 0.5);
};

const shows = ({ width, height, ids }: Pixels, u: number, v: number, id: number): boolean => {
  const [x, y] = [Math.floor(u), Math.floor(v)];
  for (const [dx, dy] of [
    [0, 0],
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    // prettier-ignore
    const [px, py] = [x + dx, y + dy];
    if (px >= 0 && px < width && py >= 0 && py < height && ids[py * width + px] === id) return true;
  }
  return false;
};
