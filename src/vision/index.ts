// Pictures and boxes: frames to tensors, tensors to detections, and the whole way through a session. No processes.
export { boxArea, boxCentre, clipBox, intersection, iou } from './boxes.js';
export { createHead, type Decoded, type Grid, type Head, type Labels, makeGrid } from './heads/index.js';
export { cropImage, regionOf } from './crop.js';
export { type InputData, inputTensor, type InputValue, inputValue, newInputData } from './input.js';
export { decodeJpeg, encodeJpeg } from './jpeg.js';
export { type JpegFault, type JpegSize, readJpegSize } from './jpegHeader.js';
export { type LetterboxTransform, type Placement, placeFrame, toFrame, toInput } from './letterbox.js';
export { applyMasks, maskedRgb, type MaskPolygon } from './mask.js';
export { decodeImage, decodeImageFile, frameToRgb } from './picture.js';
export { Pipeline, type PipelineOptions, type PipelineResult, type PreparedPicture } from './pipeline.js';
export { Preprocessor } from './preprocess.js';
export { MAX_CANDIDATES, nonMaxSuppression, type SuppressionOptions } from './suppression.js';
export type { Box, Detection, Frame, Picture, PixelFormat, RgbImage, YuvColour } from './types.js';
