// Labelled pictures of simulated roads without end, for training: rendered when they are asked for, the same by number always.
import { VEHICLE_TYPES } from '../config/index.js';
import { Random } from '../system/index.js';
import type { Sample, SampleSource, SourceSpec } from '../training/index.js';
import { decodeJpeg } from '../vision/index.js';
import { isLabelled } from './dataset.js';
import { drawOptions, type Given } from './drawn.js';
import { Scene, type SceneFrame } from './scene.js';

export interface StreamOptions extends Given {
  readonly seed: number;
  /** The model's: a vehicle of a type that is not among them is ignored. */
  readonly classes: readonly string[];
}

/** Scenes that take turns: pictures of a batch are of different places. */
const SCENES = 16;
/** Pictures of a scene, frames between two of them at least, and more at most. */
const PER_SCENE = 32;
const STRIDE = 20;
const JITTER = 12;
const STREAM = 909;
/** Samples that are kept: a picture is asked for again for the next mosaic. */
const KEPT = 8;

interface Live {
  readonly number: number;
  readonly scene: Scene;
  readonly random: Random;
  /** The picture that is due. */
  due: number;
}

const sampleOf = (frame: SceneFrame, scene: Scene, classes: readonly string[]): Sample => {
  // As a camera delivers it: through a JPEG.
  const image = decodeJpeg(scene.encode(frame));
  const labelled = frame.objects.filter((object) => isLabelled(object) && classes.includes(object.type));
  return {
    image,
    objects: labelled.map(({ type, box }) => ({ ...box, classId: classes.indexOf(type), weight: 1 })),
    ignored: frame.objects.filter((object) => !labelled.includes(object)).map(({ box }) => box),
  };
};

class SceneStream implements SampleSource {
  readonly count = undefined;
  readonly #options: StreamOptions;
  readonly #live = new Map<number, Live>();
  readonly #kept = new Map<number, Sample>();

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  at(index: number): Promise<Sample> {
    const kept = this.#kept.get(index);
    if (kept !== undefined) return Promise.resolve(kept);
    const sample = this.#render(index);
    this.#kept.set(index, sample);
    for (const old of this.#kept.keys()) if (this.#kept.size > KEPT) this.#kept.delete(old);
    return Promise.resolve(sample);
  }

  #render(index: number): Sample {
    const slot = index % SCENES;
    // Scenes change at different times: making one takes as long as dozens of pictures.
    const turn = Math.floor(index / SCENES) + slot * (PER_SCENE / SCENES);
    const [generation, picture] = [Math.floor(turn / PER_SCENE), turn % PER_SCENE];
    const live = this.#liveAt(slot, generation * SCENES + slot, picture);
    for (; live.due < picture; live.due += 1) this.#wait(live, true);
    this.#wait(live, false);
    live.due += 1;
    return sampleOf(live.scene.next(), live.scene, this.#options.classes);
  }

  #wait({ scene, random }: Live, passes: boolean): void {
    scene.skip(STRIDE + random.below(JITTER));
    // In the steps in which a picture that is drawn would: traffic is the same whether anybody looks.
    if (passes) scene.skip(1);
  }

  #liveAt(slot: number, number: number, picture: number): Live {
    const known = this.#live.get(slot);
    if (known !== undefined && known.number === number && known.due <= picture) return known;
    const random = new Random(this.#options.seed ^ Math.imul(number + 1, 0x9e3779b1), STREAM);
    const live = { number, scene: new Scene(drawOptions(random, this.#options)), random, due: 0 };
    this.#live.set(slot, live);
    return live;
  }
}

/** Opens the stream in the loader's thread. */
export const openSource = (options: StreamOptions): SampleSource => new SceneStream(options);

/** Simulated roads for a loader. */
export const sceneSpec = (options: StreamOptions): SourceSpec => ({
  module: new URL('./stream.js', import.meta.url),
  options,
});

/** Every type that drives there. */
export const SCENE_CLASSES: readonly string[] = VEHICLE_TYPES;
