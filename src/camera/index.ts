// Frame sources: libcamera, ffmpeg and replay behind one interface, kept running.
export { createFrameSource } from './create.js';
export type { CameraCounters, CameraEvents, CameraState, FrameSize, FrameSource } from './source.js';
