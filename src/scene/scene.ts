// A scene: options in, frames with their truth out.
import type { SceneOptions } from '../config/index.js';
import { encodeJpeg, type RgbImage } from '../vision/index.js';
import { type Background, renderBackground } from './background.js';
import { type Conditions, conditionsAt } from './drift.js';
import { type Illumination, illuminate } from './light.js';
import { paintFrame, Painter } from './painter.js';
import { makeSite, type Site } from './site.js';
import { Traffic } from './traffic.js';
import type { SceneObject } from './truth.js';
import { Sensor } from './finish.js';

export interface SceneFrame {
  /** Counts from 0 at the beginning of the scene. */
  readonly number: number;
  /** Seconds since the beginning of the scene. */
  readonly seconds: number;
  readonly conditions: Pick<Conditions, 'weather' | 'light'>;
  /** Its pixels are overwritten by the next frame. */
  readonly image: RgbImage;
  /** Every vehicle that is seen, from the nearest to the farthest. */
  readonly objects: readonly SceneObject[];
}

interface Stage {
  readonly key: string;
  readonly light: Illumination;
  readonly background: Background;
  readonly sensor: Sensor;
}

/** Not for sharing between scenes: holds the picture that is drawn. */
export class Scene {
  readonly options: SceneOptions;
  readonly site: Site;
  readonly #traffic: Traffic;
  readonly #painter: Painter;
  #number: number;
  #stage: Stage | undefined;

  /**
   * @param options checked by `sceneSchema`
   * @param firstFrame where to begin: later frames have other traffic than those that a scene begun at 0 comes to
   */
  constructor(options: SceneOptions, firstFrame = 0) {
    this.options = options;
    this.site = makeSite(options.site ?? options.seed, options);
    this.#number = firstFrame;
    this.#painter = new Painter(options.width, options.height);
    this.#traffic = new Traffic(
      this.site,
      options.seed,
      (seconds) => conditionsAt(options, seconds),
      firstFrame / options.fps,
      firstFrame,
    );
  }

  /** Lets frames pass that nobody looks at. */
  skip(frames: number): void {
    this.#number += frames;
    this.#traffic.advance(frames / this.options.fps);
  }

  /** Draws the frame that is due; the next one is due after it. */
  next(): SceneFrame {
    const { options, site } = this;
    const number = this.#number;
    const seconds = number / options.fps;
    const conditions = conditionsAt(options, seconds);
    const stage = this.#stageFor(conditions);
    const { image, objects } = paintFrame(this.#painter, {
      site,
      vehicles: this.#traffic.vehicles,
      seed: options.seed,
      number,
      ...stage,
    });
    this.skip(1);
    const { weather, light } = conditions;
    return { number, seconds, conditions: { weather, light }, image, objects };
  }

  /** A frame as a JPEG of the scene's quality. */
  encode(frame: SceneFrame): Uint8Array {
    return encodeJpeg(frame.image, this.options.jpegQuality);
  }

  #stageFor({ weather, light }: Conditions): Stage {
    const key = `${weather} ${light}`;
    if (this.#stage?.key === key) return this.#stage;
    const { site } = this;
    const lit = illuminate(light, weather, site.azimuth, site.elevation);
    const background = renderBackground(site, lit, light === 'night');
    this.#painter.begin(background);
    this.#stage = { key, light: lit, background, sensor: new Sensor(site.seed, lit.noise) };
    return this.#stage;
  }
}
