// Pictures and boxes: frames to tensors, tensors to detections. Pure; no processes, no sessions.
export type { Box, Detection, Frame, PixelFormat, YuvColour } from './types.js';
