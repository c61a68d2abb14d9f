// What the demo says, with the seconds since it began.
const started = performance.now();

export const seconds = (): number => (performance.now() - started) / 1000;
export const say = (text: string): void => void process.stderr.write(`${text}\n`);
export const tell = (text: string): void => say(`${seconds().toFixed(0).padStart(4)} s  ${text}`);
export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
