// Scenes to learn from, drawn by chance: places, weather, light and traffic of all kinds.
import {
  type Light,
  LIGHTS,
  type SceneOptions,
  sceneSchema,
  type Weather,
  WEATHERS,
} from '../config/index.js';
import type { Random } from '../system/index.js';

/** Frames a second of such scenes. */
export const FPS = 10;

/** What is given of a scene; the rest is drawn. */
export interface Given {
  readonly width: number;
  readonly height: number;
  /** One for all pictures; drawn for each scene where left out. */
  readonly weather?: Weather;
  readonly light?: Light;
  /** One place for all pictures; every scene has its own where left out. */
  readonly site?: number;
  readonly trafficMix?: SceneOptions['trafficMix'];
}

/** Every type is to be learnt: rare ones are more frequent here than on a road. */
const EVEN_MIX: SceneOptions['trafficMix'] = {
  sedan: 15,
  hatchback: 15,
  wagon: 14,
  suv: 12,
  pickup: 9,
  van: 10,
  minibus: 8,
  bus: 6,
  truck: 9,
  motorcycle: 9,
};

/** Weather and light as often as a year has them, roughly. */
const drawSky = (r: Random): { weather: Weather; light: Light } => ({
  weather: WEATHERS[r.weighted([52, 20, 20, 8])] ?? 'clear',
  light: LIGHTS[r.weighted([62, 18, 20])] ?? 'day',
});

/** Draws the options of one scene. */
export const drawOptions = (random: Random, given: Given): SceneOptions => {
  const sky = drawSky(random);
  const seed = random.bits();
  return sceneSchema.parse({
    width: given.width,
    height: given.height,
    fps: FPS,
    seed,
    weather: given.weather ?? sky.weather,
    light: given.light ?? sky.light,
    vehiclesPerMinute: random.between(6, 20),
    jpegQuality: 70 + random.below(26),
    trafficMix: given.trafficMix ?? EVEN_MIX,
    ...(given.site !== undefined && { site: given.site }),
  });
};
