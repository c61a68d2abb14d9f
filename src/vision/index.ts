// Pictures and boxes: frames to tensors, tensors to detections. Pure; no processes, no sessions.
export { boxArea, boxCentre, clipBox, intersection, iou } from './boxes.js';
export { decodeJpeg, encodeJpeg } from './jpeg.js';
export { type JpegFault, type JpegSize, readJpegSize } from './jpegHeader.js';
export { type LetterboxTransform, toFrame, toInput } from './letterbox.js';
export { applyMasks, type MaskPolygon } from './mask.js';
export { decodeImage, decodeImageFile, frameToRgb } from './picture.js';
export { Preprocessor } from './preprocess.js';
export type { Box, Detection, Frame, Picture, PixelFormat, RgbImage, YuvColour } from './types.js';
