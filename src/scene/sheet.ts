// A contact sheet: every type from several sides and distances, and the same road in several lights.
import { LIGHTS, sceneSchema, VEHICLE_TYPES, WEATHERS } from '../config/index.js';
import { makeBody } from './bodies/index.js';
import { drawBody } from './draw.js';
import { cos, radians, sin } from './exact.js';
import { Sensor } from './finish.js';
import { halve } from './halve.js';
import { illuminate, toColour } from './light.js';
import { Random } from '../system/index.js';
import { Canvas } from './raster.js';
import { Scene } from './scene.js';
import { boxShadow } from './shadow.js';
import { Texture } from './texture.js';
import { lookAt, SAMPLES, type View } from './view.js';

/** A picture on the sheet, with what stands below it. */
interface Tile {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue. */
  readonly data: Uint8Array;
  readonly left: number;
  readonly top: number;
}

interface Word {
  readonly text: string;
  readonly left: number;
  readonly top: number;
}

const CELL = { width: 168, height: 116 } as const;
const MARGIN = 92;
/** Headings in degrees from across the view, to the right; and distances in metres for a car. */
const LOOKS = [
  { heading: 180, distance: 11 },
  { heading: -135, distance: 13 },
  { heading: -100, distance: 14 },
  { heading: -50, distance: 17 },
  { heading: 48, distance: 14 },
  { heading: 78, distance: 20 },
  { heading: 145, distance: 30 },
] as const;
/** Focal length by the width of a cell, and what is left beside a body, by its length across. */
const [ZOOM, ROOM] = [2.05, 1.2];
const STUDIO = illuminate('day', 'clear', 150, 42);
const SHADE = illuminate('day', 'overcast', 150, 42);

const road = (view: View, texture: Texture, canvas: Canvas, shaded: Uint32Array): void => {
  for (let row = 0; row < canvas.height; row += 1) {
    const v = ((row + 0.5) / SAMPLES - view.cy) / view.focal;
    for (let column = 0; column < canvas.width; column += 1) {
      const u = ((column + 0.5) / SAMPLES - view.cx) / view.focal;
      const dz = Math.min(-0.02, view.forward[2] + view.down[2] * v);
      const reach = -view.eye[2] / dz;
      const x = view.eye[0] + reach * (view.forward[0] + view.right[0] * u + view.down[0] * v);
      const y = view.eye[1] + reach * (view.forward[1] + view.right[1] * u + view.down[1] * v);
      const grey = 0.1 + 0.04 * texture.cloudy(x * 0.3, y * 0.3) + 0.02 * texture.at(x * 8, y * 8);
      const at = row * canvas.width + column;
      const sun = 1.65 * STUDIO.sun[2];
      canvas.colour[at] = toColour(grey * (0.42 + sun), grey * (0.49 + sun), grey * (0.6 + sun));
      shaded[at] = toColour(grey * 0.42, grey * 0.49, grey * 0.6);
    }
  }
};

const bytesOf = (canvas: Canvas, random: Random): Uint8Array => {
  const { width, height } = CELL;
  const pixels = new Uint32Array(width * height);
  halve(canvas.colour, canvas.width, canvas.height, pixels);
  const bytes = new Uint8ClampedArray(3 * width * height);
  new Sensor(1, 1.2).expose(pixels, width, height, random, bytes);
  return new Uint8Array(bytes.buffer);
};

const portraits = (seed: number): { tiles: Tile[]; words: Word[] } => {
  const tiles: Tile[] = [];
  const words: Word[] = [];
  const texture = new Texture(seed);
  VEHICLE_TYPES.forEach((type, row) => {
    const random = new Random(seed, 900 + row);
    words.push({ text: type, left: 8, top: row * CELL.height + CELL.height / 2 });
    LOOKS.forEach(({ heading, distance }, column) => {
      const body = makeBody(type, random);
      const wanted =
        distance * (0.45 + 0.55 * Math.max(1, body.length / 4.6)) * (type === 'motorcycle' ? 0.62 : 1);
      // None is cut off at the sides.
      const across =
        Math.abs(cos(radians(heading))) * body.length + Math.abs(sin(radians(heading))) * body.width;
      const far = Math.max(wanted, ROOM * ZOOM * across);
      const view = lookAt([0, -far, 2 + far * 0.24], [0, 0, body.height * 0.42], CELL.width * ZOOM, CELL);
      const canvas = new Canvas(CELL.width * SAMPLES, CELL.height * SAMPLES);
      const shaded = new Uint32Array(canvas.colour.length);
      road(view, texture, canvas, shaded);
      const pose = { x: 0, y: 0, hx: cos(radians(heading)), hy: sin(radians(heading)) };
      const { length, width, height, waist, upper } = body;
      const under = (z: readonly [number, number], along: readonly [number, number], side: number): void =>
        boxShadow(view, STUDIO.sun, pose, along, side, z, (shadow) => canvas.ground(shadow, 7, shaded));
      under([0, waist], [-length / 2, length / 2], width * 0.46);
      under([waist, height], upper, width * 0.37);
      const switches = { headlights: false, braking: false, street: 0 };
      drawBody(canvas, view, column === 6 ? SHADE : STUDIO, body, pose, switches, 1, 1);
      const left = MARGIN + column * CELL.width;
      tiles.push({ ...CELL, data: bytesOf(canvas, random), left, top: row * CELL.height });
    });
  });
  return { tiles, words };
};

const views = (
  seed: number,
  top: number,
  width: number,
): { tiles: Tile[]; words: Word[]; bottom: number } => {
  const tiles: Tile[] = [];
  const words: Word[] = [];
  const size = { width: Math.floor(width / 8) * 2, height: Math.floor((width / 8) * 0.6) * 2 };
  WEATHERS.forEach((weather, column) => {
    LIGHTS.forEach((light, row) => {
      const options = { ...size, seed: seed + row * 4 + column, weather, light, vehiclesPerMinute: 16 };
      const scene = new Scene(sceneSchema.parse(options));
      scene.skip(30 * (column + 2));
      const { image } = scene.next();
      const at = { left: column * size.width, top: top + row * size.height };
      tiles.push({ ...size, data: image.data.slice(), ...at });
      words.push({ text: `${light}, ${weather}`, left: at.left + 8, top: at.top + 18 });
    });
  });
  return { tiles, words, bottom: top + LIGHTS.length * size.height };
};

const svg = (words: readonly Word[], width: number, height: number): Buffer => {
  const lines = words.map(
    ({ text, left, top }) =>
      `<text x="${left}" y="${top}" font-family="DejaVu Sans, sans-serif" font-size="13" fill="#fff" stroke="#000" stroke-width="2.5" paint-order="stroke">${text}</text>`,
  );
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${lines.join('')}</svg>`); // prettier-ignore
};

/** The sheet, encoded as the name of its file says. */
export const contactSheet = async (seed: number, format: 'png' | 'jpeg'): Promise<Buffer> => {
  const width = MARGIN + LOOKS.length * CELL.width;
  const upper = portraits(seed);
  const lower = views(seed, VEHICLE_TYPES.length * CELL.height, width);
  const height = lower.bottom;
  const sheet = Buffer.alloc(3 * width * height, 38);
  for (const tile of [...upper.tiles, ...lower.tiles]) {
    for (let row = 0; row < tile.height; row += 1) {
      const from = row * tile.width * 3;
      sheet.set(tile.data.subarray(from, from + tile.width * 3), ((tile.top + row) * width + tile.left) * 3);
    }
  }
  const { default: sharp } = await import('sharp');
  const words = svg([...upper.words, ...lower.words], width, height);
  const picture = sharp(sheet, { raw: { width, height, channels: 3 } }).composite([{ input: words }]);
  return format === 'png'
    ? picture.png({ compressionLevel: 9 }).toBuffer()
    : picture.jpeg({ quality: 82, mozjpeg: true }).toBuffer();
};
