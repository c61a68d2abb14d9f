// Frame sources: libcamera, ffmpeg, replay and the simulated road behind one interface, kept running.
export { createFrameSource } from './create.js';
export type { CameraCounters, CameraEvents, CameraState, FrameSize, FrameSource } from './source.js';
