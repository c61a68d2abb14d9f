// The end of a camera that ends by itself: the frames that are under way are waited for.
import type { ModelService } from './models.js';

/** At the end of a finite source the last frame gets this long. */
const LAST_FRAME_MS = 15_000;
const LOOK_EVERY_MS = 20;

/** Resolves when every frame that came was detected, dropped or skipped, or after a while. */
export const lastFrame = async (models: Pick<ModelService, 'counters'>): Promise<void> => {
  const deadline = performance.now() + LAST_FRAME_MS;
  const isDone = (): boolean => {
    const { received, done, dropped, skipped, lost } = models.counters;
    return received === done + dropped + skipped + lost;
  };
  while (!isDone() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
};
